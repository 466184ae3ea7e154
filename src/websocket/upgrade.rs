//! The first bytes of a connection: a WebSocket's opening handshake (RFC 6455 §4.2), other HTTP, or rubbish.

use httparse::{EMPTY_HEADER, Error, Header, Request, Status};
use memchr::memchr_iter;
use tungstenite::handshake::derive_accept_key;

/// A sound limit for a head, in bytes. Browsers send less than 2 KiB without cookies.
pub const HEAD_BYTES: usize = 8 * 1024;
/// More headers than any browser sends: also the most that can be let in.
pub const HEADERS: usize = 64;
/// The longest of the registered HTTP methods.
const METHOD_BYTES: usize = "UPDATEREDIRECTREF".len();

/// What a head may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Its length with the empty line, in bytes.
    pub bytes: usize,
    /// How many headers, [`HEADERS`] at most.
    pub headers: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { bytes: HEAD_BYTES, headers: HEADERS }
    }
}

/// What the first bytes are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Head<'a> {
    /// Not complete, and not known to be bad.
    Incomplete,
    /// A WebSocket upgrade, to be answered by [`accept`] or [`refuse`].
    Upgrade(Upgrade<'a>),
    /// A complete head that asks for no WebSocket. It may still be faulty; whoever serves HTTP judges it.
    Http,
    /// To be answered by [`Refusal::write`] and closed.
    Refused(Refusal),
}

/// A well-formed WebSocket upgrade.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade<'a> {
    /// How many bytes the head took. What follows is the WebSocket's.
    pub length: usize,
    /// The path of the request target, still percent-encoded; begins with a slash.
    pub path: &'a str,
    /// What follows the question mark, if there is one.
    pub query: Option<&'a str>,
    /// The host and port that the client meant.
    pub host: &'a str,
    /// The page that asked, if a browser did.
    pub origin: Option<&'a str>,
    /// The subprotocols on offer, in the client's order.
    pub protocols: Vec<&'a str>,
    /// `Sec-WebSocket-Key`, checked.
    key: &'a str,
}

/// A request that is answered without being served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Why, for the peer.
    pub text: &'static str,
}

impl Refusal {
    /// Appends the whole answer. The connection is to be closed after it.
    pub fn write(&self, out: &mut Vec<u8>) {
        refuse(self.status, Body::Text(self.text), out);
    }
}

/// The body of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// Plain text.
    Text(&'a str),
    /// A JSON document.
    Json(&'a str),
}

/// Reads all bytes that a connection has sent so far. While the head is incomplete a call costs one search for line ends, so that
/// a slow drip of as many bytes as may be costs far less than its packets.
pub fn read(bytes: &[u8], bounds: Bounds) -> Head<'_> {
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    match head_length(&bytes[start..]) {
        Some(length) if start + length > bounds.bytes => too_large(),
        Some(length) => parse(&bytes[start..start + length], start, bounds.headers),
        None if bytes.len() > bounds.bytes => too_large(),
        None if may_become_http(&bytes[start..]) => Head::Incomplete,
        None => refused(400, "not HTTP"),
    }
}

/// The upgrade in a head that was read before: what a head may have was asked then, and may be less by now.
pub fn read_before(bytes: &[u8]) -> Option<Upgrade<'_>> {
    match read(bytes, Bounds { bytes: usize::MAX, headers: HEADERS }) {
        Head::Upgrade(request) => Some(request),
        Head::Incomplete | Head::Http | Head::Refused(_) => None,
    }
}

/// Path and query of a complete head that is a plain GET, as [`Upgrade`] has them: for those who serve a path to WebSockets alone and tell
/// others why not.
pub fn plain_get(bytes: &[u8]) -> Option<(&str, Option<&str>)> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    request.parse(&bytes[start..]).ok().filter(Status::is_complete)?;
    if request.method == Some("GET") { request.path.and_then(path_and_query) } else { None }
}

/// The value of a header of a complete head, if it is there once and is text.
pub fn header_of<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    request.parse(&bytes[start..]).ok().filter(Status::is_complete)?;
    only(request.headers, name).ok().flatten()
}

/// Appends the answer that makes the connection a WebSocket. `protocol` must be one of those on offer; neither it nor a header
/// may hold a line end.
pub fn accept(upgrade: &Upgrade<'_>, extra_headers: &[(&str, &str)], protocol: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    header(out, "Upgrade", "websocket");
    header(out, "Connection", "Upgrade");
    header(out, "Sec-WebSocket-Accept", &derive_accept_key(upgrade.key.as_bytes()));
    if let Some(protocol) = protocol {
        debug_assert!(upgrade.protocols.contains(&protocol));
        header(out, "Sec-WebSocket-Protocol", protocol);
    }
    extra_headers.iter().for_each(|(name, value)| header(out, name, value));
    out.extend_from_slice(b"\r\n");
}

/// Appends a whole HTTP answer after which the connection is to be closed.
pub fn refuse(status: u16, body: Body<'_>, out: &mut Vec<u8>) {
    let (kind, body) = match body {
        Body::Text(text) => ("text/plain; charset=utf-8", text),
        Body::Json(json) => ("application/json", json),
    };
    out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason_phrase(status)).as_bytes());
    if status == 426 {
        header(out, "Upgrade", "websocket");
        header(out, "Connection", "Upgrade, close");
        header(out, "Sec-WebSocket-Version", "13");
    } else {
        header(out, "Connection", "close");
    }
    if status == 429 {
        header(out, "Retry-After", "1");
    }
    header(out, "Content-Type", kind);
    header(out, "Content-Length", &body.len().to_string());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.as_bytes());
}

fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Refused")
}

fn header(out: &mut Vec<u8>, name: &str, value: &str) {
    debug_assert!(![name, value].iter().any(|text| text.contains(['\r', '\n'])));
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

const fn refused<'a>(status: u16, text: &'static str) -> Head<'a> {
    Head::Refused(Refusal { status, text })
}

const fn too_large<'a>() -> Head<'a> {
    refused(431, "the head of the request is too large")
}

/// Up to and with the empty line. A bare LF ends a line as well, as for the parser.
fn head_length(bytes: &[u8]) -> Option<usize> {
    memchr_iter(b'\n', bytes).find_map(|end| match bytes[end + 1..] {
        [b'\n', ..] => Some(end + 2),
        [b'\r', b'\n', ..] => Some(end + 3),
        _ => None,
    })
}

/// Whether it begins with a method and a space, as far as it goes.
fn may_become_http(bytes: &[u8]) -> bool {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-').count();
    let ended = bytes.get(method).is_some_and(|byte| *byte == b' ');
    method <= METHOD_BYTES && (method == bytes.len() || method > 0 && ended)
}

/// A complete head, after `start` bytes of empty lines.
fn parse(bytes: &[u8], start: usize, most: usize) -> Head<'_> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) => start + length,
        Ok(Status::Partial) => return refused(400, "not HTTP"),
        Err(Error::TooManyHeaders) => return refused(431, "too many headers"),
        Err(Error::Version) => return refused(505, "not HTTP/1"),
        Err(_) => return refused(400, "not HTTP"),
    };
    if request.headers.len() > most {
        return refused(431, "too many headers");
    }
    let asked = request.method == Some("GET")
        && request.version == Some(1)
        && has_token(request.headers, "Upgrade", "websocket")
        && has_token(request.headers, "Connection", "upgrade");
    if !asked {
        // Where one length is believed here and the other by a proxy in front, a second request could hide in the first.
        return if has_two_lengths(request.headers) { refused(400, "a body of two lengths") } else { Head::Http };
    }
    match upgrade(request.path.unwrap_or_default(), request.headers, length) {
        Ok(upgrade) => Head::Upgrade(upgrade),
        Err(refusal) => Head::Refused(refusal),
    }
}

/// Whether the length of the body is told more than once (RFC 9112 §6.3).
fn has_two_lengths(headers: &[Header<'_>]) -> bool {
    let (lengths, codings) = (values(headers, "Content-Length").count(), values(headers, "Transfer-Encoding").count());
    lengths > 1 || codings > 1 || lengths + codings > 1
}

/// A request for an upgrade, judged by RFC 6455 §4.2.1.
fn upgrade<'a>(target: &'a str, headers: &[Header<'a>], length: usize) -> Result<Upgrade<'a>, Refusal> {
    let bad = |text| Refusal { status: 400, text };
    // What a body would be to a proxy in front of us would be frames to us.
    let body =
        values(headers, "Content-Length").any(|length| length != b"0") || values(headers, "Transfer-Encoding").next().is_some();
    if body {
        return Err(bad("an upgrade has no body"));
    }
    let version = only(headers, "Sec-WebSocket-Version")?.ok_or(bad("Sec-WebSocket-Version is missing"))?;
    if version != "13" {
        return Err(Refusal { status: 426, text: "WebSocket version 13 is spoken here" });
    }
    let key = only(headers, "Sec-WebSocket-Key")?
        .filter(|key| is_key(key))
        .ok_or(bad("Sec-WebSocket-Key must be 16 bytes in base64"))?;
    let host = only(headers, "Host")?.ok_or(bad("Host is missing"))?;
    let (path, query) = path_and_query(target).ok_or(bad("a path is missing"))?;
    let protocols = values(headers, "Sec-WebSocket-Protocol").flat_map(tokens).map(str::from_utf8);
    let protocols = protocols.collect::<Result<_, _>>().map_err(|_| bad("Sec-WebSocket-Protocol is not text"))?;
    let origin = only(headers, "Origin")?;
    Ok(Upgrade { length, path, query, host, origin, protocols, key })
}

/// The target's path and query, for `/path?query` and for `http://host/path?query`.
fn path_and_query(target: &str) -> Option<(&str, Option<&str>)> {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => {
            let path = rest.find(['/', '?']).map_or("", |authority| &rest[authority..]);
            if path.starts_with('/') { path } else { return Some(("/", path.strip_prefix('?'))) }
        }
        Some(_) | None => target,
    };
    if !target.starts_with('/') || target.contains('#') {
        return None;
    }
    Some(target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query))))
}

/// 16 bytes in base64: 22 characters and two of padding.
fn is_key(key: &str) -> bool {
    key.strip_suffix("==").is_some_and(|digits| {
        digits.len() == 22 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
    })
}

fn values<'a>(headers: &[Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The value of a header that may be there once, as text.
fn only<'a>(headers: &[Header<'a>], name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = values(headers, name);
    let value = values.next().map(str::from_utf8).transpose();
    match (value, values.next()) {
        (Ok(value), None) => Ok(value),
        (Err(_), _) => Err(Refusal { status: 400, text: "a header is not text" }),
        (Ok(_), Some(_)) => Err(Refusal { status: 400, text: "a header is there twice" }),
    }
}

/// The members of a list with commas, without the empty ones.
fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

fn has_token(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name).flat_map(tokens).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of RFC 6455 §1.2, with what a browser adds.
    const GOOD: &str = "GET /ws?a=b&c HTTP/1.1\r\nHost: school.example\r\nuser-agent: x\r\nUPGRADE: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://school.example\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";

    fn changed(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from));
        GOOD.replacen(from, to, 1)
    }

    fn status(text: &str) -> u16 {
        match read(text.as_bytes(), Bounds::default()) {
            Head::Refused(refusal) => refusal.status,
            other => panic!("{other:?} for {text}"),
        }
    }

    #[test]
    fn a_good_upgrade_with_frames_behind_it() {
        let bytes = [GOOD.as_bytes(), b"\x81\x85frames"].concat();
        let Head::Upgrade(upgrade) = read(&bytes, Bounds::default()) else { panic!() };
        assert_eq!((upgrade.path, upgrade.query, upgrade.host), ("/ws", Some("a=b&c"), "school.example"));
        assert_eq!((upgrade.origin, &upgrade.protocols[..]), (Some("https://school.example"), &["chat", "superchat"][..]));
        assert_eq!(bytes[upgrade.length..], *b"\x81\x85frames");
        let mut out = Vec::new();
        accept(&upgrade, &[("X-Shard", "3")], Some("chat"), &mut out);
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\nX-Shard: 3\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_drip_is_incomplete_until_the_last_byte() {
        for head in [GOOD.to_owned(), format!("\r\n{GOOD}"), GOOD.replace("\r\n", "\n")] {
            for end in 0..head.len() {
                assert_eq!(read(&head.as_bytes()[..end], Bounds::default()), Head::Incomplete, "{end}");
            }
            let Head::Upgrade(upgrade) = read(head.as_bytes(), Bounds::default()) else { panic!("{head}") };
            assert_eq!((upgrade.length, upgrade.path), (head.len(), "/ws"));
        }
    }

    #[test]
    fn other_http_is_not_ours() {
        for text in [
            changed("UPGRADE: WebSocket", "Upgrade: h2c"),
            changed("keep-alive, Upgrade", "keep-alive"),
            changed("HTTP/1.1", "HTTP/1.0"),
            changed("GET", "POST"),
            "GET / HTTP/1.1\r\n\r\n".into(),
            "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into(),
        ] {
            assert_eq!(read(text.as_bytes(), Bounds::default()), Head::Http, "{text}");
        }
    }

    #[test]
    fn a_body_of_two_lengths_is_refused_whoever_serves_it() {
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 5",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 5\r\nContent-Length: 5",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        ] {
            assert_eq!(status(&format!("POST /a HTTP/1.1\r\nHost: h\r\n{headers}\r\n\r\n")), 400, "{headers}");
        }
        for header in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
            let head = format!("POST /a HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n");
            assert_eq!(read(head.as_bytes(), Bounds::default()), Head::Http);
        }
    }

    #[test]
    fn the_target_of_a_plain_get() {
        let plain = changed("UPGRADE: WebSocket\r\n", "");
        assert_eq!(plain_get(plain.as_bytes()), Some(("/ws", Some("a=b&c"))));
        assert_eq!(plain_get(format!("\r\n{plain}").as_bytes()), Some(("/ws", Some("a=b&c"))));
        assert_eq!(plain_get(plain.replace("GET", "POST").as_bytes()), None);
        assert_eq!(plain_get(plain.replace("/ws?a=b&c", "*").as_bytes()), None);
        assert_eq!(plain_get(&plain.as_bytes()[..plain.len() - 1]), None);
    }

    #[test]
    fn bad_upgrades_are_refused() {
        assert_eq!(status(&changed("Version: 13", "Version: 8")), 426);
        for (from, to) in [
            ("Sec-WebSocket-Version: 13\r\n", ""),
            ("Host: school.example\r\n", ""),
            ("Host: school.example\r\n", "Host: a\r\nHost: b\r\n"),
            ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="[1..].to_owned().leak()),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhb!BsZSBub25jZQ=="),
            ("Origin: https://school.example", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
            ("user-agent: x", "Content-Length: 10"),
            ("user-agent: x", "Content-Length: 0\r\nContent-Length: 7"),
            ("user-agent: x", "Transfer-Encoding: chunked"),
            ("user-agent: x", "folded: a\r\n b"),
            ("user-agent: x", "space : a"),
            ("/ws?a=b&c", "*"),
            ("/ws?a=b&c", "/ws#part"),
        ] {
            assert_eq!(status(&changed(from, to)), 400, "{from} as {to}");
        }
    }

    #[test]
    fn targets() {
        for (target, path, query) in [
            ("/", "/", None),
            ("/a?", "/a", Some("")),
            ("/a?u=http://x/y?z", "/a", Some("u=http://x/y?z")),
            ("http://h:1/b?c", "/b", Some("c")),
            ("ws://h", "/", None),
            ("ws://h?c", "/", Some("c")),
        ] {
            assert_eq!(path_and_query(target), Some((path, query)), "{target}");
        }
        assert_eq!(path_and_query("h:443"), None);
    }

    #[test]
    fn what_never_becomes_http_is_refused_at_once() {
        for rubbish in
            [&b"\x16\x03\x01\x02"[..], b"\0", b" GET", b"GET\r", b"\x81\x85", b"SSH-2.0-x\r\n", b"AVERYLONGWORDWITHOUTANYSPACE"]
        {
            assert!(matches!(read(rubbish, Bounds::default()), Head::Refused(Refusal { status: 400, .. })), "{rubbish:?}");
        }
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    }

    #[test]
    fn heads_have_a_limit() {
        let long = changed("user-agent: x", &format!("user-agent: {}", "x".repeat(HEAD_BYTES)));
        assert_eq!(status(&long), 431);
        assert_eq!(status(&long[..=HEAD_BYTES]), 431);
        assert_eq!(read(&long.as_bytes()[..HEAD_BYTES], Bounds::default()), Head::Incomplete);
        assert_eq!(status(&changed("user-agent: x", &["h: v"; 64].join("\r\n"))), 431);
        assert_eq!(status(&"\r\n".repeat(HEAD_BYTES)), 431);
    }

    #[test]
    fn refusals_are_whole_answers() {
        let mut out = Vec::new();
        Refusal { status: 426, text: "no" }.write(&mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"
        ));
        assert!(text.ends_with("Content-Length: 2\r\n\r\nno"));
        let mut out = Vec::new();
        refuse(404, Body::Json("{}"), &mut out);
        let expected =
            "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_one_of_four(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
            let _any = read(&bytes, Bounds { bytes: 100, ..Bounds::default() });
            let mut head = GOOD.as_bytes().to_vec();
            let at = at.index(head.len());
            head.splice(at..at, bytes);
            if let Head::Upgrade(upgrade) = read(&head, Bounds::default()) {
                prop_assert!(upgrade.length <= head.len() && upgrade.path.starts_with('/'));
            }
        }
    }
}
