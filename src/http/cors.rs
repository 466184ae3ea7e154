//! Cross-origin requests: any page may call the public routes, because a token, never a cookie, says who calls.

use super::answer::{self, Answer};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, VARY,
    },
};

const METHODS: &str = "GET,PUT,POST,PATCH,DELETE";
const NAMED: [&str; 3] = ["authorization", "content-type", "x-agent-label"];
/// Of quizzes; allowed where it is asked for.
const ASKED: &str = "x-api-key";
const PREFIX: &str = "ulms-";

/// Lets any page read the answer.
pub(super) fn open(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
}

/// Answers the browser's question of whether the page may ask.
pub(super) fn preflight(asked: &HeaderMap) -> Answer {
    let mut answer = answer::empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    headers.insert(VARY, HeaderValue::from_static("access-control-request-headers"));
    if let Ok(allowed) = HeaderValue::from_str(&allowed(asked)) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    answer
}

/// The named headers, and of those asked for API keys and the ones with the prefix: the protocol knows no wildcard inside a name.
fn allowed(asked: &HeaderMap) -> String {
    let mut allowed = NAMED.map(str::to_owned).to_vec();
    let lines = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|line| line.to_str().ok());
    for name in lines.flat_map(|line| line.split(',')).map(|name| name.trim().to_ascii_lowercase()) {
        if (name == ASKED || name.starts_with(PREFIX)) && !allowed.contains(&name) {
            allowed.push(name);
        }
    }
    allowed.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed_for(asked: &'static str) -> String {
        allowed(&HeaderMap::from_iter([(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static(asked))]))
    }

    #[test]
    fn names_and_the_prefix_are_allowed_and_nothing_else() {
        assert_eq!(allowed(&HeaderMap::new()), "authorization,content-type,x-agent-label");
        assert_eq!(
            allowed_for("Authorization, ULMS-Scope,ulms-app-version, x-evil, ulms-scope"),
            "authorization,content-type,x-agent-label,ulms-scope,ulms-app-version"
        );
        assert_eq!(allowed_for("X-Api-Key,x-api-keys"), "authorization,content-type,x-agent-label,x-api-key");
    }
}
