//! Identifiers. Small, `Copy`, and never built from what a peer sent without a check.

use std::fmt;

/// The room that students are in, as the presence contract names it (`classroom_id`). Upper case and missing dashes name the same room.
pub type ClassroomId = uuid::Uuid;

/// One pinned thread with its executor, ring, connections and homes. Numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard as an index into a table with one entry per shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One connection on one shard: its slot, and the generation that tells it from those that had the slot before. Eight bytes.
///
/// A stale `ConnId` (its slot was freed or reused) is recognised by the engine and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// The shard that owns the socket.
    pub shard: ShardId,
    /// How often the slot was used before, wrapping.
    pub generation: u16,
    /// The place in the shard's table of connections.
    pub slot: u32,
}

impl ConnId {
    /// The slot as an index.
    pub fn index(self) -> usize {
        self.slot as usize
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.shard, self.slot, self.generation)
    }
}
