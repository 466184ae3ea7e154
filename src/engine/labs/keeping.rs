//! Records of labs that do not concern the registry: the shard that was asked has them written itself.

use super::super::{Engine, Letter, Question};
use crate::{
    protocols::labs::{
        Revocation, Standing, UserId,
        asks::{Refused, Reply},
        record::{Kept, Record},
    },
    realtime::{Moment, Now, ShardId, StoreFault},
};
use std::collections::{HashMap, VecDeque};

/// Set in the tickets of such records and of none that is the registry's: its own are numbers of places, far smaller.
const OWN: u64 = 1 << 63;
/// Records that are on their way at a time; more are answered that the store is busy.
const AT_MOST: usize = 1 << 16;

struct Waiting {
    asker: ShardId,
    number: u64,
    /// Whom the store's word concerns beside the one who asked.
    revokes: Option<Revocation>,
    /// Whether the one who asked was told already, that the store is busy.
    is_answered: bool,
}

/// See the file.
#[derive(Default)]
pub(super) struct Keeping {
    last: u64,
    waiting: HashMap<u64, Waiting>,
    /// When who asked is to be told that the store is busy; all wait for the same time.
    due: VecDeque<(Moment, u64)>,
}

impl Keeping {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.due.front().map(|(due, _)| *due)
    }

    /// Whether this ticket is one of these records'.
    pub(super) fn is_own(ticket: u64) -> bool {
        ticket & OWN != 0
    }

    /// Whether one is on its way that changes such a user.
    pub(super) fn user_moving(&self, is_another: impl Fn(UserId) -> bool) -> bool {
        self.waiting.values().any(|waiting| waiting.revokes.and_then(Revocation::user).is_some_and(&is_another))
    }

    fn take_due(&mut self, now: Moment) -> Option<(ShardId, u64)> {
        loop {
            let &(due, ticket) = self.due.front()?;
            let waiting = self.waiting.get_mut(&ticket).filter(|waiting| !waiting.is_answered);
            if waiting.is_some() && due > now {
                return None;
            }
            self.due.pop_front();
            if let Some(waiting) = waiting {
                waiting.is_answered = true;
                return Some((waiting.asker, waiting.number));
            }
        }
    }
}

impl Engine {
    /// Has a record written for a request of this shard.
    pub(super) fn keep(&mut self, (asker, number): (ShardId, u64), record: Record, now: Now) {
        if self.labs.keeping.len() >= AT_MOST {
            return self.reply_labs(asker, number, busy());
        }
        let keeping = &mut self.labs.keeping;
        keeping.last += 1;
        let ticket = OWN | keeping.last;
        let revokes = match &record {
            Record::Revoked { token, expires_at } => Some(Revocation::Token { token: *token, expires_at: *expires_at }),
            Record::NewUser { user, .. } => Standing::of(user).map(Revocation::User),
            Record::EditedUser { role: None, active: None, .. } => None,
            Record::EditedUser { user, role, active, .. } => {
                Some(Revocation::User(Standing { user: *user, role: *role, active: *active }))
            }
            Record::Change(_) | Record::NoAgent { .. } | Record::Activity { .. } => None,
            Record::Template { .. } | Record::NoTemplate { .. } => None,
        };
        keeping.waiting.insert(ticket, Waiting { asker, number, revokes, is_answered: false });
        keeping.due.push_back((now.moment + self.rules.labs.keep_timeout, ticket));
        self.questions.push(Question::KeepLabs { ticket, record });
    }

    /// The store's word on such a record. A right that is another on disk is another on all shards before anybody is told.
    pub(super) fn record_kept(&mut self, ticket: u64, result: Result<Kept, StoreFault>, now: Now) {
        let Some(Waiting { asker, number, revokes, is_answered }) = self.labs.keeping.waiting.remove(&ticket) else { return };
        let to = (!is_answered).then_some((asker, number));
        match (result, revokes) {
            (Ok(Kept::Done), Some(what)) => self.tell_revoked(what, to, now),
            (result, _) => {
                let reply = Box::new(result.map_or_else(|fault| Reply::Refused(Refused::Store(fault)), Reply::Kept));
                if let Some((asker, number)) = to {
                    self.reply_labs(asker, number, reply);
                }
            }
        }
        self.give_up_keeping(now);
    }

    /// Tells those who have waited too long. What they asked for is done all the same.
    pub(super) fn give_up_keeping(&mut self, now: Now) {
        while let Some((asker, number)) = self.labs.keeping.take_due(now.moment) {
            self.reply_labs(asker, number, busy());
        }
    }

    pub(super) fn reply_labs(&mut self, asker: ShardId, number: u64, reply: Box<Reply>) {
        self.post(asker, Letter::LabsReply { number, reply });
    }
}

/// What nobody can say of whom it asked in time.
pub(super) fn busy() -> Box<Reply> {
    Box::new(Reply::Refused(Refused::Store(StoreFault::Busy)))
}
