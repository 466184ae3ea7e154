//! Which pages may open a WebSocket (RFC 6455, section 10.2; RFC 6454). A browser says whose page opens it, and no page can change that;
//! whoever is no browser says nothing.

use std::str::FromStr;

/// One rule: whose pages are let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OriginRule {
    /// `*`: any page.
    Any,
    /// `same-host`: a page of the host that the request was sent to, whatever its scheme and port.
    SameHost,
    /// `null`: a page without an origin of its own, such as a file or a frame that is shut off.
    Null,
    /// `https://school.example`: this origin.
    Exact(Box<str>),
    /// `https://*.school.example`: every host under this one, not the host itself. What stands before the star, and behind it.
    Under(Box<str>, Box<str>),
}

impl OriginRule {
    fn admits(&self, origin: &str, host: &str) -> bool {
        match self {
            OriginRule::Any => true,
            OriginRule::SameHost => host_of(origin).is_some_and(|own| own.eq_ignore_ascii_case(without_port(host))),
            OriginRule::Null => origin == "null",
            OriginRule::Exact(own) => plain(origin).is_some_and(|origin| origin == **own),
            OriginRule::Under(scheme, suffix) => plain(origin).is_some_and(|origin| {
                let name = origin.strip_prefix(&**scheme).and_then(|rest| rest.strip_suffix(&**suffix));
                name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_of_name))
            }),
        }
    }
}

/// Not a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRule;

impl FromStr for OriginRule {
    type Err = NoRule;
    fn from_str(text: &str) -> Result<OriginRule, NoRule> {
        match text {
            "*" => return Ok(OriginRule::Any),
            "same-host" => return Ok(OriginRule::SameHost),
            "null" => return Ok(OriginRule::Null),
            _ => {}
        }
        let origin = plain(&text.replacen("://*.", "://", 1)).ok_or(NoRule)?;
        match text.contains('*') {
            false => Ok(OriginRule::Exact(origin.into())),
            true if text.contains("://*.") => {
                let (scheme, host) = origin.split_once("://").ok_or(NoRule)?;
                Ok(OriginRule::Under(format!("{scheme}://").into(), format!(".{host}").into()))
            }
            true => Err(NoRule),
        }
    }
}

/// All rules of a kind of socket: one that lets a page in is enough.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins(pub Vec<OriginRule>);

impl Origins {
    /// Any page: for sockets that nobody gets by what a browser adds by itself.
    pub fn any() -> Origins {
        Origins(vec![OriginRule::Any])
    }

    /// Whether a request with this `Origin`, sent to this `Host`, may open a socket. Without an `Origin` it is no page's.
    pub fn admit(&self, origin: Option<&str>, host: &str) -> bool {
        origin.is_none_or(|origin| self.0.iter().any(|rule| rule.admits(origin, host)))
    }
}

/// An origin as browsers write it: in small letters, without a default port. `None`: it is none.
fn plain(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let (host, port) = authority.split_at(without_port(authority).len());
    let is_host = host.bytes().all(is_of_name) || host.starts_with('[') && host.ends_with(']');
    let is_port = port.is_empty() || port[1..].parse::<u16>().is_ok();
    let port = if port == default { "" } else { port };
    (is_host && is_port && !host.is_empty()).then(|| format!("{scheme}://{host}{port}"))
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

fn host_of(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| without_port(authority))
}

/// A host without the port behind it; an IPv6 address keeps its brackets.
fn without_port(authority: &str) -> &str {
    let from = authority.rfind(']').map_or(0, |end| end + 1);
    authority[from..].find(':').map_or(authority, |colon| &authority[..from + colon])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(rules: &[&str], origin: &str, host: &str) -> bool {
        Origins(rules.iter().map(|rule| rule.parse().unwrap()).collect()).admit(Some(origin), host)
    }

    #[test]
    fn whoever_is_no_browser_is_let_in_and_a_page_only_by_a_rule() {
        assert!(Origins::default().admit(None, "school.example"));
        assert!(!Origins::default().admit(Some("https://school.example"), "school.example"));
        assert!(Origins::any().admit(Some("null"), "h") && Origins::any().admit(Some("rubbish"), "h"));
    }

    #[test]
    fn pages_are_let_in_by_the_rule_that_is_theirs() {
        for (rule, origin, host, is_let_in) in [
            ("same-host", "https://school.example", "school.example", true),
            ("same-host", "http://School.example:3000", "school.EXAMPLE:8080", true),
            ("same-host", "http://[::1]:9090", "[::1]:8080", true),
            ("same-host", "http://[::1]", "[::2]", false),
            ("same-host", "https://school.example.evil.example", "school.example", false),
            ("same-host", "https://evil.example", "school.example", false),
            ("same-host", "null", "null", false),
            ("same-host", "https://evil.example/school.example", "school.example", false),
            ("same-host", "https://school.example@evil.example", "school.example", false),
            ("null", "null", "h", true),
            ("null", "NULL", "h", false),
            ("https://school.example", "https://school.example", "h", true),
            ("https://school.example", "https://school.example:443", "h", true),
            ("https://School.example:443", "https://school.example", "h", true),
            ("https://school.example", "HTTPS://SCHOOL.EXAMPLE", "h", true),
            ("https://school.example", "http://school.example", "h", false),
            ("https://school.example", "https://school.example:444", "h", false),
            ("https://school.example", "https://school.example.", "h", false),
            ("https://school.example", "https://school.example, https://evil.example", "h", false),
            ("https://school.example", "https://a.school.example", "h", false),
            ("https://*.school.example", "https://a.school.example", "h", true),
            ("https://*.school.example", "https://a.b.school.example", "h", true),
            ("https://*.school.example", "https://school.example", "h", false),
            ("https://*.school.example", "https://.school.example", "h", false),
            ("https://*.school.example", "https://evilschool.example", "h", false),
            ("https://*.school.example", "https://a.school.example:8443", "h", false),
            ("https://*.school.example", "http://a.school.example", "h", false),
            ("https://*.school.example", "https://evil.example/.school.example", "h", false),
            ("https://*.school.example", "https://evil.example#.school.example", "h", false),
            ("https://*.school.example:8443", "https://a.school.example:8443", "h", true),
            ("http://localhost:9090", "http://localhost:9090", "h", true),
            ("http://[::1]:9090", "http://[::1]:9090", "h", true),
        ] {
            assert_eq!(admit(&[rule], origin, host), is_let_in, "{rule}: {origin} to {host}");
        }
        assert!(admit(&["null", "https://b.example"], "https://b.example", "h"), "one of several");
    }

    #[test]
    fn what_is_no_rule_is_told() {
        for text in [
            "",
            "school.example",
            "ftp://school.example",
            "https://",
            "https://a/b",
            "https://*",
            "https://a.*.b",
            "*.b",
            "https://a:x",
        ] {
            assert_eq!(text.parse::<OriginRule>(), Err(NoRule), "{text}");
        }
    }
}
