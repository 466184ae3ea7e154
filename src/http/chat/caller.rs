//! Who asks, and what of the path they ask about.

use super::{
    fault::{Fault, NO_SESSION},
    rooms::Credentials,
};
use crate::{
    http::{
        audit::says_who,
        bearer::{Bearer, bearer},
        call::Call,
    },
    protocols::chat::{
        SessionId,
        messages::read,
        model::{Caller, Session},
    },
};
use http::HeaderMap;

/// The one whose token it is. [`Fault::NoToken`], [`Fault::BadToken`].
pub(super) fn judged(house: &impl Credentials, headers: &HeaderMap) -> Result<Caller, Fault> {
    match bearer(headers) {
        Bearer::None => Err(Fault::NoToken),
        Bearer::Other => Err(Fault::BadToken),
        Bearer::Token(token) => house.caller(token).ok_or(Fault::BadToken),
    }
}

/// The one who asks.
pub(super) fn caller<S: Credentials>(call: &Call<S>) -> Result<Caller, Fault> {
    let caller = judged(&*call.house, &call.parts.headers)?;
    says_who(&call.parts.extensions, &caller.id.to_string());
    Ok(caller)
}

/// The session of the path.
pub(super) fn session<S>(call: &Call<S>) -> Result<SessionId, Fault> {
    call.text("session").and_then(|id| read("sess_", id)).ok_or(NO_SESSION)
}

/// A session that was read, if the caller may see it.
pub(super) fn seen(session: Option<Session>, caller: &Caller) -> Result<Session, Fault> {
    session.filter(|session| caller.admin || session.owner == caller.id).ok_or(NO_SESSION)
}
