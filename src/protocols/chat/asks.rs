//! What the REST routes ask of a session's home, and what it answers.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::model::{Approval, ApprovalId, Caller, Message, MessageId, Session, SessionId};
use crate::{
    models::{Usage, talk::Attached},
    realtime::StoreFault,
};
use std::sync::Arc;

/// A question to a session's home.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Ask {
    /// A new session; its id is random, so it is new.
    Create(Box<Session>),
    /// One session as it is now. A home that does not care for it says so without reading: [`Refused::NotHere`], and the store is asked.
    Look {
        /// Which.
        session: SessionId,
        /// Who asks.
        caller: Caller,
    },
    /// No more messages. Its sockets are told and closed.
    End {
        /// Which.
        session: SessionId,
        /// Who asks.
        caller: Caller,
    },
    /// Something is said, and the answer waited for: [`Told`] in any number, the last of which is [`Told::End`], [`Told::Waits`] (unless it
    /// is streamed) or [`Told::Refused`].
    Say {
        /// Where.
        session: SessionId,
        /// Who.
        caller: Caller,
        /// The new ids of what is said and of its answer.
        ids: [MessageId; 2],
        /// What. Checked: not empty, not too long.
        content: Arc<str>,
        /// What came with it. Checked.
        attachments: Vec<Attached>,
        /// Whether each word is told as it comes. Without it only the last is, and with it the answer is broken off when nobody waits for
        /// it any more.
        streamed: bool,
    },
    /// Nobody waits any more for what [`Ask::Say`] began.
    Leave {
        /// Where.
        session: SessionId,
        /// The id that the answer was given.
        answer: MessageId,
    },
    /// Those that nobody has decided.
    Approvals {
        /// Where.
        session: SessionId,
        /// Who asks.
        caller: Caller,
    },
    /// Yes or no.
    Decide {
        /// Where.
        session: SessionId,
        /// Who says it.
        caller: Caller,
        /// About what.
        approval: ApprovalId,
        /// Whether it may.
        yes: bool,
        /// `reason`.
        reason: Option<Arc<str>>,
        /// `comment`.
        comment: Option<Arc<str>>,
    },
}

impl Ask {
    /// Whose home is asked.
    pub fn session(&self) -> SessionId {
        match self {
            Ask::Create(session) => session.id,
            Ask::Look { session, .. } | Ask::End { session, .. } | Ask::Say { session, .. } | Ask::Leave { session, .. } => {
                *session
            }
            Ask::Approvals { session, .. } | Ask::Decide { session, .. } => *session,
        }
    }
}

/// The answer to an [`Ask`] that has one: for each ask the variant that suits it, or [`Reply::Refused`]. [`Ask::Say`] is answered with
/// [`Told`], [`Ask::Leave`] not at all.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Reply {
    /// To [`Ask::Create`], [`Ask::Look`] and [`Ask::End`].
    Session(Box<Session>),
    /// To [`Ask::Approvals`]: oldest first.
    Approvals(Vec<Approval>),
    /// To [`Ask::Decide`].
    Decided(Box<Approval>),
    /// No.
    Refused(Refused),
}

/// A piece of an answer, for one who waits for it over HTTP.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Told {
    /// It begins; what was said is on disk. First, if streamed.
    Begin {
        /// `message_id`.
        message: MessageId,
    },
    /// More text.
    Delta(Arc<str>),
    /// A tool is called.
    Call {
        /// Which.
        tool: Arc<str>,
        /// A JSON object.
        arguments: Arc<str>,
    },
    /// What came of it.
    Result {
        /// Which.
        tool: Arc<str>,
        /// JSON.
        result: Arc<str>,
    },
    /// Someone must say yes before it goes on.
    Asked {
        /// What is asked.
        approval: Box<Approval>,
    },
    /// Not streamed, and someone must say yes: the answer so far. Last.
    Waits(Box<Message>),
    /// The answer is over and on disk, whole or incomplete. Last.
    End {
        /// All of it.
        message: Box<Message>,
        /// The sum over its rounds.
        usage: Usage,
        /// Why it is not whole.
        broken: Option<Broken>,
    },
    /// It did not begin. Last.
    Refused(Refused),
}

impl Told {
    /// What is in it that may be much.
    pub fn bytes(&self) -> usize {
        match self {
            Told::Delta(text) => text.len(),
            Told::Call { arguments, .. } => arguments.len(),
            Told::Result { result, .. } => result.len(),
            Told::Asked { approval } => approval.call.arguments.len(),
            Told::Waits(message) | Told::End { message, .. } => message.weight(),
            Told::Begin { .. } | Told::Refused(_) => 0,
        }
    }
}

/// Why an answer was broken off.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Broken {
    /// A listener wished so, or the session ended.
    Cancelled,
    /// AGENT_UNAVAILABLE.
    Unavailable,
    /// AGENT_ERROR.
    Failed,
    /// AGENT_TIMEOUT.
    TimedOut,
    /// TOOL_APPROVAL_EXPIRED.
    Expired,
    /// The server stops.
    Stopping,
}

/// The code and text of the `error` that ends an answer whose node is gone.
pub const LOST: (&str, &str) = ("AGENT_UNAVAILABLE", "the answer was broken off: its server is gone");

/// Why an [`Ask`] was not fulfilled. Nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Refused {
    /// Not asked of the store: see [`Ask::Look`].
    NotHere,
    /// SESSION_NOT_FOUND, also where it is another's.
    NoSession,
    /// SESSION_ENDED.
    Ended,
    /// SESSION_SUSPENDED: its agent is configured no more.
    Suspended,
    /// Too many wait already (RATE_LIMITED).
    Crowded,
    /// APPROVAL_NOT_FOUND.
    NoApproval,
    /// APPROVAL_ALREADY_PROCESSED.
    Processed,
    /// APPROVAL_EXPIRED.
    Expired,
    /// The server stops (AGENT_UNAVAILABLE).
    Stopping,
    /// The node that gave the answer is gone (AGENT_UNAVAILABLE). What was asked for may have come to be.
    Lost,
    /// The store did not do its part.
    Store(StoreFault),
}

impl Broken {
    /// The code and text of the `error` that listeners hear; none where one of them wished it.
    pub fn error(self) -> Option<(&'static str, &'static str)> {
        match self {
            Broken::Cancelled => None,
            Broken::Unavailable => Some(("AGENT_UNAVAILABLE", "the agent cannot be reached")),
            Broken::Failed => Some(("AGENT_ERROR", "the agent failed")),
            Broken::TimedOut => Some(("AGENT_TIMEOUT", "the agent took too long")),
            Broken::Expired => Some(("TOOL_APPROVAL_EXPIRED", "nobody said whether the call is allowed")),
            Broken::Stopping => Some(("AGENT_UNAVAILABLE", "the server is stopping")),
        }
    }
}

impl Refused {
    /// The code and text of the `error` that whoever asked hears.
    pub fn error(self) -> (&'static str, &'static str) {
        match self {
            Refused::NotHere | Refused::NoSession => ("SESSION_NOT_FOUND", "there is no such session"),
            Refused::Ended => ("SESSION_ENDED", "the session has ended"),
            Refused::Suspended => ("SESSION_SUSPENDED", "the session is suspended: its agent is not configured"),
            Refused::Crowded => ("RATE_LIMITED", "too much waits in this session already"),
            Refused::NoApproval => ("APPROVAL_NOT_FOUND", "there is no such approval"),
            Refused::Processed => ("APPROVAL_ALREADY_PROCESSED", "the approval was decided before"),
            Refused::Expired => ("APPROVAL_EXPIRED", "the approval has expired"),
            Refused::Stopping => ("AGENT_UNAVAILABLE", "the server is stopping"),
            Refused::Lost => LOST,
            Refused::Store(_) => ("MESSAGE_SEND_FAILED", "it could not be stored"),
        }
    }
}
