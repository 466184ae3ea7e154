//! What a connection and the home of its classroom say to each other, across shards.

use super::{asks::Ask, messages::SessionError};
use crate::{
    auth::Account,
    realtime::{ClassroomId, ConnId, ShardId, UnixMicros},
};
use std::sync::Arc;

/// Which member a connection means: by agent id until it is seated, by its place after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seat {
    /// Not seated yet.
    Agent(Arc<str>),
    /// The place that [`FromHome::Seated`] named.
    Place(u32),
}

/// Where an agent id is cut into label, `sub` and `aud`. All three may have dots, so two accounts can have equal agent ids ("a.b" of "c"
/// and "a" of "b.c"): equal ids with equal cuts are the same agent, with other cuts the agent of a stranger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cuts {
    label_bytes: u16,
    subject_bytes: u16,
}

impl Cuts {
    /// The cuts of `label.sub.aud`.
    pub fn of(label: &str, account: &Account) -> Cuts {
        // Both are bounded far below: the label by a setting, the subject by the longest token.
        let bytes = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX);
        Cuts { label_bytes: bytes(label), subject_bytes: bytes(&account.subject) }
    }
}

/// To the home of a classroom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToHome {
    /// Let this connection in as this agent; whoever holds the key now is replaced, unless it is a stranger whose agent id is equal: then
    /// this one is refused.
    Join {
        /// Who asks.
        conn: ConnId,
        /// The room.
        classroom: ClassroomId,
        /// `label.sub.aud`.
        agent_id: Arc<str>,
        /// Whose it is.
        cuts: Cuts,
        /// When it asked.
        at: UnixMicros,
    },
    /// The connection is over. Sent once by each connection that joined and was not replaced or refused.
    Leave {
        /// Who leaves.
        conn: ConnId,
        /// The room.
        classroom: ClassroomId,
        /// As whom.
        seat: Seat,
        /// When it ended.
        at: UnixMicros,
    },
    /// The old connection was told `replaced`, or was gone already.
    Told {
        /// The room.
        classroom: ClassroomId,
        /// Whose turn it is now.
        place: u32,
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

impl ToHome {
    /// The classroom whose home this is for.
    pub fn classroom(&self) -> ClassroomId {
        match self {
            ToHome::Join { classroom, .. } | ToHome::Leave { classroom, .. } | ToHome::Told { classroom, .. } => *classroom,
            ToHome::Ask { ask, .. } => ask.classroom(),
        }
    }
}

/// From the home of a classroom to one connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FromHome {
    /// The row is on disk and nobody else holds the key: `connect_success`.
    Seated {
        /// The member's place at home.
        place: u32,
    },
    /// It cannot be let in.
    Refused(SessionError),
    /// Another connection of the same agent took over. To be answered with [`ToHome::Told`], whatever the state of the connection.
    Replaced {
        /// The room.
        classroom: ClassroomId,
        /// The member's place at home.
        place: u32,
    },
}
