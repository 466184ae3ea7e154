//! The token of a request's header. RFC 6750, 2.1.

use http::{HeaderMap, header};

/// What the header has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bearer<'a> {
    /// There is no such header.
    None,
    /// Another scheme, or nothing.
    Other,
    /// A token, not looked at.
    Token(&'a str),
}

/// Reads the header.
pub(super) fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Bearer::None };
    let parts = value.to_str().ok().and_then(|value| value.split_once(' '));
    let bearer = parts.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = bearer.map(|(_, token)| token.trim()).filter(|token| !token.is_empty());
    token.map_or(Bearer::Other, Bearer::Token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_a_bearer_has_a_token() {
        let said = |value: &'static str| HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
        assert_eq!(bearer(&HeaderMap::new()), Bearer::None);
        assert_eq!(bearer(&said("Bearer a.b.c")), Bearer::Token("a.b.c"));
        assert_eq!(bearer(&said("bearer  a.b.c ")), Bearer::Token("a.b.c"));
        for other in ["", "Bearer", "Bearer ", "Basic YTpi", "a.b.c"] {
            assert_eq!(bearer(&said(other)), Bearer::Other, "{other}");
        }
    }
}
