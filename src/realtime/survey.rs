//! What operators ask of the shards, and what those tell: who is to go, how full the rooms are, who reads slowly.

use super::{ClassroomId, ConnId};

/// Whose connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whom {
    /// This user's, over all protocols: the `sub` of a token, `sub.aud` or the agent id in a classroom, the id of a user of labs and chat.
    User(String),
    /// Those of all who are in this classroom, or on their way into it.
    Classroom(ClassroomId),
    /// This one.
    Connection(ConnId),
}

/// How many of each are told at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Most {
    /// Rooms with the most members, and as many with the most published frames.
    pub rooms: usize,
    /// Connections for which much waits.
    pub readers: usize,
}

/// What a shard is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chore {
    /// End these connections.
    Kick(Whom),
    /// Look around.
    Look(Most),
}

/// What came of it.
#[derive(Clone, PartialEq, Debug)]
pub enum Done {
    /// So many connections are being ended.
    Kicked(u64),
    /// What was seen.
    Looked(Looked),
}

/// What a shard sees of itself.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Looked {
    /// Rooms at home here: the fullest, and those in which most is published, each once.
    pub rooms: Vec<RoomSeen>,
    /// Connections for which much waits, the worst first.
    pub readers: Vec<ReaderSeen>,
}

/// A classroom.
#[derive(Clone, PartialEq, Debug)]
pub struct RoomSeen {
    /// Which.
    pub classroom: ClassroomId,
    /// How many are in it.
    pub members: u64,
    /// Frames published to it in a second; none: it is counted only since this look.
    pub rate: Option<f64>,
}

/// A connection that does not read as fast as it is sent to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReaderSeen {
    /// Which.
    pub conn: ConnId,
    /// By which protocol.
    pub api: &'static str,
    /// Whose, where that is known.
    pub user: Option<String>,
    /// Bytes that wait for it.
    pub waiting: usize,
    /// Beyond so many it is closed.
    pub bound: usize,
}
