//! A node as others of the cluster know it.

use crate::realtime::{NodeSlot, view::Member};

/// One life of one node. A node that begins anew has a new epoch, so what was meant for its last life never reaches the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Node {
    /// Its slot: the high byte of its shards' ids.
    pub slot: NodeSlot,
    /// Given out by the store; no two lives have one.
    pub epoch: u64,
}

impl From<&Member> for Node {
    fn from(member: &Member) -> Node {
        Node { slot: member.slot, epoch: member.epoch }
    }
}
