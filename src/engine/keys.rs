//! API keys, and the times of passwords: each shard has all that are good. A change is told to every shard, and the request that caused it
//! is answered only when all of them act by it.

use super::{Engine, Letter};
use crate::{
    protocols::quiz::{asks::Reply, record::KeyChange},
    realtime::ShardId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A change on its way to all shards.
struct Telling {
    /// Those that have not yet said that they act by it.
    missing: BTreeSet<ShardId>,
    change: Arc<KeyChange>,
    asker: ShardId,
    number: u64,
    reply: Box<Reply>,
}

/// The changes that this shard wrote and is telling of.
#[derive(Default)]
pub(super) struct Tellings {
    last: u64,
    waiting: BTreeMap<u64, Telling>,
}

impl Engine {
    /// A change is on disk: tells every shard, this one too, before it answers the ask.
    pub(super) fn tell_key(&mut self, change: KeyChange, asker: ShardId, number: u64, reply: Box<Reply>) {
        self.tellings.last += 1;
        let telling = self.tellings.last;
        let change = Arc::new(change);
        let missing = self.ring.shards().collect();
        self.tellings.waiting.insert(telling, Telling { missing, change: change.clone(), asker, number, reply });
        for shard in self.ring.shards() {
            self.post(shard, Letter::Key { from: self.id, telling, change: change.clone() });
        }
    }

    /// Another view has come, or what was on its way is lost: whoever is not there any more is not waited for, and whoever has not said
    /// that it has heard is told again, in the order of the changes.
    pub(super) fn retell_keys(&mut self) {
        let (view, own) = (self.ring.view().clone(), self.id);
        let mut again = Vec::new();
        for (telling, waiting) in &mut self.tellings.waiting {
            waiting.missing.retain(|shard| view.has(*shard));
            let far = waiting.missing.iter().filter(|shard| shard.node() != own.node());
            again.extend(far.map(|shard| (*shard, Letter::Key { from: own, telling: *telling, change: waiting.change.clone() })));
        }
        again.into_iter().for_each(|(shard, letter)| self.post(shard, letter));
        self.end_tellings();
    }

    /// Another shard, or this one, tells of a change.
    pub(super) fn key_changes(&mut self, from: ShardId, telling: u64, change: &KeyChange) {
        match change {
            KeyChange::Added(key) => self.keys.add(key),
            KeyChange::Revoked(key) => {
                self.keys.remove(*key);
            }
            KeyChange::Password { name, set_at } => self.keys.password(name, *set_at),
        }
        self.post(from, Letter::KeyHeard { telling });
    }

    /// A shard acts by a change.
    pub(super) fn key_heard(&mut self, shard: ShardId, telling: u64) {
        let Some(waiting) = self.tellings.waiting.get_mut(&telling) else { return };
        waiting.missing.remove(&shard);
        if waiting.missing.is_empty() {
            self.end_tellings();
        }
    }

    /// Answers whoever waits for a change that all have heard of.
    fn end_tellings(&mut self) {
        for (_, telling) in self.tellings.waiting.extract_if(.., |_, telling| telling.missing.is_empty()).collect::<Vec<_>>() {
            let Telling { asker, number, reply, .. } = telling;
            self.post(asker, Letter::QuizReply { number, reply });
        }
    }
}
