//! Identifiers. Small, `Copy`, and never built from what a peer sent without a check.

use std::{fmt, str::FromStr};

/// The room that students are in, as the presence contract names it (`classroom_id`). Upper case and missing dashes name the same room.
pub type ClassroomId = uuid::Uuid;

/// One process of a cluster: the place it holds among the nodes. A node that stands alone has the place 0.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct NodeSlot(pub u8);

impl fmt::Display for NodeSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One pinned thread with its executor, ring, connections and homes, named in the whole cluster: the high eight bits are its node's slot,
/// the low eight its number on that node, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct ShardId(pub u16);

impl ShardId {
    /// A shard of a node.
    pub const fn of(node: NodeSlot, local: u8) -> ShardId {
        ShardId((node.0 as u16) << 8 | local as u16)
    }

    /// Whose shard it is.
    pub const fn node(self) -> NodeSlot {
        NodeSlot((self.0 >> 8) as u8)
    }

    /// Its number among the shards of its own node.
    pub const fn local(self) -> u8 {
        self.0 as u8
    }

    /// The same as an index into a table with one entry for each shard of the node.
    pub const fn index(self) -> usize {
        self.local() as usize
    }
}

impl fmt::Display for ShardId {
    /// As its number alone on the first node, so that one that stands alone has plain numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node() {
            NodeSlot(0) => self.local().fmt(f),
            node => write!(f, "{node}/{}", self.local()),
        }
    }
}

/// One connection on one shard: its slot, and the generation that tells it from those that had the slot before. Eight bytes. It names the
/// connection in the whole cluster.
///
/// A stale `ConnId` (its slot was freed or reused) is recognised by the engine and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ConnId {
    /// Such as `0:12.3`: shard, slot, generation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}.{}", self.shard, self.slot, self.generation)
    }
}

/// What is no id of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoConnId;

impl FromStr for ConnId {
    type Err = NoConnId;

    fn from_str(text: &str) -> Result<ConnId, NoConnId> {
        let read = || {
            let (shard, place) = text.split_once(':')?;
            let (node, local) = shard.split_once('/').unwrap_or(("0", shard));
            let (slot, generation) = place.split_once('.')?;
            let shard = ShardId::of(NodeSlot(node.parse().ok()?), local.parse().ok()?);
            Some(ConnId { shard, slot: slot.parse().ok()?, generation: generation.parse().ok()? })
        };
        read().ok_or(NoConnId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_named_in_the_whole_cluster_and_plainly_on_the_first_node() {
        let shard = ShardId::of(NodeSlot(3), 7);
        assert_eq!((shard.node(), shard.local(), shard.index(), shard.0), (NodeSlot(3), 7, 7, 0x0307));
        assert_eq!((shard.to_string(), ShardId(5).to_string()), ("3/7".into(), "5".into()));
        assert_eq!(ShardId::of(NodeSlot(0), 5), ShardId(5));
        assert!(ShardId::of(NodeSlot(1), 0) > ShardId::of(NodeSlot(0), 255));
    }

    #[test]
    fn a_connection_is_found_again_by_what_it_is_called() {
        for shard in [ShardId(1), ShardId::of(NodeSlot(3), 7)] {
            let conn = ConnId { shard, generation: 65_535, slot: 12 };
            assert_eq!(conn.to_string().parse(), Ok(conn));
        }
        assert_eq!("1:12.3".parse(), Ok(ConnId { shard: ShardId(1), generation: 3, slot: 12 }));
        for text in ["", "1", "1:2", "1:2.x", "1/2", "256/1:2.3", "1:2.65536", "-1:2.3"] {
            assert_eq!(text.parse::<ConnId>(), Err(NoConnId), "{text}");
        }
    }
}
