//! The registry at its home, the limits at theirs, and who answers which ask.

use super::{
    super::{Engine, Letter, Question},
    crossing::{Office, home_in},
    keeping::Keeping,
};
use crate::{
    protocols::labs::{
        Outcome, Registry, ToRegistry, UserId,
        asks::{Ask, LimitKey},
        record::{Kept, Record},
    },
    realtime::{Now, ShardId, StoreFault},
};
use std::mem;

impl Engine {
    /// A letter to the registry, or an ask that this shard answers by itself.
    pub(in crate::engine) fn registry_hears(&mut self, from: ShardId, letter: ToRegistry, now: Now) {
        let ToRegistry::Ask { asker, number, ask } = letter else { return self.tell_registry(letter, now) };
        let home = self.answerer_of(&ask);
        if home != self.id && !self.crossing.is_alone() {
            return self.redirect_labs((asker, number), ask);
        }
        match *ask {
            Ask::Keep(record) if self.may_be_written_elsewhere(&record) => {
                let ask = Box::new(Ask::Keep(record));
                self.wait(from, Letter::Registry(ToRegistry::Ask { asker, number, ask }));
            }
            Ask::Keep(record) => self.keep((asker, number), record, now),
            Ask::Limit { key, window } => {
                let reply = self.labs.limits.ask(key, window, now);
                self.reply_labs(asker, number, Box::new(reply));
            }
            ask => self.ask_registry((asker, number), Box::new(ask), now),
        }
    }

    /// The store's word on a record of labs.
    pub(in crate::engine) fn labs_kept(&mut self, ticket: u64, result: Result<Kept, StoreFault>, now: Now) {
        if Keeping::is_own(ticket) {
            self.record_kept(ticket, result, now);
        } else if self.labs.leaving > 0 {
            self.labs.leaving -= 1;
        } else {
            self.with_registry(|registry, out| registry.kept(ticket, result, now, out));
        }
    }

    /// Sends a letter of one of the shard's connections to the registry.
    pub(super) fn post_to_registry(&mut self, letter: ToRegistry) {
        self.post(home_in(self.ring.view()), Letter::Registry(letter));
    }

    /// Who answers this.
    pub(super) fn answerer_of(&self, ask: &Ask) -> ShardId {
        match ask {
            Ask::Keep(record) => self.writer_of_record(record),
            Ask::Limit { key: LimitKey::User(user), .. } => self.ring.home(user.as_bytes()),
            Ask::Limit { key: LimitKey::Address(address), .. } => self.ring.home(&address.to_be_bytes()),
            Ask::Create(_)
            | Ask::Move { .. }
            | Ask::Look { .. }
            | Ask::Logs { .. }
            | Ask::Agents
            | Ask::Enrol(_)
            | Ask::Pulse { .. }
            | Ask::Drain { .. }
            | Ask::Forget { .. } => home_in(self.ring.view()),
        }
    }

    /// Who has a record written that is not the registry's. What a user may is written by one shard: of two changes all shards hear in the
    /// order in which they are on disk.
    fn writer_of_record(&self, record: &Record) -> ShardId {
        user_of(record).map_or(self.id, |user| self.ring.home(user.as_bytes()))
    }

    /// Whether the shard that had such records written until now may have one on its way still.
    fn may_be_written_elsewhere(&self, record: &Record) -> bool {
        user_of(record).is_some_and(|user| self.has_come(user.as_bytes()))
    }

    /// Lets the registry act, where this is its home, and does what it wants done.
    pub(in crate::engine) fn with_registry(&mut self, act: impl FnOnce(&mut Registry, &mut Vec<Outcome>)) {
        let Office::Here(registry) = &mut self.labs.office else { return };
        let mut outcomes = mem::take(&mut self.labs.outcomes);
        act(registry, &mut outcomes);
        for outcome in outcomes.drain(..) {
            match outcome {
                Outcome::Tell(conn, letter) => self.post(conn.shard, Letter::LabsConnection(conn, letter)),
                Outcome::Deliver(conn, frame) => self.post(conn.shard, Letter::Deliver(conn, frame)),
                Outcome::Keep { ticket, record } => self.questions.push(Question::KeepLabs { ticket, record }),
                Outcome::Reply { asker, number, reply } => self.reply_labs(asker, number, reply),
            }
        }
        self.labs.outcomes = outcomes;
    }
}

/// The user whom a record changes.
fn user_of(record: &Record) -> Option<UserId> {
    match record {
        Record::NewUser { user, .. } => Some(user.id),
        Record::EditedUser { user, .. } => Some(*user),
        Record::Change(_) | Record::NoAgent { .. } | Record::Activity { .. } => None,
        Record::Template { .. } | Record::NoTemplate { .. } | Record::Revoked { .. } => None,
    }
}
