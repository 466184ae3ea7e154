//! What was said, part by part.

use super::{
    Rooms,
    caller::{caller, seen, session},
    fault::Fault,
    shapes::{self, done},
};
use crate::{
    http::{answer::Answer, call::Call, params},
    protocols::chat::{
        messages::read,
        record::{From, History},
    },
};

const ENTRIES: u32 = 50;
const ENTRIES_MAX: u32 = 200;

/// GET /sessions/{session}/messages
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    const UNKNOWN: Fault = Fault::Code("MESSAGE_INVALID", "the cursor is not a message of the session");
    let (caller, session) = (caller(&call)?, session(&call)?);
    let limit = params::number(&call, "limit", ENTRIES, 1..=ENTRIES_MAX, "expected a whole number from 1 to 200")?;
    let cursor = |text: String| read("msg_", &text).ok_or(UNKNOWN);
    let from = match (params::text(&call, "before")?, params::text(&call, "after")?) {
        (Some(_), Some(_)) => return Err(Fault::Field("before", "expected without after")),
        (Some(before), None) => From::Before(cursor(before)?),
        (None, Some(after)) => From::After(cursor(after)?),
        (None, None) => From::Newest,
    };
    seen(call.house.session(session).await?, &caller)?;
    let part = call.house.messages(History { session, from, limit }).await?.ok_or(UNKNOWN)?;
    Ok(done(&shapes::history(&part)))
}
