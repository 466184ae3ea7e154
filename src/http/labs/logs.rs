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
    protocols::labs::asks::{Ask, Refused, Reply},
};
use serde::Serialize;

const LINES: u32 = 100;
/// More are as good as this.
const LINES_MAX: u32 = 10_000;

#[derive(Serialize)]
struct Logs {
    logs: Vec<String>,
}

/// GET /sessions/{session}/logs
pub(super) async fn logs<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call).await?;
    let id = id(&call)?;
    let tail = params::number(&call, "tail", LINES, "Expected a whole number from 0")?.min(LINES_MAX);
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
        lines.iter_mut().for_each(strip);
    }
    Ok(done(&Logs { logs: lines }))
}

/// Takes the time away that a line begins with, if it does.
fn strip(line: &mut String) {
    if let Some((first, rest)) = line.split_once(' ')
        && first.parse::<jiff::Timestamp>().is_ok()
    {
        *line = rest.to_owned();
    }
}
