//! The REST routes as one patient client uses them: one request after the other on a kept connection. For setting up and reading back;
//! nothing here is measured.

use super::{
    http::{Answer, Target, response},
    tls::{Duplex, connect},
};
use serde::{Deserialize, de::DeserializeOwned};
use std::{io, time::Duration};

/// One client with one credential.
pub(crate) struct Rest {
    target: Target,
    token: String,
    within: Duration,
    stream: Option<Box<dyn Duplex>>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    code: String,
    data: Option<T>,
}

impl Rest {
    /// `target` is the WebSocket's route, `…/ws`: the REST routes are beside it, below `…/api/v1`.
    pub(crate) fn new(target: &Target, token: &str, within: Duration) -> Rest {
        Rest { target: beside(target), token: token.to_owned(), within, stream: None }
    }

    /// The `data` of the answer to a GET.
    ///
    /// # Errors
    /// Those of the socket; any other code than `0000`; an answer that is not understood.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, path: &str) -> io::Result<T> {
        self.ask("GET", path, "")
    }

    /// The `data` of the answer to a POST.
    ///
    /// # Errors
    /// As [`Rest::read`].
    pub(crate) fn post<T: DeserializeOwned>(&mut self, path: &str, body: &str) -> io::Result<T> {
        self.ask("POST", path, body)
    }

    fn ask<T: DeserializeOwned>(&mut self, method: &str, path: &str, body: &str) -> io::Result<T> {
        let named = |fault: io::Error| io::Error::new(fault.kind(), format!("{method} {path}: {fault}"));
        let (status, text) = self.exchange(method, path, body).map_err(named)?;
        let envelope = serde_json::from_slice::<Envelope<T>>(&text).map_err(|fault| named(fault.into()))?;
        match envelope.data {
            Some(data) if envelope.code == "0000" => Ok(data),
            _ => Err(named(io::Error::other(format!("http {status}, {}", envelope.code)))),
        }
    }

    /// The status and body of an answer, whatever they are.
    ///
    /// # Errors
    /// Those of the socket; an answer that is no HTTP.
    pub(crate) fn exchange(&mut self, method: &str, path: &str, body: &str) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.target, self.within)?,
        };
        let (Target { host, path: base, .. }, token, length) = (&self.target, &self.token, body.len());
        let request = format!(
            "{method} {base}{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 65_536]);
        loop {
            match stream.read(&mut buffer)? {
                0 => return Err(io::Error::other("the answer ended early")),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
            if let Answer::Whole((status, text), _) = response(&bytes).map_err(|fault| io::Error::other(fault.to_string()))? {
                let answer = (status, text.to_vec());
                self.stream = Some(stream);
                return Ok(answer);
            }
        }
    }
}

/// The REST routes beside a WebSocket route.
pub(crate) fn beside(target: &Target) -> Target {
    let base = target.path.strip_suffix("/ws").unwrap_or(&target.path);
    Target { path: format!("{base}/api/v1"), ..target.clone() }
}

#[cfg(test)]
mod tests {
    use super::{super::tls::Trust, *};

    #[test]
    fn routes_are_beside_the_socket() {
        let path = |url| beside(&Target::parse(url, "ws", &Trust::Host).unwrap()).path;
        assert_eq!(path("ws://127.0.0.1:8090/ws"), "/api/v1");
        assert_eq!(path("ws://127.0.0.1:8090/quiz/ws"), "/quiz/api/v1");
    }
}
