//! Who asks.

use super::{fault::Fault, rooms::Credentials};
use crate::{
    http::{
        audit::says_who,
        bearer::{Bearer, bearer},
        call::Call,
    },
    protocols::tasks::model::Caller,
};
use uuid::Uuid;

/// The one whose token it is. [`Fault::NoToken`], [`Fault::BadToken`].
pub(super) fn caller<S: Credentials>(call: &Call<S>) -> Result<Caller, Fault> {
    match bearer(&call.parts.headers) {
        Bearer::None => Err(Fault::NoToken),
        Bearer::Other => Err(Fault::BadToken),
        Bearer::Token(token) => {
            let caller = call.house.caller(token).ok_or(Fault::BadToken)?;
            says_who(&call.parts.extensions, &caller.user);
            Ok(caller)
        }
    }
}

/// The id that stands in the path; what is none is nobody's.
pub(super) fn id<S>(call: &Call<S>, name: &str, what: &'static str) -> Result<Uuid, Fault> {
    call.text(name).and_then(|text| Uuid::try_parse(text).ok()).ok_or(Fault::Missing(what))
}
