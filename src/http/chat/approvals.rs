//! Approvals: those that wait, and the answers to them.

use super::{
    Rooms,
    caller::{caller, seen, session},
    fault::Fault,
    sessions::{not_updated, unexpected},
    shapes::{self, ApprovedShape, RejectedShape, done},
};
use crate::{
    http::{answer::Answer, call::Call, fields::Fields},
    protocols::chat::{Ask, Reply, asks::Refused, messages::read, model::Approval},
};
use std::sync::Arc;
use uuid::Uuid;

const WORDS_CHARS: usize = 2_000;
const WORDS: &str = "expected at most 2000 characters";

/// GET /sessions/{session}/approvals
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, session) = (caller(&call)?, session(&call)?);
    match call.house.ask(Ask::Approvals { session, caller: caller.clone() }).await {
        Reply::Approvals(approvals) => Ok(done(&shapes::approvals(&approvals))),
        // Nothing is pending where no home cares.
        Reply::Refused(Refused::NotHere) => {
            seen(call.house.session(session).await?, &caller)?;
            Ok(done(&shapes::approvals(&[])))
        }
        Reply::Refused(Refused::Store(fault)) => Err(Fault::Store(fault)),
        other => Err(unexpected(other)),
    }
}

/// POST /sessions/{session}/approvals/{approval}/approve
pub(super) async fn approve<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    Ok(done(&ApprovedShape::from(&decide(&call, true).await?)))
}

/// POST /sessions/{session}/approvals/{approval}/reject
pub(super) async fn reject<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    Ok(done(&RejectedShape::from(&decide(&call, false).await?)))
}

/// POST /sessions/{session}/approvals/{approval}/{action}, where the action is another.
pub(super) async fn other<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call)?;
    Err(Fault::Code("APPROVAL_INVALID", "an approval can be approved or rejected"))
}

async fn decide<S: Rooms>(call: &Call<S>, yes: bool) -> Result<Approval, Fault> {
    let (caller, session) = (caller(call)?, session(call)?);
    let fields = Fields::of_any(call)?;
    let words = |name| fields.short(name, WORDS_CHARS, WORDS).map(|text| text.map(Arc::from));
    let (comment, reason) = (words("comment")?, words("reason")?);
    // What is no id is nobody's: whether the session is there is told first all the same.
    let approval = call.text("approval").and_then(|id| read("appr_", id)).unwrap_or(Uuid::nil());
    match call.house.ask(Ask::Decide { session, caller, approval, yes, reason, comment }).await {
        Reply::Decided(approval) => Ok(*approval),
        other => Err(not_updated(other)),
    }
}
