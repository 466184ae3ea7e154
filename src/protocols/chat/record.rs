//! What chat keeps, and what it reads back. The store fulfils it.

use super::model::{Approval, Message, MessageId, Session, SessionId, Status, UserId};
use crate::realtime::UnixMicros;
use std::sync::Arc;

/// One change of one session, all of it or nothing. Each row is whole: it is new or takes the place of the one with its id. Changes are
/// fulfilled in the order in which they were asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Change {
    /// New or changed.
    pub session: Option<Session>,
    /// New or changed.
    pub messages: Vec<Message>,
    /// New or changed.
    pub approvals: Vec<Approval>,
}

/// Which session is read for its home, and how much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// Which.
    pub session: SessionId,
    /// Messages at most, the newest.
    pub messages: usize,
    /// Bytes of these together at most, attachments with them; but the newest is read however long it is.
    pub bytes: usize,
    /// Approvals that were decided then or later.
    pub decided_since: UnixMicros,
}

/// What a home must know of a session when it begins to care for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// It.
    pub session: Session,
    /// Its newest messages, oldest first; those with attachments have them. None is [`Streaming`](super::model::Completeness::Streaming)
    /// and no approval pending, when the store was swept at the start.
    pub messages: Vec<Message>,
    /// Those that were decided lately, oldest first: who asks again hears what became of them.
    pub approvals: Vec<Approval>,
}

/// What the server did not finish when it stopped: streaming messages become incomplete and count as said, their calls that were not done
/// are dropped, pending approvals expire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sweep {
    /// When.
    pub at: UnixMicros,
}

/// An approval that nobody has decided, and where it waits.
#[derive(Clone, PartialEq, Debug)]
pub struct Waiting {
    /// It.
    pub approval: Approval,
    /// The name of the user whose session it is; empty where the user is not there.
    pub owner: Arc<str>,
}

/// Which sessions, newest first; of one moment by id, downwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionFilter {
    /// Whose.
    pub owner: UserId,
    /// In this status. An active session that nobody spoke in since `expired_before` counts as ended.
    pub status: Option<Status>,
    /// With this agent.
    pub agent: Option<Arc<str>>,
    /// See `status`.
    pub expired_before: UnixMicros,
}

/// A part of a list of sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// From 1.
    pub page: u32,
    /// 1 to 100.
    pub size: u32,
}

/// A part of a list, and how long all of it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed<T> {
    /// The part.
    pub items: Vec<T>,
    /// The whole.
    pub total: u64,
}

/// What a part of the history weighs at most ([`Message::weight`], attachments not counted), unless it is one message: whoever asks for the
/// rest comes again. It is written out by a shard, which others wait for.
pub const PART_BYTES: usize = 4 << 20;

/// Which messages of a session; always given oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History {
    /// Where.
    pub session: SessionId,
    /// From where.
    pub from: From,
    /// At most so many: 1 to 200. Fewer, where they are more than [`PART_BYTES`].
    pub limit: u32,
}

/// Where a part of the history begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// The newest.
    Newest,
    /// Those before this one.
    Before(MessageId),
    /// Those after this one.
    After(MessageId),
}

/// A part of the history. None where the cursor is not a message of the session.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// Oldest first; attachments without their bytes.
    pub messages: Vec<Message>,
    /// Whether there are more in the direction that was asked for.
    pub has_more: bool,
}
