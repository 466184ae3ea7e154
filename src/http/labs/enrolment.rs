//! Agents of the second dialect: what they say by HTTP before they connect, and instead of a heartbeat on their socket.

use super::{
    Rooms,
    auth::unexpected,
    caller::path,
    fault::Fault,
    shapes::{EnrolledShape, PulseShape, done},
};
use crate::{
    auth::AgentKeyFault,
    http::{
        answer::{self, Answer},
        call::Call,
    },
    protocols::labs::{
        agent_messages,
        asks::{Ask, Refused, Reply},
        enrolment,
    },
};
use http::{HeaderName, StatusCode};

const KEY: HeaderName = HeaderName::from_static("x-agent-api-key");

/// POST /agents/register
pub(super) async fn register<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admitted(&call)?;
    let hello = enrolment::enrolment(&call.body).map_err(told)?;
    match call.house.ask(Ask::Enrol(Box::new(hello))).await {
        Reply::Enrolled { new, agent } => {
            let status = if new { StatusCode::CREATED } else { StatusCode::OK };
            Ok(answer::json(status, &EnrolledShape::from(&*agent)))
        }
        other => Err(unexpected(other)),
    }
}

/// POST /agents/{agent}/heartbeat
pub(super) async fn heartbeat<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admitted(&call)?;
    let name = path(&call, "agent");
    let capacity = enrolment::heartbeat(&call.body).map_err(told)?;
    match call.house.ask(Ask::Pulse { agent: name.into(), capacity }).await {
        Reply::Agent(view) => Ok(done(&PulseShape::from(&*view))),
        Reply::Refused(Refused::NoAgent) => Err(Fault::NoAgent(name.to_owned())),
        other => Err(unexpected(other)),
    }
}

/// Whether the agent shows the key that it must.
fn admitted<S: Rooms>(call: &Call<S>) -> Result<(), Fault> {
    let shown = call.parts.headers.get(KEY).and_then(|value| value.to_str().ok());
    call.house.admits(shown).map_err(|fault| match fault {
        AgentKeyFault::Missing => Fault::NoAgentKey,
        AgentKeyFault::Wrong => Fault::Forbidden("X-Agent-API-Key is not the key of this server's agents"),
    })
}

fn told(fault: agent_messages::Fault) -> Fault {
    const EXPECTED: &str = "The body must be a JSON object";
    match fault {
        agent_messages::Fault::Missing(field) => Fault::Missing(field),
        agent_messages::Fault::Wrong(field) => Fault::Field(field, "Expected what its name says, in its form and range"),
        agent_messages::Fault::Json | agent_messages::Fault::UnknownType | agent_messages::Fault::Binary => {
            Fault::Unreadable(EXPECTED)
        }
    }
}
