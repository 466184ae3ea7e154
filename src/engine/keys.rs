//! API keys, and the times of passwords: each shard has all that are good. A change is told to every shard, and the request that caused it
//! is answered only when all of them act by it.

use super::{Engine, Letter};
use crate::{
    protocols::quiz::{asks::Reply, record::KeyChange},
    realtime::ShardId,
};
use std::{collections::HashMap, sync::Arc};

/// A change on its way to all shards.
struct Telling {
    /// How many have not yet said that they act by it.
    missing: usize,
    asker: ShardId,
    number: u64,
    reply: Box<Reply>,
}

/// The changes that this shard wrote and is telling of.
#[derive(Default)]
pub(super) struct Tellings {
    last: u64,
    waiting: HashMap<u64, Telling>,
}

impl Engine {
    /// A change is on disk: tells every shard, this one too, before it answers the ask.
    pub(super) fn tell_key(&mut self, change: KeyChange, asker: ShardId, number: u64, reply: Box<Reply>) {
        self.tellings.last += 1;
        let telling = self.tellings.last;
        let missing = self.ring.view().shard_count();
        self.tellings.waiting.insert(telling, Telling { missing, asker, number, reply });
        let change = Arc::new(change);
        for shard in self.ring.shards() {
            self.post(shard, Letter::Key { from: self.id, telling, change: change.clone() });
        }
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
    pub(super) fn key_heard(&mut self, telling: u64) {
        let Some(waiting) = self.tellings.waiting.get_mut(&telling) else { return };
        waiting.missing -= 1;
        if waiting.missing == 0
            && let Some(Telling { asker, number, reply, .. }) = self.tellings.waiting.remove(&telling)
        {
            self.post(asker, Letter::QuizReply { number, reply });
        }
    }
}
