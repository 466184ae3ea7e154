//! The socket's path without an upgrade: upgrades never come here, the ring keeps them. Whoever looks with a plain client sees the refusals
//! that an upgrade would have met, and else that an upgrade is wanted.

use super::{Rooms, fault::Fault};
use crate::{
    http::{
        answer::{self, Answer},
        call::Call,
        rooms::Unverified,
    },
    protocols::quiz::{
        admission::{Credential, Denial, UPGRADE_WANTED, credential},
        asks::{Ask, Refused, Reply},
        model::Role,
    },
};
use http::{HeaderValue, StatusCode, header};

/// GET /ws
pub(super) async fn ws<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    Ok(admitted(&call).await.map_or_else(denied, |()| upgrade_wanted()))
}

async fn admitted<S: Rooms>(call: &Call<S>) -> Result<(), Denial> {
    match credential(call.parts.uri.query())? {
        Credential::Token(_) if !call.house.knows_keys() => Err(Denial::Unavailable),
        Credential::Token(token) => owner(call, &token),
        Credential::Session(session) => participant(call, &session).await,
    }
}

fn owner<S: Rooms>(call: &Call<S>, token: &str) -> Result<(), Denial> {
    match call.house.api_key(token) {
        Some((_, Role::Owner)) => Ok(()),
        Some((_, Role::User)) => Err(Denial::Role),
        None => call.house.token(token).map(drop).map_err(|Unverified| Denial::Credential),
    }
}

async fn participant<S: Rooms>(call: &Call<S>, session: &str) -> Result<(), Denial> {
    let (quiz, attempt) = call.house.session(session).ok_or(Denial::Session)?;
    let reply = call.house.ask(Ask::Look { quiz, attempt }).await;
    let Reply::Looked(view) = reply else {
        return Err(if reply == Reply::Refused(Refused::NotFound) { Denial::Session } else { Denial::Unavailable });
    };
    if view.end.is_none() { Ok(()) } else { Err(Denial::Session) }
}

fn denied(denial: Denial) -> Answer {
    let status = StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer::typed(status, "application/json", denial.body())
}

/// RFC 9110, 15.5.22.
fn upgrade_wanted() -> Answer {
    let mut answer = answer::typed(StatusCode::UPGRADE_REQUIRED, "application/json", UPGRADE_WANTED);
    answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answer
}
