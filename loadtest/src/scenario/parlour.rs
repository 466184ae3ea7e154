//! Sets chats up: tokens or logins, and a session for each user.

use super::{Stop, expiry, read, secret};
use crate::{
    args::Chat,
    chat::{
        contract::{Made, Refusal, SignedIn},
        order::Seat,
    },
    order::mix,
    quiz::order::Secret,
    wire::{http::Target, rest::Rest},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    io,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};
use uuid::Uuid;

/// Of a token, as the server itself issues them.
#[derive(Serialize)]
struct Claims {
    iss: &'static str,
    sub: Uuid,
    username: String,
    email: String,
    role: &'static str,
    jti: Uuid,
    iat: u64,
    exp: u64,
}

/// Who speaks.
enum Users {
    Key(Vec<u8>),
    Logins(Vec<(String, String)>),
}

/// A session for each user, in the order of their numbers.
///
/// # Errors
/// No credential, or one that the server does not take; a session that is refused.
pub(super) fn seats(args: &Chat, target: &Target) -> Result<Vec<Seat>, Stop> {
    let users = users(args)?;
    let (next, count) = (AtomicU32::new(0), args.sessions);
    let work = || {
        let mut made = Vec::new();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= count {
                return Ok(made);
            }
            made.push(seat(args, target, &users, number)?);
        }
    };
    let all: io::Result<Vec<Vec<Seat>>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..args.in_flight.min(count)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended")))).collect()
    });
    let mut seats = all?.concat();
    seats.sort_unstable_by_key(|seat| seat.number);
    Ok(seats)
}

fn users(args: &Chat) -> Result<Users, Stop> {
    match (&args.key, &args.logins) {
        (Some(path), _) => Ok(Users::Key(secret(path)?)),
        (None, Some(path)) => {
            let text = String::from_utf8(read(path)?).map_err(|_| Stop::Usage(format!("{}: not text", path.display())))?;
            let pair = |line: &str| line.split_once(char::is_whitespace).map(|(email, word)| (email.to_owned(), word.to_owned()));
            let logins: Vec<_> = text.lines().filter_map(pair).collect();
            if logins.len() < args.sessions as usize {
                return Err(Stop::Usage(format!("{} logins for {} sessions", logins.len(), args.sessions)));
            }
            Ok(Users::Logins(logins))
        }
        (None, None) => Err(Stop::Usage("give --key or --logins".to_owned())),
    }
}

fn seat(args: &Chat, target: &Target, users: &Users, number: u32) -> io::Result<Seat> {
    let token = match users {
        Users::Key(secret) => sign(secret, args.site.seed, number)?,
        Users::Logins(logins) => {
            let (email, password) = &logins[number as usize];
            let body = json!({ "email": email, "password": password }).to_string();
            let mut rest = Rest::new(target, "", args.site.timeout);
            patient::<SignedIn>(&mut rest, "/auth/login", &body, 200, args.site.timeout)?.access_token
        }
    };
    let mut rest = Rest::new(target, &token, args.site.timeout);
    let body = match &args.agent {
        Some(agent) => json!({ "title": "Load", "agent_id": agent }),
        None => json!({ "title": "Load" }),
    };
    let Made { id } = patient(&mut rest, "/sessions/", &body.to_string(), 201, args.site.timeout)?;
    Ok(Seat { number, id, token: Secret(token) })
}

fn sign(secret: &[u8], seed: u64, number: u32) -> io::Result<String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let id = |salt: u64| {
        let high = mix(seed ^ mix(u64::from(number) ^ salt << 32));
        uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(mix(high))).to_be_bytes()).into_uuid()
    };
    let claims = Claims {
        iss: "homeroom",
        sub: id(1),
        username: format!("load-{seed}-{number}"),
        email: format!("load-{seed}-{number}@school.example"),
        role: "user",
        jti: id(2),
        iat: now,
        exp: expiry(),
    };
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .map_err(|fault| io::Error::other(format!("the key does not sign: {fault}")))
}

/// Asks, and asks again where the server says that it was asked too often, as long as `within` allows.
fn patient<T: DeserializeOwned>(rest: &mut Rest, path: &str, body: &str, wanted: u16, within: Duration) -> io::Result<T> {
    let start = Instant::now();
    loop {
        let (status, answer) = rest.exchange("POST", path, body)?;
        if status == wanted {
            return serde_json::from_slice(&answer).map_err(|fault| io::Error::other(format!("{path}: {fault}")));
        }
        let refusal = serde_json::from_slice::<Refusal>(&answer).ok();
        let wait = refusal.as_ref().and_then(|refusal| refusal.retry_after).map(Duration::from_secs);
        match wait.filter(|wait| status == 429 && start.elapsed() + *wait < within) {
            Some(wait) => thread::sleep(wait),
            None => {
                let code = refusal.map_or_else(String::new, |refusal| refusal.error);
                return Err(io::Error::other(format!("{path}: http {status} {code}")));
            }
        }
    }
}
