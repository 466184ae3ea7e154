//! Which shards of other nodes have listeners for which channel of tasks: news go to these and to no others.

use crate::{
    protocols::tasks::{Channel, UserName},
    realtime::ShardId,
};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, hash_map::Entry};
use smallvec::SmallVec;

/// A few shards, in order, each once.
pub(super) type Shards = SmallVec<[ShardId; 8]>;

/// See the file.
pub(super) struct Interests(HashMap<Channel, Shards, FixedState>);

impl Interests {
    /// `seed` keeps the places of keys from being guessed.
    pub(super) fn new(seed: u64) -> Interests {
        Interests(HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    pub(super) fn add(&mut self, channel: Channel, shard: ShardId) {
        let shards = self.0.entry(channel).or_default();
        if let Err(at) = shards.binary_search(&shard) {
            shards.insert(at, shard);
        }
    }

    pub(super) fn remove(&mut self, channel: Channel, shard: ShardId) {
        if let Entry::Occupied(mut entry) = self.0.entry(channel) {
            entry.get_mut().retain(|own| *own != shard);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// These shards are no more, or will say anew what is listened to there.
    pub(super) fn lose(&mut self, is_gone: impl Fn(ShardId) -> bool) {
        self.0.values_mut().for_each(|shards| shards.retain(|shard| !is_gone(*shard)));
        self.0.retain(|_, shards| !shards.is_empty());
    }

    /// Where somebody listens to what happens to what is this user's.
    pub(super) fn of(&self, owner: &UserName) -> Shards {
        if self.0.is_empty() {
            return Shards::new();
        }
        let (own, all) = (self.0.get(&Channel::Of(owner.clone())), self.0.get(&Channel::All));
        let mut shards: Shards = own.into_iter().chain(all).flatten().copied().collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_told_once_and_only_while_somebody_listens_there() {
        let mut interests = Interests::new(1);
        let (anna, bert) = (UserName::from("anna"), UserName::from("bert"));
        let of = |user: &UserName| Channel::Of(user.clone());
        for (channel, shard) in [(of(&anna), 0x201), (Channel::All, 0x201), (of(&anna), 0x100), (of(&anna), 0x100)] {
            interests.add(channel, ShardId(shard));
        }
        assert_eq!(interests.of(&anna)[..], [ShardId(0x100), ShardId(0x201)]);
        assert_eq!(interests.of(&bert)[..], [ShardId(0x201)]);
        interests.remove(of(&anna), ShardId(0x100));
        interests.remove(of(&bert), ShardId(0x100));
        assert_eq!(interests.of(&anna)[..], [ShardId(0x201)]);
        interests.lose(|shard| shard.node().0 == 2);
        assert_eq!((interests.of(&anna).len(), interests.0.len()), (0, 0), "nobody is remembered");
    }
}
