//! What a connection and the home of its classroom say to each other, across shards.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{asks::Ask, messages::SessionError};
use crate::{
    auth::Account,
    realtime::{ClassroomId, ConnId, Frame, ShardId, UnixMicros},
};
use std::sync::Arc;

/// Which member a connection means.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Seat {
    /// Not seated yet.
    Agent(Agent),
    /// Seated.
    Held(Held),
}

impl Seat {
    /// The seat of one who is signed in.
    pub fn held(&self) -> Option<&Held> {
        match self {
            Seat::Held(held) => Some(held),
            Seat::Agent(_) => None,
        }
    }
}

/// Who is to have a seat, or has one.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Agent {
    /// `label.sub.aud`.
    pub id: Arc<str>,
    /// Whose it is.
    pub cuts: Cuts,
}

impl Agent {
    /// Whose it is, whatever the label: `sub.aud`, and how long `sub` is.
    pub fn account(&self) -> (&str, u16) {
        let from = usize::from(self.cuts.label_bytes) + 1;
        (self.id.get(from..).unwrap_or(&self.id), self.cuts.subject_bytes)
    }

    /// `sub` alone; the whole id, where nobody knows where it ends.
    pub fn subject(&self) -> &str {
        let (account, bytes) = self.account();
        account.get(..usize::from(bytes)).unwrap_or(account)
    }
}

/// A seat: all that another home must know to have it.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Held {
    /// Whose.
    pub agent: Agent,
    /// The session's number.
    pub session: i64,
    /// The place that [`FromHome::Seated`] named; none: the home has changed since.
    pub place: Option<u32>,
}

/// Where an agent id is cut into label, `sub` and `aud`. All three may have dots, so two accounts can have equal agent ids ("a.b" of "c"
/// and "a" of "b.c"): equal ids with equal cuts are the same agent, with other cuts the agent of a stranger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Cuts {
    label_bytes: u16,
    subject_bytes: u16,
}

impl Cuts {
    /// Of an agent id that was read from the store, which does not know them: whoever has the id is this agent.
    pub const UNKNOWN: Cuts = Cuts { label_bytes: u16::MAX, subject_bytes: u16::MAX };

    /// Whether these may be the cuts of one and the same agent.
    pub fn agrees(self, other: Cuts) -> bool {
        self == other || self == Cuts::UNKNOWN || other == Cuts::UNKNOWN
    }

    /// The cuts of `label.sub.aud`.
    pub fn of(label: &str, account: &Account) -> Cuts {
        // Both are bounded far below: the label by a setting, the subject by the longest token.
        let bytes = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX);
        Cuts { label_bytes: bytes(label), subject_bytes: bytes(&account.subject) }
    }
}

/// To the home of a classroom.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum ToHome {
    /// Let this connection in as this agent; whoever holds the key now is replaced, unless it is a stranger whose agent id is equal: then
    /// this one is refused.
    Join {
        /// Who asks.
        conn: ConnId,
        /// The room.
        classroom: ClassroomId,
        /// Who it says it is.
        agent: Agent,
        /// When it asked.
        at: UnixMicros,
    },
    /// This connection is signed in, and has a new home, or one that may have forgotten it. Nobody is told.
    Resume {
        /// Who.
        conn: ConnId,
        /// The room.
        classroom: ClassroomId,
        /// As whom.
        held: Held,
    },
    /// From a room's former home: who was there. Comes before the former home says that it has reached its view.
    Bequest(Box<Bequest>),
    /// The connection is over. Sent once by each connection that joined and was not replaced or refused. Answered with
    /// [`FromHome::Parted`] when the connection is on another node than the home.
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
        /// The old connection.
        conn: ConnId,
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
            ToHome::Resume { classroom, .. } => *classroom,
            ToHome::Bequest(bequest) => bequest.classroom,
            ToHome::Ask { ask, .. } => ask.classroom(),
        }
    }
}

impl ToHome {
    /// The bytes of the frames in it.
    pub fn bytes(&self) -> usize {
        match self {
            ToHome::Bequest(bequest) => {
                let said = bequest.members.iter().filter_map(|heir| heir.missed.as_ref()).flat_map(|gap| &gap.said);
                said.map(|said| said.frame.len()).sum()
            }
            ToHome::Join { .. } | ToHome::Resume { .. } | ToHome::Leave { .. } | ToHome::Told { .. } | ToHome::Ask { .. } => 0,
        }
    }

    /// The same to a home that has given no place.
    pub fn nowhere(mut self) -> ToHome {
        if let ToHome::Leave { seat: Seat::Held(held), .. } = &mut self {
            held.place = None;
        }
        self
    }
}

/// As many of a room's members as one letter names.
pub const HEIRS_A_LETTER: usize = 512;

/// What a room's former home leaves to the next one. A large room comes in several.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Bequest {
    /// The room.
    pub classroom: ClassroomId,
    /// The view by which it was at home there. None: it is not said by a home but read from the store, and may be told of somebody who
    /// was never told of.
    pub view: Option<u64>,
    /// Whether that home had taken the room over from those before: so it knows better than they do. One that leaves it before knows only
    /// who has come to it himself.
    pub is_whole: bool,
    /// The highest number that an event was published with; 0 before the first.
    pub last_published: i64,
    /// Whose rows are on disk.
    pub members: Vec<Heir>,
}

/// One of those whose rows are on disk.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Heir {
    /// Who.
    pub agent: Agent,
    /// The session's number.
    pub session: i64,
    /// Whether the others were told that it entered.
    pub announced: bool,
    /// Whether its row ended with a node, as the store says.
    pub is_over: bool,
    /// Of one whose key was going from one connection to another: what was said meanwhile.
    pub missed: Option<Gap>,
}

/// What was said to a member between two of its connections.
#[derive(Clone, PartialEq, Eq, Default, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Gap {
    /// In order.
    pub said: Vec<Said>,
    /// It was more than is kept, and nothing is.
    pub is_torn: bool,
}

/// A frame that was kept for a member's next connection.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Said {
    /// The frame.
    pub frame: Frame,
    /// Whether it also went to the shard of the former connection, which heard it if it had not been told yet that it was replaced.
    pub is_heard: bool,
}

/// From the home of a classroom to one connection.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum FromHome {
    /// The row is on disk and nobody else holds the key: `connect_success`.
    Seated {
        /// The member's place at home.
        place: u32,
        /// The session's number.
        session: i64,
    },
    /// The home knows that it has left.
    Parted,
    /// Its row ended with a node that had taken it over, and that it was to be replaced it never heard: it is closed for a restart.
    Bereft,
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
