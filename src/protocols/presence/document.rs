//! What sockets of presence say and hear, for the document of their listener.
#![allow(dead_code)]

use super::messages::{ChangePayload, ChangesPayload, ConnectPayload, EventId, SessionError};
use crate::documents::{Message, Schemas, Socket, Sockets, shape};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The first message of a client.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said<'a> {
    /// Who wants to be where. To be sent within 10 seconds (`presence.auth_timeout`).
    ConnectRequest { payload: ConnectPayload<'a> },
}

/// What has a `type`.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Heard {
    /// The client is in the classroom.
    ConnectSuccess {},
    /// The session cannot go on; a Close without a code comes behind it.
    UnrecoverableSessionError { payload: ErrorPayload },
    /// The server is about to stop: the session may be carried to another connection.
    RecoverableSessionError { payload: ErrorPayload },
}

/// Why.
#[derive(ToSchema)]
struct ErrorPayload {
    /// One of those that are listed beside the channel, or `terminated`.
    r#type: String,
    title: String,
    status: u16,
}

/// An event with such a payload.
fn event(payload: Value, schemas: &mut Schemas) -> Value {
    let id = shape::<EventId<'_>>(schemas);
    json!({ "type": "object", "required": ["id", "payload"], "properties": { "id": id, "payload": payload } })
}

/// What is told of the sockets of presence.
pub fn document() -> Sockets {
    Sockets { name: "presence", about: "Who is in the classroom.", schemes: &[], sockets }
}

fn sockets(schemas: &mut Schemas) -> Vec<Socket> {
    let mut heard = Message::each::<Heard>(schemas);
    let (change, changes) = (shape::<ChangePayload<'_>>(schemas), shape::<ChangesPayload<'_>>(schemas));
    heard.extend([
        Message::json("agent", "One member's coming or going, to the others", event(change, schemas)),
        Message::json("changes", "The changes of a tick in a large classroom", event(changes, schemas)),
        Message::json(
            "published",
            "An event that a service published; its payload is its own",
            event(json!({ "type": "object" }), schemas),
        ),
    ]);
    let errors = SessionError::ALL.map(|error| {
        let (name, title, status) = error.wire();
        (name.to_owned(), format!("{title} ({status})"))
    });
    vec![Socket {
        said: Message::each::<Said<'_>>(schemas),
        heard,
        errors: errors.to_vec(),
        ..Socket::new("room", "/ws", "A client in a classroom. After the first message all that it says is ignored.")
    }]
}
