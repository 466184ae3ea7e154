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
        /// What it has heard of the session at another home; none: it is new. Whoever has missed something is told so
        /// ([`FromSession::Missed`]), and nobody hears anything again.
        heard: Option<Heard>,
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
    /// From a former home to the next: something still goes on in the session, so it is kept until that is over. Comes before the former
    /// home says that it has reached its view.
    Held {
        /// Which.
        session: SessionId,
        /// Where it is.
        by: ShardId,
    },
    /// To [`ToSession::Held`]: it is over, all of it is on disk, and the session is kept no longer.
    Free {
        /// Which.
        session: SessionId,
        /// Where it was.
        by: ShardId,
    },
}

impl ToSession {
    /// Whose home this is for.
    pub fn session(&self) -> SessionId {
        match self {
            ToSession::Join { session, .. }
            | ToSession::Part { session, .. }
            | ToSession::Say { session, .. }
            | ToSession::Cancel { session, .. }
            | ToSession::Held { session, .. }
            | ToSession::Free { session, .. } => *session,
            ToSession::Ask { ask, .. } => ask.session(),
        }
    }

    /// What is in it that may be much.
    pub fn bytes(&self) -> usize {
        match self {
            ToSession::Say { content, attachments, .. } => said_bytes(content, attachments),
            ToSession::Ask { ask, .. } => match &**ask {
                Ask::Say { content, attachments, .. } => said_bytes(content, attachments),
                Ask::Create(session) => session.metadata.len(),
                Ask::Decide { reason, comment, .. } => [reason, comment].into_iter().flatten().map(|text| text.len()).sum(),
                Ask::Look { .. } | Ask::End { .. } | Ask::Leave { .. } | Ask::Approvals { .. } => 0,
            },
            ToSession::Join { .. } | ToSession::Part { .. } | ToSession::Cancel { .. } => 0,
            ToSession::Held { .. } | ToSession::Free { .. } => 0,
        }
    }

    /// The shard that waits for an answer to this, or hears what comes of it.
    pub fn sender(&self) -> ShardId {
        match self {
            ToSession::Join { conn, .. }
            | ToSession::Part { conn, .. }
            | ToSession::Say { conn, .. }
            | ToSession::Cancel { conn, .. } => conn.shard,
            ToSession::Ask { asker, .. } => *asker,
            ToSession::Held { by, .. } | ToSession::Free { by, .. } => *by,
        }
    }
}

pub(super) fn said_bytes(content: &str, attachments: &[Attached]) -> usize {
    content.len() + attachments.iter().map(|attached| attached.bytes.len()).sum::<usize>()
}

/// How far a socket has heard what a session says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Heard {
    /// The last answer that it heard begin, or that was over when it came; none: there was none.
    pub last: Option<MessageId>,
    /// It has not heard the end of that one.
    pub is_open: bool,
}

/// What shards with listeners must know of a frame that they are to deliver next, so that they know how far their listeners have heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Mark {
    /// It is the `message_start` of this answer.
    Begins(MessageId),
    /// It is the `message_end`.
    Ends,
}

/// From the home of a session to one socket. What all of them hear (`message_start`, deltas, …) comes as frames of the session's topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum FromSession {
    /// It hears what is said from now on. Where an answer runs, `message_start` and what was said so far of it follow as frames to it
    /// alone.
    Joined {
        /// Where.
        session: SessionId,
        /// How far it has heard, with what follows.
        heard: Heard,
    },
    /// There is no such session, it is another's, or it has ended (WS_SESSION_INVALID); or the store could not be read.
    Refused {
        /// Whether the session is no good.
        invalid: bool,
    },
    /// What it said was not taken; the error's code and text are [`super::asks::Refused`]'s.
    NotTaken {
        /// The id that its answer was to have.
        answer: MessageId,
        /// Why.
        why: super::asks::Refused,
    },
    /// The session has ended: error SESSION_ENDED, Close 1000.
    Over,
    /// The home has given the session up, with all that it was to tell before: the socket joins again there. What it said and was not
    /// begun is forgotten here.
    Moved {
        /// Where.
        to: ShardId,
    },
    /// The session is not here: what was asked is to be asked there.
    Elsewhere {
        /// Where.
        at: ShardId,
    },
    /// The socket may have missed something: Close 1012, and it comes again.
    Missed,
}
