//! A page: one document for all who ask, told where the APIs are that it may reach.

use super::Place;
use crate::{
    console::Asset,
    http::{
        answer::{self, Answer},
        fault::Fault,
    },
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};

/// Headers that do not depend on the request.
const FIXED: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-cache"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// The longest host in a request, in bytes (RFC 1035 allows a name 255).
const HOST_BYTES: usize = 255;

/// The document, with the places of its files in it.
pub(super) struct Page {
    text: String,
}

impl Page {
    /// A template with files of this version; `{{assets}}` stands for the path of a folder among them.
    pub(super) fn new(template: &str, version: &str, folder: &str, assets: &[Asset]) -> Page {
        // From the page's own place, whatever is before it.
        let at = |name: &str| format!("assets/{version}/{name}");
        let preload = |name: &str| format!("<link rel=\"modulepreload\" href=\"{}\">\n", at(name));
        let modules: String = assets.iter().filter(|asset| asset.is_module()).map(|asset| preload(asset.name)).collect();
        let text = template.replace("{{modules}}", modules.trim_end()).replace("{{assets}}", at(folder).trim_end_matches('/'));
        Page { text }
    }

    /// The page as it is for a request, with the places of the APIs that it asks, each where `{{its name}}` stands.
    ///
    /// # Errors
    /// [`Fault::Unreadable`] for a request that names no host to find them at.
    pub(super) fn answer(&self, parts: &Parts, places: &[(&str, &Place)]) -> Result<Answer, Fault> {
        const NO_HOST: Fault = Fault::Unreadable("the header Host must name the host that the page is at");
        let (mut text, mut origins) = (self.text.clone(), Vec::new());
        for (name, place) in places {
            let origin = origin(parts, place).ok_or(NO_HOST)?;
            text = text.replace(&format!("{{{{{name}}}}}"), &format!("{origin}{}", place.prefix));
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        let policy = policy(&origins).and_then(|policy| HeaderValue::try_from(policy).ok()).ok_or(NO_HOST)?;
        let mut answer = answer::typed(StatusCode::OK, "text/html; charset=utf-8", text);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        for (name, value) in FIXED {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(answer)
    }
}

/// What a browser lets the page do: run our scripts, show our styles, ask its own listener and these. Pictures may also come from the
/// stream of a screen.
fn policy(origins: &[String]) -> Option<String> {
    let mut asked = String::new();
    for origin in origins {
        let socket = origin.strip_prefix("http").map(|rest| format!("ws{rest}"))?;
        asked.extend([" ", origin, " ", &socket]);
    }
    Some(format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'{asked}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ))
}

/// Where the page finds an API: as told by the settings, or on the host that it was asked under itself.
fn origin(parts: &Parts, place: &Place) -> Option<String> {
    if let Some(origin) = &place.origin {
        return Some(origin.clone());
    }
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host(parts.uri.authority().map(|authority| authority.as_str()).or(named)?)?;
    let scheme = if place.is_secure { "https" } else { "http" };
    Some(format!("{scheme}://{host}:{}", place.port))
}

/// The host of `host:port`: a name, or an address; none where it could be taken for anything else in a header or a document.
fn host(given: &str) -> Option<&str> {
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    let is_address = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let (host, port) = match given.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, port)) => (given.get(..inner.len() + 2).filter(|_| is_address(inner))?, port),
        None => {
            let end = given.find(':').unwrap_or(given.len());
            let (host, port) = given.split_at(end);
            (Some(host).filter(|host| is_name(host))?, port)
        }
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    (is_port && (1..=HOST_BYTES).contains(&host.len())).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        for (given, expected) in [
            ("localhost", "localhost"),
            ("localhost:9090", "localhost"),
            ("127.0.0.1:9090", "127.0.0.1"),
            ("labs-1.example.school", "labs-1.example.school"),
            ("[::1]:9090", "[::1]"),
            ("[fe80::1]", "[fe80::1]"),
        ] {
            assert_eq!(host(given), Some(expected), "{given}");
        }
        for given in
            ["", ":9090", "a b", "a;b", "a\"b", "a<b", "a:b", "a:1:2", "[::1", "[::1]x", "[a b]", "[]x", "é", "a/b", "a@b"]
        {
            assert_eq!(host(given), None, "{given}");
        }
        assert_eq!(host(&"a".repeat(256)), None);
    }
}
