//! The part of the presence contract that every peer serves: the check of a sign-in, and what is delivered of a publish.
//!
//! The check is the least that the contract asks for: algorithm, signature, issuer, audience, subject, expiry.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::Sha256;
use std::{
    env, fs, io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The answer to a good sign-in. A Ping follows it.
pub const SUCCESS: &str = r#"{"type":"connect_success"}"#;
/// RFC 6455 section 7.4.1.
pub const POLICY: u16 = 1008;
const ISSUER: &str = "homeroom.local";
const AUDIENCE: &str = "school.local";

/// Who checks tokens.
#[derive(Clone)]
pub struct Guard {
    key: Hmac<Sha256>,
}

/// Who signed in, and where.
pub struct Student {
    /// The token's `sub`.
    pub subject: Box<str>,
    /// The classroom's id.
    pub classroom: String,
}

#[derive(Deserialize)]
struct Request<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    classroom_id: &'a str,
    token: &'a str,
}

#[derive(Deserialize)]
struct Head<'a> {
    alg: &'a str,
}

#[derive(Deserialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    exp: u64,
}

impl Guard {
    /// With the secret in the file that the environment's `PEER_KEY` names.
    ///
    /// # Errors
    /// There is none.
    pub fn from_env() -> io::Result<Guard> {
        let path = env::var("PEER_KEY").map_err(io::Error::other)?;
        let secret = fs::read(path)?;
        let key = Hmac::new_from_slice(secret.trim_ascii_end()).map_err(io::Error::other)?;
        Ok(Guard { key })
    }

    /// Reads the first frame. Nothing where it is no `connect_request`, or its token is not good.
    pub fn admit(&self, text: &[u8]) -> Option<Student> {
        let request: Request<'_> = serde_json::from_slice(text).ok()?;
        let subject = self.check(request.payload.token)?;
        (request.r#type == "connect_request").then(|| Student { subject, classroom: request.payload.classroom_id.to_owned() })
    }

    fn check(&self, token: &str) -> Option<Box<str>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let mut mac = self.key.clone();
        mac.update(signed.as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let head = URL_SAFE_NO_PAD.decode(head).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        let head: Head<'_> = serde_json::from_slice(&head).ok()?;
        let claims: Claims<'_> = serde_json::from_slice(&claims).ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let good = head.alg == "HS256" && claims.iss == ISSUER && claims.aud == AUDIENCE && claims.exp > now;
        (good && !claims.sub.is_empty()).then(|| claims.sub.into())
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    entity_type: &'a str,
    operation: &'a str,
    sequence_id: Option<u64>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Serialize)]
struct Delivered<'a> {
    id: Id<'a>,
    payload: &'a RawValue,
}

#[derive(Serialize)]
struct Id<'a> {
    entity_type: &'a str,
    operation: &'a str,
    sequence_id: u64,
}

/// What is delivered of the body of a publish, and its number: that which it brings, or `next`.
pub fn delivered(body: &[u8], next: u64) -> Option<(String, u64)> {
    let Event { entity_type, operation, sequence_id, payload } = serde_json::from_slice(body).ok()?;
    let sequence_id = sequence_id.unwrap_or(next);
    let text = serde_json::to_string(&Delivered { id: Id { entity_type, operation, sequence_id }, payload }).ok()?;
    Some((text, sequence_id))
}

/// The answer to a publish.
pub fn published(sequence_id: u64, members: usize) -> String {
    format!(r#"{{"sequence_id":{sequence_id},"members":{members}}}"#)
}

/// The port that the command line names.
///
/// # Errors
/// It names none.
pub fn port() -> io::Result<u16> {
    env::args().nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| io::Error::other("usage: PEER PORT"))
}

/// A runtime of one thread.
///
/// # Errors
/// The machine's.
pub fn run(served: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(served)
}

/// A listener with a queue that a bell fits in.
///
/// # Errors
/// The port is taken.
pub fn listener(port: u16) -> io::Result<tokio::net::TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_delivered_with_its_number() {
        let body = br#"{"entity_type":"load","operation":"tick","payload":{"at":1}}"#;
        let wanted = r#"{"id":{"entity_type":"load","operation":"tick","sequence_id":4},"payload":{"at":1}}"#;
        assert_eq!(delivered(body, 4), Some((wanted.to_owned(), 4)));
        assert_eq!(delivered(b"{}", 4), None);
    }

    #[test]
    fn only_a_good_token_is_admitted() {
        let guard = Guard { key: Hmac::new_from_slice(b"of this test").unwrap() };
        let sign = |claims: &str| {
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode(claims));
            let mac = guard.key.clone().chain_update(&signed).finalize().into_bytes();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
        };
        let good = sign(r#"{"iss":"homeroom.local","aud":"school.local","sub":"a","exp":9999999999}"#);
        assert_eq!(guard.check(&good).as_deref(), Some("a"));
        assert_eq!(guard.check(&good[..good.len() - 4]), None);
        assert_eq!(guard.check(&sign(r#"{"iss":"homeroom.local","aud":"school.local","sub":"a","exp":1}"#)), None);
        assert_eq!(guard.check(&sign(r#"{"iss":"other","aud":"school.local","sub":"a","exp":9999999999}"#)), None);
    }
}
