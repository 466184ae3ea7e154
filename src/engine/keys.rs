//! API keys, and the times of passwords: each shard has all that are good. A change is told to every shard, and the request that caused it
//! is answered only when all of them act by it.

use super::{
    Engine, Letter, Question,
    reading::{AGAIN, Reading},
};
use crate::{
    protocols::quiz::{Good, asks::Reply, model::KeyId, record::KeyChange},
    realtime::{Moment, Now, ShardId, StoreFault},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
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

/// What a node died with on its lips, or told before this one was in the view, this shard does not know.
pub(super) struct Doubt {
    /// Whether its node has just come: nobody told it anything before.
    is_new: bool,
    reading: Reading,
    /// Answers that are awaited.
    asked: usize,
    /// Of what it was told since: what is read of these may be older.
    newer: HashSet<KeyId>,
    set_since: HashSet<String>,
}

impl Doubt {
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.reading.next_deadline()
    }

    fn heard(&mut self, change: &KeyChange) {
        match change {
            KeyChange::Added(key) => self.newer.insert(key.id),
            KeyChange::Revoked(key) => self.newer.insert(*key),
            KeyChange::Password { name, .. } => self.set_since.insert(name.clone()),
        };
    }
}

impl Engine {
    /// Whether this shard knows for certain which API keys are good, and since when passwords are. One of a node that has just come to
    /// others does not, until it has read that behind all that they had told by then.
    pub fn knows_keys(&self) -> bool {
        self.key_doubt.as_ref().is_none_or(|doubt| !doubt.is_new)
    }

    /// Keys may be others than this shard knows. `is_new`: its node has just come.
    pub(super) fn doubt_keys(&mut self, is_new: bool) {
        let (reading, asked) = (Reading::Barred, 0);
        let doubt = || Doubt { is_new, reading, asked, newer: HashSet::new(), set_since: HashSet::new() };
        self.key_doubt.get_or_insert_with(doubt).reading = reading;
    }

    /// Every shard has reached the view: nobody tells by an earlier one any more.
    pub(super) fn keys_are_whole(&mut self) {
        if self.key_doubt.as_ref().is_some_and(|doubt| doubt.reading == Reading::Barred) {
            self.read_keys();
        }
    }

    /// Tries again what could not be read.
    pub(super) fn turn_keys(&mut self, now: Now) {
        if self.key_doubt.as_ref().is_some_and(|doubt| doubt.reading.is_due(now.moment)) {
            self.read_keys();
        }
    }

    fn read_keys(&mut self) {
        let Some(doubt) = &mut self.key_doubt else { return };
        (doubt.reading, doubt.asked) = (Reading::Asked, doubt.asked + 1);
        self.questions.push(Question::LoadKeys);
    }

    /// The keys were read, or could not be.
    pub(super) fn keys_loaded(&mut self, result: Result<Box<Good>, StoreFault>, now: Now) {
        let Some(doubt) = &mut self.key_doubt else { return };
        doubt.asked = doubt.asked.saturating_sub(1);
        match result {
            Ok(good) => {
                self.keys.correct(*good, |key| doubt.newer.contains(&key), |name| doubt.set_since.contains(name));
                if doubt.asked == 0 && doubt.reading == Reading::Asked {
                    self.key_doubt = None;
                }
            }
            Err(_) if doubt.reading == Reading::Asked => doubt.reading = Reading::Failed(now.moment + AGAIN),
            Err(_) => {}
        }
    }

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

    /// Whether a change is written or told still that is another shard's by now: of two changes all shards hear in the order in which they
    /// are on disk.
    pub(super) fn keys_moving(&self) -> bool {
        let told = self.tellings.waiting.values().map(|telling| &*telling.change);
        told.chain(self.quizzes.key_changes()).any(|change| self.ring.home(change.place()) != self.id)
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
        self.key_doubt.iter_mut().for_each(|doubt| doubt.heard(change));
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
            self.say_reached();
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
