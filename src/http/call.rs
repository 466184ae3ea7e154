//! One request as a handler sees it: routed, its body read, nothing of it believed yet.

use super::{
    audit,
    fault::Fault,
    rooms::{Account, Accounts},
};
use bytes::Bytes;
use http::{header, request::Parts};
use serde::Deserialize;
use serde_json::error::Category;
use std::{borrow::Cow, rc::Rc, str::FromStr};

/// One request.
pub struct Call<S> {
    /// Whatever fulfils the contracts.
    pub house: Rc<S>,
    /// Method, address, headers.
    pub parts: Parts,
    /// The whole body.
    pub body: Bytes,
    /// What stood in the braces of the route's path, in their order, decoded.
    pub(super) params: Vec<(String, String)>,
}

/// Who calls, after a look at the token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Whose token it is.
    pub account: Account,
    /// `X-Agent-Label`, "http" unless told.
    pub label: String,
}

impl<S> Call<S> {
    /// What stood in `{name}`, decoded.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What stood in `{name}`. [`Fault::Unreadable`] with `expected` when it does not parse.
    pub fn param<T: FromStr>(&self, name: &str, expected: &'static str) -> Result<T, Fault> {
        self.text(name).and_then(|value| value.parse().ok()).ok_or(Fault::Unreadable(expected))
    }

    /// What the query says of `name`, decoded. [`Fault::Unreadable`] when it is there twice.
    pub fn query(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, Fault> {
        let query = self.parts.uri.query().unwrap_or_default();
        let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (first, None) => Ok(first.map(|(_, value)| value)),
            (_, Some(_)) => Err(Fault::Unreadable("a name stands twice in the query")),
        }
    }

    /// A number from the query, `default` where it is absent. [`Fault::Unreadable`] with `expected` when it does not parse.
    pub fn number<T: FromStr>(&self, name: &'static str, default: T, expected: &'static str) -> Result<T, Fault> {
        match self.query(name)? {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| Fault::Unreadable(expected)),
        }
    }

    /// The body as JSON, whatever its content type says. [`Fault::Unreadable`] when it is none, [`Fault::WrongShape`] with `expected`
    /// when it is other JSON.
    pub fn json<'a, T: Deserialize<'a>>(&'a self, expected: &'static str) -> Result<T, Fault> {
        const NOT_JSON: Fault = Fault::Unreadable("the body is not JSON");
        let text = std::str::from_utf8(&self.body).map_err(|_| NOT_JSON)?;
        serde_json::from_str(text).map_err(|error| match error.classify() {
            // The shape may be wrong before the syntax is: look at the rest.
            Category::Data if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => Fault::WrongShape(expected),
            Category::Data | Category::Syntax | Category::Eof | Category::Io => NOT_JSON,
        })
    }

    /// Whether a header asks for `wanted` (such as `text/csv`) rather than `other`, by RFC 9110, 12.5.1, without wildcards.
    pub fn prefers(&self, wanted: &str, other: &str) -> bool {
        let lines = self.parts.headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let (mut best_wanted, mut best_other) = (0.0, 0.0);
        for (kind, weight) in lines.flat_map(|line| line.split(',')).map(weighed) {
            if kind.eq_ignore_ascii_case(wanted) {
                best_wanted = weight;
            } else if kind.eq_ignore_ascii_case(other) {
                best_other = weight;
            }
        }
        best_wanted > 0.0 && best_wanted >= best_other
    }

    /// The token: of the header, or else of the query's `access_token`.
    fn token(&self) -> Option<Cow<'_, str>> {
        let header = self.parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = header.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = match bearer {
            Some((_, token)) => Some(Cow::Borrowed(token.trim())),
            None => self.query("access_token").ok().flatten(),
        };
        token.filter(|token| !token.is_empty())
    }
}

impl<S: Accounts> Call<S> {
    /// Who calls. [`Fault::NoToken`], [`Fault::BadToken`].
    pub fn caller(&self) -> Result<Caller, Fault> {
        let token = self.token().ok_or(Fault::NoToken)?;
        let account = self.house.verify(&token).map_err(|_| Fault::BadToken)?;
        audit::says_who(&self.parts.extensions, &account.subject);
        let label = self.parts.headers.get("x-agent-label").and_then(|value| value.to_str().ok());
        Ok(Caller { account, label: label.unwrap_or("http").to_owned() })
    }
}

/// `text/csv;q=0.5` → (`text/csv`, 0.5).
fn weighed(item: &str) -> (&str, f32) {
    let mut parts = item.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    (kind, weight.and_then(|weight| weight.parse().ok()).unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn call(uri: &str, headers: &[(&'static str, &str)], body: &'static str) -> Call<()> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Call { house: Rc::new(()), parts, body: Bytes::from_static(body.as_bytes()), params: vec![("n".into(), "7".into())] }
    }

    #[test]
    fn params_and_queries_parse_or_tell_what_was_expected() {
        let call = call("/x?a=1&b=%C3%A9+x&c=no&d=1&d=2", &[], "");
        assert_eq!(call.param::<u8>("n", "a number"), Ok(7));
        assert_eq!(call.param::<bool>("n", "a flag"), Err(Fault::Unreadable("a flag")));
        assert_eq!(call.query("b").unwrap().unwrap(), "é x");
        assert_eq!(call.query("z"), Ok(None));
        assert_eq!(call.number("a", 5, "n"), Ok(1));
        assert_eq!(call.number("z", 5, "n"), Ok(5));
        assert_eq!(call.number("c", 5, "n"), Err(Fault::Unreadable("n")));
        assert!(call.query("d").is_err());
    }

    #[test]
    fn json_is_unreadable_or_of_the_wrong_shape() {
        let read = |body| call("/", &[], body).json::<Vec<u8>>("bytes");
        assert_eq!(read("[1,2]"), Ok(vec![1, 2]));
        assert_eq!(read(r#"["x"]"#), Err(Fault::WrongShape("bytes")));
        for body in ["", "[1", "nonsense", r#"["x""#, "[1] 2"] {
            assert!(matches!(read(body), Err(Fault::Unreadable(_))), "{body}");
        }
        let mut broken = call("/", &[], "");
        broken.body = Bytes::from_static(b"\"\xff\"");
        assert!(matches!(broken.json::<&str>("text"), Err(Fault::Unreadable(_))));
    }

    #[test]
    fn the_token_is_the_headers_or_else_the_querys() {
        let token = |uri, headers: &[(&'static str, &str)]| call(uri, headers, "").token().map(Cow::into_owned);
        assert_eq!(token("/", &[]), None);
        assert_eq!(token("/", &[("authorization", "bearer  abc")]), Some("abc".into()));
        assert_eq!(token("/?access_token=q", &[("authorization", "Bearer h")]), Some("h".into()));
        assert_eq!(token("/?access_token=q", &[("authorization", "Basic h")]), Some("q".into()));
        assert_eq!(token("/?access_token=", &[]), None);
    }

    #[test]
    fn csv_is_preferred_where_it_is_asked_for() {
        let prefers = |accept| call("/", &[("accept", accept)], "").prefers("text/csv", "application/json");
        assert!(prefers("text/csv"));
        assert!(prefers("text/html, Text/CSV; charset=utf-8;q=0.9, */*;q=0.1"));
        assert!(!prefers("*/*"));
        assert!(!prefers("application/json, text/csv;q=0.5"));
        assert!(!prefers("text/csv;q=0"));
    }
}
