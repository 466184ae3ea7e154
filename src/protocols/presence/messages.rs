//! The texts of the contract: what a client says first, what it is told.

use super::asks::Publication;
use crate::{
    realtime::{ClassroomId, Frame},
    websocket::frame,
};
use serde::{Deserialize, Serialize, ser::SerializeSeq};
use std::sync::Arc;

/// Why a session ends or never begins, as the contract names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum SessionError {
    /// A binary first frame.
    UnsupportedRequest,
    /// The token is not good.
    Unauthenticated,
    /// The token is good, but not for this room.
    AccessDenied,
    /// No place at the store in time.
    DatabaseConnectionAcquisitionFailed,
    /// The store failed.
    DatabaseQueryFailed,
    /// The first frame is not a valid `connect_request`.
    SerializationFailed,
    /// The cluster could not carry a message.
    MessagingFailed,
    /// The old connection, on another node, could not be closed.
    CloseOldConnectionFailed,
    /// No `connect_request` in time.
    AuthTimedOut,
    /// No Pong in time.
    PongTimedOut,
    /// Another connection of the same agent took over.
    Replaced,
}

impl SessionError {
    /// Every error, in the order of the contract.
    pub const ALL: [SessionError; 11] = [
        SessionError::UnsupportedRequest,
        SessionError::Unauthenticated,
        SessionError::AccessDenied,
        SessionError::DatabaseConnectionAcquisitionFailed,
        SessionError::DatabaseQueryFailed,
        SessionError::SerializationFailed,
        SessionError::MessagingFailed,
        SessionError::CloseOldConnectionFailed,
        SessionError::AuthTimedOut,
        SessionError::PongTimedOut,
        SessionError::Replaced,
    ];

    /// `payload.type`, `payload.title` and `payload.status`: the one table from errors to wire codes.
    pub fn wire(self) -> (&'static str, &'static str, u16) {
        match self {
            SessionError::UnsupportedRequest => ("unsupported_request", "Unsupported request", 422),
            SessionError::Unauthenticated => ("unauthenticated", "Unauthenticated", 401),
            SessionError::AccessDenied => ("access_denied", "Access denied", 403),
            SessionError::DatabaseConnectionAcquisitionFailed => {
                ("database_connection_acquisition_failed", "Database connection acquisition failed", 422)
            }
            SessionError::DatabaseQueryFailed => ("database_query_failed", "Database query failed", 422),
            SessionError::SerializationFailed => ("serialization_failed", "Serialization failed", 422),
            SessionError::MessagingFailed => ("messaging_failed", "Messaging failed", 422),
            SessionError::CloseOldConnectionFailed => ("close_old_connection_failed", "Close old connection failed", 422),
            SessionError::AuthTimedOut => ("auth_timed_out", "Auth timed out", 422),
            SessionError::PongTimedOut => ("pong_timed_out", "Pong timed out", 422),
            SessionError::Replaced => ("replaced", "Replaced", 422),
        }
    }

    /// Its place in [`SessionError::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A message whose bytes are always the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Notice {
    /// `connect_success`, and the first Ping right behind it.
    Seated,
    /// An empty Ping.
    Ping,
    /// The server is about to stop; the session may be carried to another connection.
    Terminated,
    /// The session cannot go on; the Close frame, without a body, is behind it.
    Failed(SessionError),
}

impl Notice {
    /// Every notice.
    pub fn all() -> impl Iterator<Item = Notice> {
        [Notice::Seated, Notice::Ping, Notice::Terminated].into_iter().chain(SessionError::ALL.map(Notice::Failed))
    }

    /// A dense number, from 0, for a table of notices.
    pub fn index(self) -> usize {
        match self {
            Notice::Seated => 0,
            Notice::Ping => 1,
            Notice::Terminated => 2,
            Notice::Failed(error) => 3 + error.index(),
        }
    }

    /// Appends its frames.
    pub fn write(self, out: &mut Vec<u8>) {
        match self {
            Notice::Seated => {
                frame::encode(out, frame::Opcode::Text, br#"{"type":"connect_success"}"#);
                frame::encode(out, frame::Opcode::Ping, b"");
            }
            Notice::Ping => frame::encode(out, frame::Opcode::Ping, b""),
            Notice::Terminated => session_error(out, "recoverable_session_error", ("terminated", "terminated", 422)),
            Notice::Failed(error) => {
                session_error(out, "unrecoverable_session_error", error.wire());
                frame::close(out, None, "");
            }
        }
    }
}

fn session_error(out: &mut Vec<u8>, kind: &str, (name, title, status): (&str, &str, u16)) {
    let text = format!(r#"{{"type":"{kind}","payload":{{"type":"{name}","title":"{title}","status":{status}}}}}"#);
    frame::encode(out, frame::Opcode::Text, text.as_bytes());
}

/// What a client says first.
#[derive(PartialEq, Eq, Debug)]
pub struct ConnectRequest<'a> {
    /// Which of the account's agents it is. Not empty; may have dots.
    pub agent_label: &'a str,
    /// Where it wants to be.
    pub classroom_id: ClassroomId,
    /// A JWT.
    pub token: &'a str,
}

#[derive(Deserialize, utoipa::ToSchema)]
struct ConnectRequestText<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(borrow)]
    payload: ConnectPayload<'a>,
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct ConnectPayload<'a> {
    agent_label: &'a str,
    #[schema(format = Uuid)]
    classroom_id: &'a str,
    token: &'a str,
}

/// Reads JSON in place, with buffers that are used again.
pub struct Parser {
    text: Vec<u8>,
    buffers: simd_json::Buffers,
}

impl Default for Parser {
    fn default() -> Self {
        Parser { text: Vec::new(), buffers: simd_json::Buffers::new(1024) }
    }
}

impl Parser {
    /// Reads a `connect_request`; unknown fields are ignored. `None` is the contract's `serialization_failed`.
    pub fn connect_request(&mut self, text: &str, max_label_bytes: usize) -> Option<ConnectRequest<'_>> {
        self.text.clear();
        self.text.extend_from_slice(text.as_bytes());
        let ConnectRequestText { kind, payload } =
            simd_json::serde::from_slice_with_buffers(&mut self.text, &mut self.buffers).ok()?;
        let label_is_fit = !payload.agent_label.is_empty() && payload.agent_label.len() <= max_label_bytes;
        (kind == "connect_request" && label_is_fit).then_some(())?;
        let classroom_id = ClassroomId::try_parse(payload.classroom_id).ok()?;
        Some(ConnectRequest { agent_label: payload.agent_label, classroom_id, token: payload.token })
    }
}

/// One member's coming or going, for the others.
pub fn change(operation: &'static str, agent_id: &str, session: i64) -> Frame {
    text(&Event {
        id: EventId { entity_type: "agent", operation, sequence_id: session },
        payload: ChangePayload { version: "v1", entity_type: "agent", label: operation, agent_id },
    })
}

/// The changes of a tick in a large room, each (agent id, session number). `count` is how many are in the room now.
pub fn changes(entered: &[(Arc<str>, i64)], left: &[(Arc<str>, i64)], count: usize) -> Frame {
    let sequence_id = entered.iter().chain(left).map(|&(_, session)| session).max().unwrap_or_default();
    text(&Event {
        id: EventId { entity_type: "agent", operation: "changed", sequence_id },
        payload: ChangesPayload {
            version: "v1",
            entity_type: "agent",
            label: "changed",
            entered: Agents(entered),
            left: Agents(left),
            count,
        },
    })
}

/// An event that a service published, numbered. The payload's text goes through as it is.
pub fn published(event: &Publication, sequence_id: i64) -> Frame {
    let id = EventId { entity_type: &event.entity_type, operation: &event.operation, sequence_id };
    let mut out = Vec::with_capacity(event.payload.len() + 160);
    let mark = frame::begin_text(&mut out);
    out.extend_from_slice(br#"{"id":"#);
    write_json(&mut out, &id);
    out.extend_from_slice(br#","payload":"#);
    out.extend_from_slice(event.payload.as_bytes());
    out.push(b'}');
    frame::end_text(&mut out, mark);
    Frame::from_wire(&out)
}

#[derive(Serialize)]
struct Event<'a, P> {
    id: EventId<'a>,
    payload: P,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct EventId<'a> {
    entity_type: &'a str,
    operation: &'a str,
    sequence_id: i64,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ChangePayload<'a> {
    version: &'a str,
    entity_type: &'a str,
    label: &'a str,
    agent_id: &'a str,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ChangesPayload<'a> {
    version: &'a str,
    entity_type: &'a str,
    label: &'a str,
    #[schema(value_type = Vec<Agent>)]
    entered: Agents<'a>,
    #[schema(value_type = Vec<Agent>)]
    left: Agents<'a>,
    count: usize,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Agent<'a> {
    agent_id: &'a str,
    sequence_id: i64,
}

pub(super) struct Agents<'a>(&'a [(Arc<str>, i64)]);

impl Serialize for Agents<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (agent_id, session) in self.0 {
            list.serialize_element(&Agent { agent_id, sequence_id: *session })?;
        }
        list.end()
    }
}

fn text(event: &impl Serialize) -> Frame {
    let mut out = Vec::with_capacity(256);
    let mark = frame::begin_text(&mut out);
    write_json(&mut out, event);
    frame::end_text(&mut out, mark);
    Frame::from_wire(&out)
}

fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("strings and numbers always serialise into memory");
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
