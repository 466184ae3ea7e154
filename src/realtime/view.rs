//! Who is in the cluster: what all nodes that have the same number of it see alike.

use super::{NodeSlot, ShardId};

/// One node of a view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member {
    /// The place it holds.
    pub slot: NodeSlot,
    /// Which holder of the place it is. Of two holders of any places the later one has the higher epoch.
    pub epoch: u64,
    /// How many shards it has.
    pub shards: u8,
}

impl Member {
    /// Its shards, in order.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        let slot = self.slot;
        (0..self.shards).map(move |local| ShardId::of(slot, local))
    }
}

/// The nodes of a cluster. The store hands views out: a later one has a higher number, and two with the same number are equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    number: u64,
    members: Vec<Member>,
}

impl View {
    /// The view of this number. Members are put in order of their slots; of several with one slot the one with the highest epoch is in it.
    pub fn new(number: u64, mut members: Vec<Member>) -> View {
        members.sort_unstable_by_key(|member| (member.slot, std::cmp::Reverse(member.epoch)));
        members.dedup_by_key(|member| member.slot);
        View { number, members }
    }

    /// The one view of a node that stands alone with `shards` (at least one).
    pub fn alone(shards: u16) -> View {
        let shards = u8::try_from(shards.max(1)).unwrap_or(u8::MAX);
        View::new(0, vec![Member { slot: NodeSlot(0), epoch: 0, shards }])
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The nodes, in order of their slots.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The node at this slot.
    pub fn member(&self, slot: NodeSlot) -> Option<&Member> {
        self.members.binary_search_by_key(&slot, |member| member.slot).ok().map(|at| &self.members[at])
    }

    /// Which holder of the slot is in it.
    pub fn epoch(&self, slot: NodeSlot) -> Option<u64> {
        self.member(slot).map(|member| member.epoch)
    }

    /// Whether this shard is one of a node that is in it.
    pub fn has(&self, shard: ShardId) -> bool {
        self.member(shard.node()).is_some_and(|member| shard.local() < member.shards)
    }

    /// Every shard of every node, in order.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + '_ {
        self.members.iter().flat_map(Member::shards)
    }

    /// How many shards there are in all.
    pub fn shard_count(&self) -> usize {
        self.members.iter().map(|member| usize::from(member.shards)).sum()
    }

    /// The node that has been in the cluster for longest.
    pub fn oldest(&self) -> Option<&Member> {
        self.members.iter().min_by_key(|member| member.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(slot: u8, epoch: u64, shards: u8) -> Member {
        Member { slot: NodeSlot(slot), epoch, shards }
    }

    #[test]
    fn members_stand_in_order_and_once() {
        let view = View::new(4, vec![member(2, 9, 1), member(0, 11, 2), member(2, 12, 3)]);
        assert_eq!(view.members(), [member(0, 11, 2), member(2, 12, 3)]);
        let shards: Vec<_> = view.shards().map(|shard| shard.0).collect();
        assert_eq!(shards, [0, 1, 0x200, 0x201, 0x202]);
        assert_eq!((view.shard_count(), view.oldest()), (5, Some(&member(0, 11, 2))));
        assert_eq!((view.epoch(NodeSlot(2)), view.epoch(NodeSlot(1))), (Some(12), None));
        assert!(view.has(ShardId(0x202)) && !view.has(ShardId(0x203)) && !view.has(ShardId(2)));
    }

    #[test]
    fn one_that_stands_alone_has_a_view_too() {
        assert_eq!(View::alone(3).shards().map(|shard| shard.0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((View::alone(0).shard_count(), View::alone(9999).shard_count()), (1, 255));
    }
}
