//! Who asks: an owner by access token or API key, a participant by the session token in the path.

use super::{fault::Fault, rooms::Credentials};
use crate::{
    http::{audit::says_who, call::Call},
    protocols::quiz::model::{AttemptId, OwnerId, QuizId, Role},
    realtime::StoreFault,
};
use http::header;
use std::str::FromStr;

const EXPECTED: &str = "expected an access token (authorization: Bearer …) or an API key (x-api-key: …) that is valid";
const NO_SESSION: &str = "expected a session token in the path";

/// What an owner's credential is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Caller {
    /// An access token.
    Token(OwnerId),
    /// An API key.
    Key(OwnerId, Role),
}

impl Caller {
    /// Whose credential it is, whatever it may.
    pub(super) fn into_owner(self) -> OwnerId {
        match self {
            Caller::Token(owner) | Caller::Key(owner, _) => owner,
        }
    }
}

/// The credential of the headers. None: the request has none. [`Fault::Unknown`]: it is no good. [`Fault::Store`]: nobody knows yet.
pub(super) fn caller<S: Credentials>(call: &Call<S>) -> Result<Option<Caller>, Fault> {
    const NO_GOOD: Fault = Fault::Unknown(EXPECTED);
    let headers = &call.parts.headers;
    let is_there = headers.contains_key("x-api-key") || headers.contains_key(header::AUTHORIZATION);
    if is_there && !call.house.knows_keys() {
        return Err(Fault::Store(StoreFault::Busy));
    }
    if let Some(key) = headers.get("x-api-key") {
        let key = key.to_str().map_err(|_| NO_GOOD)?;
        return by_key(call, key).ok_or(NO_GOOD).map(Some);
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let (scheme, credential) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(NO_GOOD)?;
    let credential = credential.trim();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(NO_GOOD);
    }
    if let Some(caller) = by_key(call, credential) {
        return Ok(Some(caller));
    }
    call.house.token(credential).map(|owner| Some(Caller::Token(owner))).map_err(|_| NO_GOOD)
}

/// As [`caller`], and the audit log may know it.
fn known<S: Credentials>(call: &Call<S>) -> Result<Option<Caller>, Fault> {
    let caller = caller(call)?;
    if let Some(Caller::Token(owner) | Caller::Key(owner, _)) = &caller {
        says_who(&call.parts.extensions, owner);
    }
    Ok(caller)
}

fn by_key<S: Credentials>(call: &Call<S>, key: &str) -> Option<Caller> {
    call.house.api_key(key).map(|(owner, role)| Caller::Key(owner, role))
}

/// The owner who asks, by a credential that may do all that owners do.
pub(super) fn owner<S: Credentials>(call: &Call<S>) -> Result<OwnerId, Fault> {
    match known(call)?.ok_or(Fault::Unknown(EXPECTED))? {
        Caller::Token(owner) | Caller::Key(owner, Role::Owner) => Ok(owner),
        Caller::Key(_, Role::User) => Err(Fault::Role("an API key of role user only begins attempts")),
    }
}

/// The owner who asks, by an access token: API keys make no API keys.
pub(super) fn keeper<S: Credentials>(call: &Call<S>) -> Result<OwnerId, Fault> {
    match known(call)?.ok_or(Fault::Unknown(EXPECTED))? {
        Caller::Token(owner) => Ok(owner),
        Caller::Key(..) => Err(Fault::Role("API keys are kept with an access token")),
    }
}

/// The attempt whose session token is in the path.
pub(super) fn session<S: Credentials>(call: &Call<S>) -> Result<(QuizId, AttemptId), Fault> {
    call.text("attempt").and_then(|token| call.house.session(token)).ok_or(Fault::Unknown(NO_SESSION))
}

/// An id in the path. One that is none is not there.
pub(super) fn id<S, T: FromStr>(call: &Call<S>, name: &str) -> Result<T, Fault> {
    call.text(name).and_then(|text| text.parse().ok()).ok_or(Fault::NotFound)
}
