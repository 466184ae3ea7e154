//! The last lines of a session's log. Whoever wants to follow it upgrades, and does not come here.

use super::{
    Rooms,
    auth::unexpected,
    caller::caller,
    fault::Fault,
    params,
    sessions::{id, over},
    shapes::done,
};
use crate::{
    http::{answer::Answer, call::Call},
    protocols::labs::{
        admission::{LOG_LINES, LOG_LINES_AT_MOST},
        asks::{Ask, Refused, Reply},
        logs::stripped,
    },
};
use serde::Serialize;

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Logs {
    logs: Vec<String>,
}

/// GET /sessions/{session}/logs
pub(super) async fn logs<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call).await?;
    let id = id(&call)?;
    let tail = params::number(&call, "tail", LOG_LINES, "Expected a whole number from 0")?.min(LOG_LINES_AT_MOST);
    if params::flag(&call, "follow", false)? {
        return Err(Fault::Parameter("follow", "To follow a log, upgrade to WebSocket"));
    }
    let timestamps = params::flag(&call, "timestamps", true)?;
    let mut lines = match call.house.ask(Ask::Logs { session: id, caller: caller.asks(), tail }).await {
        Reply::Logs(lines) => lines,
        // It ended some time ago, and nobody has its lines any more.
        Reply::Refused(Refused::NoSession) => over(&call, &caller, id).await.map(|_| Vec::new())?,
        other => return Err(unexpected(other)),
    };
    if !timestamps {
        lines.iter_mut().for_each(|line| *line = stripped(line).to_owned());
    }
    Ok(done(&Logs { logs: lines }))
}
