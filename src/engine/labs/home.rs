//! The registry at its home, the limits at theirs, and who answers which ask.

use super::{
    super::{Engine, Letter, Question},
    HOME,
    keeping::Keeping,
};
use crate::{
    protocols::labs::{
        Outcome, Registry, ToRegistry,
        asks::{Ask, LimitKey},
        record::{Kept, Record},
    },
    realtime::{Now, ShardId, StoreFault},
};
use std::mem;

impl Engine {
    /// A letter to the registry, or an ask that this shard answers by itself.
    pub(in crate::engine) fn registry_hears(&mut self, letter: ToRegistry, now: Now) {
        match letter {
            ToRegistry::Ask { asker, number, ask } => match *ask {
                Ask::Keep(record) => self.keep((asker, number), record, now),
                Ask::Limit { key, window } => {
                    let reply = self.labs.limits.ask(key, window, now);
                    self.reply_labs(asker, number, Box::new(reply));
                }
                ask => self.with_registry(|registry, out| {
                    registry.letter(ToRegistry::Ask { asker, number, ask: Box::new(ask) }, now, out);
                }),
            },
            letter => self.with_registry(|registry, out| registry.letter(letter, now, out)),
        }
    }

    /// The store's word on a record of labs.
    pub(in crate::engine) fn labs_kept(&mut self, ticket: u64, result: Result<Kept, StoreFault>, now: Now) {
        if Keeping::is_own(ticket) {
            self.record_kept(ticket, result, now);
        } else {
            self.with_registry(|registry, out| registry.kept(ticket, result, now, out));
        }
    }

    pub(in crate::engine) fn post_to_registry(&mut self, letter: ToRegistry) {
        let home = match &letter {
            ToRegistry::Ask { ask, .. } => self.answerer_of(ask),
            ToRegistry::Register { .. }
            | ToRegistry::Said { .. }
            | ToRegistry::AgentGone { .. }
            | ToRegistry::View { .. }
            | ToRegistry::ViewerGone { .. }
            | ToRegistry::Follow { .. }
            | ToRegistry::FollowerGone { .. }
            | ToRegistry::Activity { .. } => self.own_ring.home(HOME),
        };
        self.post(home, Letter::Registry(letter));
    }

    fn answerer_of(&self, ask: &Ask) -> ShardId {
        match ask {
            Ask::Keep(record) => self.writer_of_record(record),
            Ask::Limit { key: LimitKey::User(user), .. } => self.own_ring.home(user.as_bytes()),
            Ask::Limit { key: LimitKey::Address(address), .. } => self.own_ring.home(&address.to_be_bytes()),
            Ask::Create(_)
            | Ask::Move { .. }
            | Ask::Look { .. }
            | Ask::Logs { .. }
            | Ask::Agents
            | Ask::Enrol(_)
            | Ask::Pulse { .. }
            | Ask::Drain { .. }
            | Ask::Forget { .. } => self.own_ring.home(HOME),
        }
    }

    /// Who has a record written that is not the registry's. What a user may is written by one shard: of two changes all shards hear in the
    /// order in which they are on disk.
    fn writer_of_record(&self, record: &Record) -> ShardId {
        match record {
            Record::NewUser { user, .. } => self.own_ring.home(user.id.as_bytes()),
            Record::EditedUser { user, .. } => self.own_ring.home(user.as_bytes()),
            Record::Change(_)
            | Record::NoAgent { .. }
            | Record::Activity { .. }
            | Record::Template { .. }
            | Record::NoTemplate { .. }
            | Record::Revoked { .. } => self.id,
        }
    }

    /// Lets the registry act, where this is its home, and does what it wants done.
    pub(super) fn with_registry(&mut self, act: impl FnOnce(&mut Registry, &mut Vec<Outcome>)) {
        let Some(registry) = &mut self.labs.registry else { return };
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
