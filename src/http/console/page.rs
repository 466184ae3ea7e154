//! The page of a desktop: one document for all of them, told where the labs are and what it may reach.

use super::{LabsPlace, assets::ASSETS};
use crate::http::{
    answer::{self, Answer},
    fault::Fault,
};
use http::{HeaderName, HeaderValue, StatusCode, header, request::Parts};

const TEMPLATE: &str = include_str!("lab/page.html");
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
    /// With files of this version.
    pub(super) fn new(version: &str) -> Page {
        // From the page's own place, whatever is before it.
        let at = |name: &str| format!("assets/{version}/{name}");
        let preload = |name: &str| format!("<link rel=\"modulepreload\" href=\"{}\">\n", at(name));
        let modules: String = ASSETS.iter().filter(|asset| asset.is_module()).map(|asset| preload(asset.name)).collect();
        Page { text: TEMPLATE.replace("{{modules}}", modules.trim_end()).replace("{{assets}}", at("lab").as_str()) }
    }

    /// The page as it is for a request.
    ///
    /// # Errors
    /// [`Fault::Unreadable`] for a request that names no host to find the labs at.
    pub(super) fn answer(&self, parts: &Parts, labs: &LabsPlace) -> Result<Answer, Fault> {
        let origin = origin(parts, labs).ok_or(Fault::Unreadable("the header Host must name the host that the page is at"))?;
        let policy = policy(&origin).and_then(|policy| HeaderValue::try_from(policy).ok());
        let policy = policy.ok_or(Fault::Unreadable("the header Host must name the host that the page is at"))?;
        let text = self.text.replace("{{labs}}", &format!("{origin}{}", labs.prefix));
        let mut answer = answer::typed(StatusCode::OK, "text/html; charset=utf-8", text);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        for (name, value) in FIXED {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(answer)
    }
}

/// What a browser lets the page do: run our scripts, show our styles, ask the labs. Pictures may also come from the stream of a screen.
fn policy(origin: &str) -> Option<String> {
    let socket = origin.strip_prefix("http").map(|rest| format!("ws{rest}"))?;
    Some(format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src {origin} {socket}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ))
}

/// Where the page finds the labs: as told by the settings, or on the host that it was asked under itself.
fn origin(parts: &Parts, labs: &LabsPlace) -> Option<String> {
    if let Some(origin) = &labs.origin {
        return Some(origin.clone());
    }
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host(parts.uri.authority().map(|authority| authority.as_str()).or(named)?)?;
    let scheme = if labs.is_secure { "https" } else { "http" };
    Some(format!("{scheme}://{host}:{}", labs.port))
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
