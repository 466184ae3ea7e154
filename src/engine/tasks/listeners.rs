//! Who listens to which channel of tasks on this shard. Each connection's machine decides what of it is let through, so there is no batch
//! as topics have one.

use crate::protocols::tasks::Channel;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, hash_map::Entry};
use std::collections::BTreeSet;

/// See the file. Connections are known by their slots.
pub(super) struct Listeners(HashMap<Channel, BTreeSet<u32>, FixedState>);

impl Listeners {
    /// `seed` keeps the places of keys from being guessed.
    pub(super) fn new(seed: u64) -> Listeners {
        Listeners(HashMap::with_hasher(FixedState::with_seed(seed)))
    }

    pub(super) fn add(&mut self, channel: Channel, slot: u32) {
        self.0.entry(channel).or_default().insert(slot);
    }

    pub(super) fn remove(&mut self, channel: Channel, slot: u32) {
        if let Entry::Occupied(mut entry) = self.0.entry(channel) {
            entry.get_mut().remove(&slot);
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    /// Those of one channel, in the order of their slots.
    pub(super) fn of(&self, channel: &Channel) -> impl Iterator<Item = u32> + '_ {
        self.0.get(channel).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_left_is_forgotten_with_the_channel() {
        let mut listeners = Listeners::new(1);
        let anna = || Channel::Of("anna".into());
        [(anna(), 7), (anna(), 3), (Channel::All, 5), (anna(), 7)].into_iter().for_each(|(to, slot)| listeners.add(to, slot));
        assert_eq!(listeners.of(&anna()).collect::<Vec<_>>(), [3, 7]);
        assert_eq!(listeners.of(&Channel::Status).count(), 0);
        for (channel, slot) in [(anna(), 7), (Channel::All, 3), (anna(), 3), (Channel::Status, 1), (Channel::All, 5)] {
            listeners.remove(channel, slot);
        }
        assert!(listeners.0.is_empty());
    }
}
