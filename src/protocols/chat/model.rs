//! What chat is made of: the words that routes, homes and the store share.

use crate::{
    models::{ToolCall, Usage, talk::Attached},
    realtime::UnixMicros,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// A session; `sess_` and 32 hexadecimal digits on the wire. UUID version 4.
pub type SessionId = Uuid;
/// A message; `msg_` and 32 hexadecimal digits on the wire. UUID version 4.
pub type MessageId = Uuid;
/// An approval; `appr_` and 32 hexadecimal digits on the wire. UUID version 4.
pub type ApprovalId = Uuid;
/// A user, of the same list as those of labs.
pub type UserId = Uuid;

/// Who asks, as their token says.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Caller {
    /// Who.
    pub id: UserId,
    /// Shown as `approved_by`.
    pub email: Arc<str>,
    /// Whether they may approve in sessions of others (a teacher), and see them.
    pub admin: bool,
}

/// Whether a session takes messages. That its agent is configured no more (SESSION_SUSPENDED) is not stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Active,
    /// It does not: ended by its user, or nobody spoke for too long.
    Ended,
}

/// A session as the store has it.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose.
    pub owner: UserId,
    /// For people.
    pub title: Arc<str>,
    /// With whom, as it was asked for; none: with the default agent.
    pub agent: Option<Arc<str>>,
    /// Whether it takes messages.
    pub status: Status,
    /// Whether a person is asked before each call of a tool.
    pub require_approval: bool,
    /// A JSON object, as given.
    pub metadata: Arc<str>,
    /// Of users and assistants.
    pub message_count: u32,
    /// Made.
    pub created_at: UnixMicros,
    /// Changed, or spoken in.
    pub updated_at: UnixMicros,
    /// Ended.
    pub ended_at: Option<UnixMicros>,
}

/// Who said a message.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// A person.
    User,
    /// The agent.
    Assistant,
}

/// How whole an assistant's message is.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// It is being said. None is after a start of the server.
    Streaming,
    /// All of it was said.
    Whole,
    /// It was broken off: cancelled, failed, or the server stopped.
    Incomplete,
}

/// A message as the store has it. Messages of a session are in the order of their numbers.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Message {
    /// Its id, which is also the cursor.
    pub id: MessageId,
    /// Where.
    pub session: SessionId,
    /// 1, 2, 3, … within the session.
    pub number: u32,
    /// Who.
    pub author: Author,
    /// What.
    pub content: Arc<str>,
    /// How whole.
    pub completeness: Completeness,
    /// Tools that were called for it, in order.
    pub calls: Vec<Called>,
    /// What came with it.
    pub attachments: Vec<Attached>,
    /// What it took; nothing for a user's.
    pub usage: Usage,
    /// In the currency of the configured prices.
    pub cost: f64,
    /// Said, or begun.
    pub created_at: UnixMicros,
}

impl Message {
    /// What it counts for where bytes are bounded that a model is shown: its words, what tools were told and gave, its attachments.
    pub fn weight(&self) -> usize {
        let called =
            self.calls.iter().map(|called| called.call.arguments.len() + called.result.as_ref().map_or(0, |it| it.len()));
        let attached = self.attachments.iter().map(|attached| attached.bytes.len());
        self.content.len() + called.sum::<usize>() + attached.sum::<usize>()
    }
}

/// A tool that was called, and how far that is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Called {
    /// What was called. Arguments are a JSON object.
    pub call: ToolCall,
    /// The approval that was asked for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalId>,
    /// How far.
    pub stage: Stage,
    /// JSON, where it is done; a short word, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Arc<str>>,
}

impl Called {
    /// As it stays when its answer is broken off: what was not done is dropped.
    pub fn broken_off(self) -> Called {
        let stage = match self.stage {
            Stage::Pending | Stage::Running => Stage::Dropped,
            Stage::Done | Stage::Failed | Stage::Rejected | Stage::Expired | Stage::Dropped => self.stage,
        };
        Called { stage, ..self }
    }
}

/// How far a call is.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Someone is asked.
    Pending,
    /// It runs.
    Running,
    /// It ran.
    Done,
    /// It ran, and failed.
    Failed,
    /// It may not run.
    Rejected,
    /// Nobody said anything in time.
    Expired,
    /// The answer was broken off before.
    Dropped,
}

/// What became of a question for leave.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Nobody has answered.
    Pending,
    /// Yes.
    Approved,
    /// No.
    Rejected,
    /// Nobody answered in time, or the answer that asked was broken off.
    Expired,
}

/// A question for leave as the store has it. It changes once, from pending to something else.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Where.
    pub session: SessionId,
    /// The answer that waits for it.
    pub message: MessageId,
    /// What would be called.
    pub call: ToolCall,
    /// What became of it.
    pub decision: Decision,
    /// Asked.
    pub created_at: UnixMicros,
    /// From then on it is expired.
    pub expires_at: UnixMicros,
    /// By whom (email).
    pub decided_by: Option<Arc<str>>,
    /// When.
    pub decided_at: Option<UnixMicros>,
    /// `reason`, of one who rejects.
    pub reason: Option<Arc<str>>,
    /// `comment`.
    pub comment: Option<Arc<str>>,
}
