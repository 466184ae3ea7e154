//! What the registry has under way: requests that wait for an answer, records on their way to disk, and times.

use super::{
    asks::{Refused, Reply},
    model::SessionId,
    record::Record,
    registry::Outcome,
    settings::Settings,
};
use crate::realtime::{
    Moment, Now, ShardId, StoreFault, TimerId, Wheel,
    table::{Key, Table},
};
use foldhash::fast::FixedState;
use std::time::Duration;

/// Requests that wait at a time; more are answered that the store is busy.
const WAITING_AT_MOST: usize = 1 << 16;

/// Names a request that waits. When it has been answered this names nothing, and to answer it does nothing: whoever holds it need not know.
pub(super) type Asking = Key;

struct Waiting {
    asker: ShardId,
    number: u64,
    timer: Option<TimerId>,
    /// What it is answered when it has waited too long.
    at_last: Box<Reply>,
}

/// Whom the store's answer concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    /// A session whose change waits for it.
    Session(SessionId),
    /// An agent whose change waits for it.
    Agent(u32),
    /// A stop that was owed to a session, and has ended.
    Errand(SessionId),
    /// Nothing waits for it: when it fails, the next one says the same.
    Nobody,
}

/// The times of the registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// A request has waited for as long as one does.
    Asking(Asking),
    /// An agent has not been heard of for too long.
    Silence(u32),
    /// An agent has stayed away for so long that it may be forgotten.
    Absence(u32),
    /// Somebody follows a session's log.
    Follow(SessionId),
    /// A session's command has had no result for too long.
    Overdue(SessionId),
    /// A session that ends is to be stopped again.
    StopAgain(SessionId),
    /// Nobody has done anything in a session for as long as it stays awake.
    Idle(SessionId),
    /// A change that could not be written is tried again.
    Retry(SessionId),
    /// A stop that is owed to a session that is over has had no result for too long.
    Errand(SessionId),
}

/// One call of the registry: the time, and where it says what is to be done.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) out: &'a mut Vec<Outcome>,
}

/// See the file.
pub(super) struct Desk {
    pub(super) settings: Settings,
    /// Spreads the keys of maps.
    pub(super) hasher: FixedState,
    pub(super) wheel: Wheel<Timer>,
    waiting: Table<Waiting>,
    writing: Table<Whose>,
}

impl Desk {
    pub(super) fn new(settings: Settings, seed: u64, start: Moment) -> Desk {
        Desk {
            settings,
            hasher: FixedState::with_seed(seed),
            wheel: Wheel::new(start),
            waiting: Table::default(),
            writing: Table::default(),
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn writing(&self) -> usize {
        self.writing.len()
    }

    /// A request begins to wait, at first for its row. None: too many do; it has been answered.
    pub(super) fn receive(&mut self, asker: ShardId, number: u64, t: &mut Turn<'_>) -> Option<Asking> {
        let busy = Box::new(Reply::Refused(Refused::Store(StoreFault::Busy)));
        if self.waiting.len() >= WAITING_AT_MOST {
            t.out.push(Outcome::Reply { asker, number, reply: busy });
            return None;
        }
        let asking = self.waiting.insert(Waiting { asker, number, timer: None, at_last: Box::new(Reply::Agents(Vec::new())) });
        self.wait(asking, self.settings.keep_timeout, busy, t);
        Some(asking)
    }

    /// From now on a request waits for something else, for so long; then it is answered so.
    pub(super) fn wait(&mut self, asking: Asking, time: Duration, at_last: Box<Reply>, t: &Turn<'_>) {
        let Some(waiting) = self.waiting.at_mut(asking) else { return };
        waiting.at_last = at_last;
        let before = waiting.timer.replace(self.wheel.set(t.now.moment + time, Timer::Asking(asking)));
        self.cancel(before);
    }

    pub(super) fn is_waiting(&self, asking: Asking) -> bool {
        self.waiting.at(asking).is_some()
    }

    /// Answers a request, unless it waits no more.
    pub(super) fn reply(&mut self, asking: Asking, reply: Reply, t: &mut Turn<'_>) {
        let Some(Waiting { asker, number, timer, .. }) = self.waiting.remove(asking) else { return };
        self.cancel(timer);
        t.out.push(Outcome::Reply { asker, number, reply: Box::new(reply) });
    }

    pub(super) fn refuse(&mut self, asking: Asking, refused: Refused, t: &mut Turn<'_>) {
        self.reply(asking, Reply::Refused(refused), t);
    }

    /// A request has waited too long. What was begun for its sake goes on.
    pub(super) fn give_up(&mut self, asking: Asking, t: &mut Turn<'_>) {
        let Some(Waiting { asker, number, at_last, .. }) = self.waiting.remove(asking) else { return };
        t.out.push(Outcome::Reply { asker, number, reply: at_last });
    }

    /// Nobody waits any more.
    pub(super) fn refuse_all(&mut self, t: &mut Turn<'_>) {
        for asking in self.waiting.keys().collect::<Vec<_>>() {
            self.refuse(asking, Refused::Store(StoreFault::Busy), t);
        }
    }

    /// Has a record written.
    pub(super) fn keep(&mut self, whose: Whose, record: Record, t: &mut Turn<'_>) {
        let ticket = number_of(self.writing.insert(whose));
        t.out.push(Outcome::Keep { ticket, record });
    }

    /// The store answered: whom this concerns. Once for each ticket.
    pub(super) fn written(&mut self, ticket: u64) -> Option<Whose> {
        self.writing.remove(key_of(ticket))
    }

    pub(super) fn after(&mut self, after: Duration, timer: Timer, t: &Turn<'_>) -> TimerId {
        self.wheel.set(t.now.moment + after, timer)
    }

    pub(super) fn cancel(&mut self, timer: Option<TimerId>) {
        timer.and_then(|timer| self.wheel.cancel(timer));
    }
}

/// A key as one number, for those who give it back.
pub(super) fn number_of(key: Key) -> u64 {
    u64::from(key.slot) << 16 | u64::from(key.generation)
}

/// The key that [`number_of`] made this of.
pub(super) fn key_of(number: u64) -> Key {
    Key { slot: (number >> 16) as u32, generation: number as u16 }
}
