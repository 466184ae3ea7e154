//! What presence keeps: one row for each live session, one interval of history for each that ended. The store fulfils it.

pub use crate::realtime::StoreFault;
use crate::realtime::{ClassroomId, Moment, NodeSlot, UnixMicros};
use std::sync::Arc;

/// A session that is to begin. Answered with its number once the row is on disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entering {
    /// The room.
    pub classroom: ClassroomId,
    /// `label.sub.aud`.
    pub agent_id: Arc<str>,
    /// When the agent was let in.
    pub at: UnixMicros,
    /// The node that has its connection: the row ends with that node, wherever the room's home is.
    pub node: NodeSlot,
    /// The number that the session has already, when a connection on another node takes it over: it keeps it while its row is there.
    pub session: Option<i64>,
}

/// A session that ended. Never answered: the store retries until it is on disk, and a crash before that ends the session at the next start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaving {
    /// The number that [`Entering`] was answered with.
    pub session: i64,
    /// When the agent left.
    pub at: UnixMicros,
}

/// A session that was live when a node died: on that node, so that it is in the history now, or on another, in a room whose home may have
/// died.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buried {
    /// The room.
    pub classroom: ClassroomId,
    /// `label.sub.aud`.
    pub agent_id: Arc<str>,
    /// Its number.
    pub session: i64,
    /// Whether it was the dead node's: its row is in the history.
    pub is_over: bool,
}

/// Some of the rows that were live when the store was looked through: of rooms whose home is on one shard, by one view. A look comes in
/// parts, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Census {
    /// When the look began: what is on disk by then is in it.
    pub read_at: Moment,
    /// From 0.
    pub part: u32,
    /// Whether the look is whole with this.
    pub is_last: bool,
    /// Whoever is named has not ended.
    pub rows: Vec<Buried>,
}

/// One interval in which an agent was in a room. Overlapping returns are one interval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attendance {
    /// `label.sub.aud`.
    pub agent_id: String,
    /// When it began.
    pub entered: UnixMicros,
    /// When it ended; none while the agent is in the room.
    pub left: Option<UnixMicros>,
}
