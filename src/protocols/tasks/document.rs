//! What sockets of tasks say and hear, for the document of their listener.
#![allow(dead_code)]

use super::{connection::Farewell, messages::Message as Heard};
use crate::documents::{Message, Parameter, Schemas, Scheme, Socket, Sockets};
use serde_json::json;
use utoipa::ToSchema;

/// What a client says.
#[derive(ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
enum Said {
    /// Tell me of this, now and whenever it changes.
    Subscribe(Subject),
    /// No longer.
    Unsubscribe(Subject),
    /// Tells an agent to do something. The task that comes of it is told of as if it were subscribed to.
    ExecuteAgent {
        /// Who is to do it.
        agent_id: String,
        /// What is to be done.
        task: String,
        /// One of the agent's models; its first, where it is left away.
        model_id: Option<String>,
        /// For the model.
        #[schema(value_type = Option<Object>)]
        parameters: (),
    },
    /// A task need not be done.
    CancelTask { task_id: String },
    /// Is anybody there?
    Ping {
        /// Given back as it is.
        #[schema(value_type = Value, required = false)]
        timestamp: (),
    },
    /// To the server's ping.
    Pong {
        /// Whatever it is.
        #[schema(value_type = Value, required = false)]
        timestamp: (),
    },
}

/// What can be subscribed to.
#[derive(ToSchema)]
#[serde(tag = "channel", rename_all = "snake_case")]
enum Subject {
    /// One task.
    Task { task_id: String },
    /// All of the user's tasks; of an admin everybody's.
    Tasks {},
    /// One execution.
    WorkflowExecution { execution_id: String },
    /// How the system is.
    SystemStatus {},
}

/// What is told of the sockets of tasks.
pub fn document() -> Sockets {
    let schemes: &[_] =
        &[("token", Scheme::Query("token"), "A JWT of a login of chat, or signed by the configured secret of others")];
    Sockets { name: "tasks", about: "Agents' work and workflows.", schemes, sockets }
}

fn sockets(schemas: &mut Schemas) -> Vec<Socket> {
    let closes = [Farewell::Silent, Farewell::NoPong, Farewell::TooMuch, Farewell::Revoked, Farewell::Dismissed]
        .map(|why| (why.code(), why.reason()))
        .to_vec();
    let errors = [
        ("invalid_request", "What was said means nothing, or cannot be done"),
        ("invalid_subscription", "There is no such channel, or nothing of that id"),
        ("rate_limit_exceeded", "More than may be; the socket closes"),
        ("service_unavailable", "Not now"),
    ];
    vec![Socket {
        query: vec![Parameter::new("token", json!({ "type": "string" }), "A JWT").required()],
        credentials: &["token"],
        said: Message::each::<Said>(schemas),
        heard: Message::each::<Heard<'_>>(schemas),
        refusals: vec![(401, "No token, or one that is no good"), (503, "Not now; try again")],
        errors: errors.map(|(code, about)| (code.to_owned(), about.to_owned())).to_vec(),
        closes,
        ..Socket::new("client", "/ws", "One who tells agents what to do, and hears how that stands.")
    }]
}
