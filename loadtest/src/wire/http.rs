//! The little HTTP/1.1 that a load run speaks: the upgrade, publishes over kept connections, one plain GET.

use super::tls::{Tls, Trust, connect};
use crate::fault::Fault;
use serde::{Deserialize, Serialize};
use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};
use tungstenite::{handshake::derive_accept_key, http::Uri};

/// Where requests go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    /// The resolved address.
    pub(crate) address: SocketAddr,
    /// The `Host` header.
    pub(crate) host: String,
    /// The path, with no slash at its end.
    pub(crate) path: String,
    /// What is asked of it under TLS; none: it speaks without.
    pub(crate) tls: Option<Tls>,
}

impl Target {
    /// Reads `scheme://host:port/path` and resolves the host. With an `s` behind the scheme it is under TLS, with the certificates that are
    /// trusted.
    ///
    /// # Errors
    /// A sentence for the user: not a URL, another scheme, a host that does not resolve.
    pub(crate) fn parse(url: &str, scheme: &str, trust: &Trust) -> Result<Target, String> {
        let uri: Uri = url.parse().map_err(|fault| format!("{url}: {fault}"))?;
        let is_safe = match uri.scheme_str().and_then(|own| own.strip_prefix(scheme)) {
            Some("") => false,
            Some("s") => true,
            Some(_) | None => return Err(format!("{url}: must begin with {scheme}:// or {scheme}s://")),
        };
        let authority = uri.authority().ok_or_else(|| format!("{url}: names no host"))?;
        let name = authority.host().trim_matches(['[', ']']);
        let address = (name, authority.port_u16().unwrap_or(if is_safe { 443 } else { 80 }))
            .to_socket_addrs()
            .map_err(|fault| format!("{url}: {fault}"))?
            .next()
            .ok_or_else(|| format!("{url}: the host has no address"))?;
        let tls = is_safe.then(|| Tls { name: name.to_owned(), trust: trust.clone() });
        Ok(Target { address, host: authority.to_string(), path: uri.path().trim_end_matches('/').to_owned(), tls })
    }
}

/// The upgrade request of every connection of a worker, and how its answer is judged.
pub(crate) struct Upgrade {
    /// The request, ready to be sent.
    pub(crate) request: Vec<u8>,
    /// Where its path ends.
    path_end: usize,
    accept: String,
}

/// How far an answer has come.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Answer<T> {
    /// It needs more bytes.
    Incomplete,
    /// It is whole and took so many bytes.
    Whole(T, usize),
}

impl Upgrade {
    /// Builds the request. `nonce` is the same for all of a worker: the RFC's reason for a fresh one (caches that replay) does
    /// not arise here.
    pub(crate) fn new(target: &Target, nonce: [u8; 16]) -> Upgrade {
        let key = base64(nonce);
        let Target { host, path, .. } = target;
        let path = if path.is_empty() { "/" } else { path };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        );
        Upgrade { request: request.into_bytes(), path_end: "GET ".len() + path.len(), accept: derive_accept_key(key.as_bytes()) }
    }

    /// Writes the request with a query, `name=value` of letters that need no escape.
    pub(crate) fn write_with(&self, out: &mut Vec<u8>, name: &str, value: &str) {
        out.clear();
        out.extend_from_slice(&self.request[..self.path_end]);
        for part in ["?", name, "=", value] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(&self.request[self.path_end..]);
    }

    /// Writes the request for another path, with its query.
    pub(crate) fn write_to(&self, out: &mut Vec<u8>, path: &str) {
        out.clear();
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(&self.request[self.path_end..]);
    }

    /// Judges the bytes heard so far.
    ///
    /// # Errors
    /// Another status than 101, a wrong `Sec-WebSocket-Accept`, no HTTP at all.
    pub(crate) fn judge(&self, bytes: &[u8]) -> Result<Answer<()>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(bytes) {
            Err(_) => Err(Fault::Broken("answer to the upgrade is not HTTP")),
            Ok(httparse::Status::Partial) => Ok(Answer::Incomplete),
            Ok(httparse::Status::Complete(end)) => match response.code {
                Some(101) if header(response.headers, "sec-websocket-accept") == Some(self.accept.as_bytes()) => {
                    Ok(Answer::Whole((), end))
                }
                Some(101) => Err(Fault::Broken("wrong Sec-WebSocket-Accept")),
                status => Err(Fault::Http(status.unwrap_or(0))),
            },
        }
    }
}

/// Base64 of a nonce (RFC 4648 section 4): 16 bytes are 22 letters and two signs.
fn base64(nonce: [u8; 16]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = u128::from_be_bytes(nonce);
    let letter = |place: u32| char::from(LETTERS[(bits >> (122 - 6 * place)) as usize & 63]);
    let mut text: String = (0..21).map(letter).collect();
    text.push(char::from(LETTERS[(bits << 4) as usize & 63]));
    text + "=="
}

fn header<'a>(headers: &[httparse::Header<'a>], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Reads a response with a `Content-Length`: its status and body.
///
/// # Errors
/// No HTTP, or a body of unknown length.
pub(crate) fn response(bytes: &[u8]) -> Result<Answer<(u16, &[u8])>, Fault> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Err(_) => return Err(Fault::Broken("answer is not HTTP")),
        Ok(httparse::Status::Partial) => return Ok(Answer::Incomplete),
        Ok(httparse::Status::Complete(head)) => head,
    };
    let length = header(response.headers, "content-length")
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok())
        // RFC 9110 section 8.6: an answer that says that it has no content says no length.
        .or((response.code == Some(204)).then_some(0))
        .ok_or(Fault::Broken("answer without a content-length"))?;
    match bytes.get(head..head.saturating_add(length)) {
        Some(body) => Ok(Answer::Whole((response.code.unwrap_or(0), body), head + length)),
        None => Ok(Answer::Incomplete),
    }
}

/// One GET on a connection of its own; the body of a 200.
///
/// # Errors
/// Those of the socket; another status; no answer within the time.
pub(crate) fn fetch(target: &Target, path: &str, within: Duration) -> io::Result<String> {
    let mut stream = connect(target, within)?;
    let request = format!("GET {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.path, target.host);
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        // Whether it ended too early is what its own length tells.
        Err(fault) if fault.kind() == ErrorKind::UnexpectedEof => {}
        ended => drop(ended?),
    }
    match response(&bytes) {
        Ok(Answer::Whole((200, body), _)) => Ok(String::from_utf8_lossy(body).into_owned()),
        Ok(Answer::Whole((status, _), _)) => Err(io::Error::other(format!("http {status}"))),
        Ok(Answer::Incomplete) => Err(io::Error::other("the answer ended early")),
        Err(fault) => Err(io::Error::other(fault.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgrade() -> Upgrade {
        // The nonce and the answer of RFC 6455 section 1.3.
        Upgrade::new(&Target::parse("ws://127.0.0.1:8080/ws", "ws", &Trust::Host).unwrap(), *b"the sample nonce")
    }

    #[test]
    fn the_sample_of_the_rfc_is_accepted_byte_by_byte() {
        let request = String::from_utf8(upgrade().request).unwrap();
        assert!(request.starts_with("GET /ws HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"));
        assert!(request.contains("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x89\x00";
        let whole = answer.len() - 2;
        for cut in 0..whole {
            assert_eq!(upgrade().judge(&answer[..cut]), Ok(Answer::Incomplete));
        }
        assert_eq!(upgrade().judge(answer), Ok(Answer::Whole((), whole)));
    }

    #[test]
    fn a_query_goes_behind_the_path() {
        let mut request = Vec::new();
        upgrade().write_with(&mut request, "session", "a-b_c");
        assert!(request.starts_with(b"GET /ws?session=a-b_c HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"));
    }

    #[test]
    fn refusals_of_the_upgrade_are_told_apart() {
        let judge = |text: &str| upgrade().judge(text.as_bytes());
        assert_eq!(judge("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"), Err(Fault::Http(503)));
        assert!(matches!(judge("HTTP/1.1 101 S\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"), Err(Fault::Broken(_))));
        assert!(matches!(judge("SSH-2.0-OpenSSH\r\n"), Err(Fault::Broken(_))));
    }

    #[test]
    fn responses_are_whole_when_their_body_is() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP";
        assert_eq!(response(&text[..39]), Ok(Answer::Incomplete));
        assert_eq!(response(text), Ok(Answer::Whole((200, b"body".as_slice()), text.len() - 4)));
        assert!(response(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        let target = Target::parse("http://127.0.0.1/base/", "http", &Trust::Host).unwrap();
        assert_eq!((target.address, target.path.as_str()), (([127, 0, 0, 1], 80).into(), "/base"));
        assert_eq!(target.tls, None);
        let safe = Target::parse("wss://[::1]/ws", "ws", &Trust::Anybody).unwrap();
        assert_eq!((safe.address.port(), safe.tls), (443, Some(Tls { name: "::1".to_owned(), trust: Trust::Anybody })));
        for wrong in ["https://127.0.0.1/", "wsss://127.0.0.1/", "w://127.0.0.1/", "nonsense"] {
            assert!(Target::parse(wrong, "ws", &Trust::Host).is_err(), "{wrong}");
        }
    }
}
