//! Agents: listed, shown, told to do something.

use super::{
    Rooms,
    caller::caller,
    fault::Fault,
    shapes::{AgentShape, done},
    work::{made, taken},
};
use crate::{
    http::{answer::Answer, call::Call, fields::Fields},
    models::Agent,
    protocols::tasks::model::Kind,
};
use std::sync::Arc;

/// GET /agents
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call)?;
    let agents: Vec<AgentShape<'_>> = call.house.catalog().agents.values().map(|agent| AgentShape::from(&**agent)).collect();
    Ok(done(&agents))
}

/// GET /agents/{agent}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call)?;
    Ok(done(&AgentShape::from(&**named(&call, call.text("agent").unwrap_or_default())?)))
}

/// POST /agents/{agent}/execute
pub(super) async fn execute<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call)?;
    let agent = named(&call, call.text("agent").unwrap_or_default())?.name.clone();
    let mut task = made(&call, &caller, &Fields::of(&call)?, Some(&agent))?;
    task.kind = Kind::of(&agent);
    taken(&call, task).await
}

/// An agent that is configured.
pub(super) fn named<'a, S: Rooms>(call: &'a Call<S>, name: &str) -> Result<&'a Arc<Agent>, Fault> {
    call.house.catalog().agents.get(name).ok_or(Fault::Missing("Agent"))
}
