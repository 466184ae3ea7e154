//! What sockets of chat say and hear, for the document of their listener.
#![allow(dead_code)]

use super::{attachments::Given, connection::Farewell, messages::Message as Heard};
use crate::documents::{Message, Parameter, Schemas, Scheme, Socket, Sockets};
use serde_json::json;
use utoipa::ToSchema;

/// What a client says.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said<'a> {
    /// Who it is; first, and within 10 seconds (`chat.auth_timeout`), where the query has no token.
    Auth { token: String },
    /// Something is said to the agent. The answer comes to every socket of the session.
    Message {
        /// Not blank.
        content: String,
        attachments: Option<Vec<Given<'a>>>,
    },
    /// No more of an answer.
    Cancel {
        /// The `message_id` of the answer; the one that runs, where it is left away.
        operation_id: Option<String>,
    },
    /// Is anybody there?
    Ping {},
}

/// What is told of the sockets of chat.
pub fn document() -> Sockets {
    let schemes: &[_] = &[("token", Scheme::Query("token"), "A JWT of a login; it may as well be the first message")];
    Sockets { name: "chat", about: "Sessions with agents.", schemes, sockets }
}

fn sockets(schemas: &mut Schemas) -> Vec<Socket> {
    let closes = [
        Farewell::Over,
        Farewell::NoAuth,
        Farewell::NoSession,
        Farewell::NoPong,
        Farewell::TooMuch,
        Farewell::Unavailable,
        Farewell::Missed,
    ];
    let errors = [
        ("WS_AUTH_FAILED", "No good token, or none in time; the socket closes"),
        ("WS_SESSION_INVALID", "There is no such session, or it is another's; the socket closes"),
        ("WS_CONNECTION_CLOSED", "The session could not be read; the socket closes"),
        ("WS_MESSAGE_INVALID", "What was said means nothing"),
        ("MESSAGE_EMPTY", "The content is empty"),
        ("MESSAGE_TOO_LONG", "The content is too long"),
        ("MESSAGE_SEND_FAILED", "It could not be stored"),
        ("RATE_LIMITED", "Too many messages"),
        ("SESSION_ENDED", "The session has ended"),
        ("SESSION_SUSPENDED", "Its agent is configured no more"),
        ("AGENT_UNAVAILABLE", "The agent cannot be reached"),
        ("AGENT_ERROR", "The agent failed"),
        ("AGENT_TIMEOUT", "The agent took too long"),
        ("TOOL_APPROVAL_EXPIRED", "Nobody said whether a call is allowed"),
    ];
    vec![Socket {
        in_path: &[("session", "The session: `sess_` and 32 hexadecimal digits")],
        query: vec![Parameter::new("token", json!({ "type": "string" }), "A JWT of a login; else the first message has it")],
        credentials: &["token"],
        said: Message::each::<Said<'_>>(schemas),
        heard: Message::each::<Heard<'_>>(schemas),
        errors: errors.map(|(code, about)| (code.to_owned(), about.to_owned())).to_vec(),
        closes: closes.map(|why| (why.code(), why.reason())).to_vec(),
        ..Socket::new("session", "/ws/sessions/{session}", "One of those who talk and listen in a session.")
    }]
}
