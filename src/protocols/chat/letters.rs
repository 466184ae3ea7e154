//! What a socket and the home of a session say to each other, across shards.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    asks::Ask,
    model::{Caller, MessageId, SessionId},
};
use crate::{
    models::talk::Attached,
    realtime::{ConnId, ShardId},
};
use std::sync::Arc;

/// To the home of a session.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum ToSession {
    /// A socket wants to listen and speak. Answered with [`FromSession::Joined`] or [`FromSession::Refused`].
    Join {
        /// Who asks.
        conn: ConnId,
        /// Where.
        session: SessionId,
        /// As whom.
        caller: Caller,
    },
    /// A socket that asked to join is over. Sent once by each that was not refused.
    Part {
        /// Who.
        conn: ConnId,
        /// Where.
        session: SessionId,
    },
    /// A joined socket says something.
    Say {
        /// Who.
        conn: ConnId,
        /// Where.
        session: SessionId,
        /// The new ids of what is said and of its answer.
        ids: [MessageId; 2],
        /// What. Checked.
        content: Arc<str>,
        /// What came with it. Checked.
        attachments: Vec<Attached>,
    },
    /// A joined socket wants an answer broken off.
    Cancel {
        /// Who.
        conn: ConnId,
        /// Where.
        session: SessionId,
        /// Which; none: the one that runs.
        answer: Option<MessageId>,
    },
    /// A question from REST.
    Ask {
        /// On which shard the answer is awaited.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// What is asked.
        ask: Box<Ask>,
    },
}

/// From the home of a session to one socket. What all of them hear (`message_start`, deltas, …) comes as frames of the session's topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum FromSession {
    /// It hears what is said from now on. Where an answer runs, `message_start` and what was said so far of it follow as frames to it
    /// alone.
    Joined,
    /// There is no such session, it is another's, or it has ended (WS_SESSION_INVALID); or the store could not be read.
    Refused {
        /// Whether the session is no good.
        invalid: bool,
    },
    /// What it said was not taken; the error's code and text are [`super::asks::Refused`]'s.
    NotTaken(super::asks::Refused),
    /// The session has ended: error SESSION_ENDED, Close 1000.
    Over,
}
