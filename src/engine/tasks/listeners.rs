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

    /// How many channels are listened to.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the first of its channel.
    pub(super) fn add(&mut self, channel: Channel, slot: u32) -> bool {
        let slots = self.0.entry(channel).or_default();
        slots.insert(slot) && slots.len() == 1
    }

    /// Whether it was the last of its channel.
    pub(super) fn remove(&mut self, channel: Channel, slot: u32) -> bool {
        let Entry::Occupied(mut entry) = self.0.entry(channel) else { return false };
        entry.get_mut().remove(&slot);
        let is_last = entry.get().is_empty();
        if is_last {
            entry.remove();
        }
        is_last
    }

    /// What of tasks and executions is listened to.
    pub(super) fn channels(&self) -> impl Iterator<Item = Channel> + '_ {
        self.0.keys().filter(|channel| **channel != Channel::Status).cloned()
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
        let came = [(anna(), 7), (anna(), 3), (Channel::All, 5), (anna(), 7)].map(|(to, slot)| listeners.add(to, slot));
        assert_eq!(came, [true, false, true, false]);
        assert_eq!(listeners.of(&anna()).collect::<Vec<_>>(), [3, 7]);
        assert_eq!((listeners.of(&Channel::Status).count(), listeners.len()), (0, 2));
        let went = [(anna(), 7), (Channel::All, 3), (anna(), 3), (Channel::Status, 1), (Channel::All, 5)];
        assert_eq!(went.map(|(channel, slot)| listeners.remove(channel, slot)), [false, false, true, false, true]);
        assert_eq!(listeners.len(), 0);
    }
}
