//! What the gateway needs of whoever knows how letters and packets are written.

use crate::{
    cluster::Packet,
    realtime::{NodeSlot, ShardId},
};
use bytes::Bytes;
use std::fmt;

/// What another node said cannot be read. Holds nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not in the form that this version reads")
    }
}

impl std::error::Error for Unreadable {}

/// How letters become bodies, and packets messages of the bus.
pub trait Codec: Send + 'static {
    /// What shards tell each other.
    type Letter: Send + 'static;

    /// Adds a letter to the body for its node, behind those before it.
    fn put(&mut self, from: ShardId, to: ShardId, letter: Self::Letter);
    /// Hands out what was put since the last time: for each node with letters its slot, and one body where they
    /// are not large; none: they cannot be written, and nothing behind them counts.
    fn take(&mut self, each: impl FnMut(NodeSlot, Option<Bytes>));
    /// Reads a body of the node at `slot`, in order: from whom, to whom, what. A sender that is on another node is not let through.
    ///
    /// # Errors
    /// When it is no body; some of it may have been handed out by then.
    fn read(&self, slot: NodeSlot, body: &Bytes, each: impl FnMut(ShardId, ShardId, Self::Letter)) -> Result<(), Unreadable>;
    /// A packet as a message, never an empty one.
    fn bytes(packet: &Packet) -> Bytes;
    /// A message as a packet.
    ///
    /// # Errors
    /// When it is none.
    fn packet(message: Bytes) -> Result<Packet, Unreadable>;
}
