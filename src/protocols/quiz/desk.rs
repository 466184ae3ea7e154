//! What homes have under way: requests that wait for an answer, records on their way to disk, and times.

use super::{
    asks::{Refused, Reply},
    homes::Outcome,
    letters::Channel,
    model::QuizId,
    record::{KeyChange, Record},
    settings::Settings,
};
use crate::realtime::{
    Moment, Now, ShardId, StoreFault, TimerId, Wheel,
    table::{Key, Table},
};
use foldhash::fast::FixedState;
use std::time::Duration;

/// Names a request that waits. When it has been answered, or has waited too long, this names nothing, and to answer it does nothing:
/// whoever holds it need not know.
pub type Asking = Key;

struct Waiting {
    asker: ShardId,
    number: u64,
    timer: Option<TimerId>,
    /// Since when nothing was done for it.
    since: Moment,
}

/// Whom the store's answer concerns.
#[derive(Clone, PartialEq, Debug)]
pub enum Whose {
    /// An attempt: a quiz, and a place in it.
    Attempt(QuizId, u32),
    /// A quiz, which is being edited.
    Quiz(QuizId),
    /// No quiz.
    Other {
        /// Who waits.
        asking: Asking,
        /// Who waited at the beginning; the answer to a change of keys goes another way, and may come late.
        asker: (ShardId, u64),
        /// What all shards hear of it.
        change: Option<KeyChange>,
    },
}

/// The times of a home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// A request has waited for as long as one does.
    Asking(Asking),
    /// An attempt's time is up.
    Deadline(QuizId, u32),
    /// An end that could not be written is tried again.
    Retry(QuizId, u32),
    /// The next snapshot of a channel may go out.
    Snapshot(QuizId, Channel),
    /// A quiz that could not be read, and must be, is read again.
    Load(QuizId),
    /// Nothing has happened to a quiz for long.
    Idle(QuizId),
    /// What [`Outcome::Running`] could not be told is asked again.
    Running,
}

/// See the file.
pub struct Desk {
    /// Times and sizes.
    pub settings: Settings,
    /// Spreads the keys of maps.
    pub hasher: FixedState,
    /// The times.
    pub wheel: Wheel<Timer>,
    waiting: Table<Waiting>,
    writing: Table<Whose>,
}

/// What a home needs to know of the world while it decides, and where it says what is to be done.
pub struct Circumstances<'a> {
    /// What is under way.
    pub desk: &'a mut Desk,
    /// Both clocks.
    pub now: Now,
    /// What is to be done.
    pub out: &'a mut Vec<Outcome>,
}

impl Desk {
    /// An empty one.
    pub fn new(settings: Settings, seed: u64, start: Moment) -> Desk {
        Desk {
            settings,
            hasher: FixedState::with_seed(seed),
            wheel: Wheel::new(start),
            waiting: Table::default(),
            writing: Table::default(),
        }
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many records are on their way to disk.
    pub fn writing(&self) -> usize {
        self.writing.len()
    }

    /// The store answered: whom this concerns. Once for each ticket.
    pub fn written(&mut self, ticket: u64) -> Option<Whose> {
        self.writing.remove(key_of(ticket))
    }

    /// Changes of keys on their way to disk.
    pub fn key_changes(&self) -> impl Iterator<Item = &KeyChange> {
        let written = self.writing.keys().filter_map(|key| self.writing.at(key));
        written.filter_map(|whose| match whose {
            Whose::Other { change, .. } => change.as_ref(),
            Whose::Attempt(..) | Whose::Quiz(_) => None,
        })
    }

    /// Whether a request still waits.
    pub fn is_waiting(&self, asking: Asking) -> bool {
        self.waiting.at(asking).is_some()
    }

    /// A request waits for the store's answer now, however long that takes: the store has a time of its own after which it refuses.
    pub fn hold(&mut self, asking: Asking) {
        let timer = self.waiting.at_mut(asking).and_then(|waiting| waiting.timer.take());
        self.cancel(timer);
    }

    /// Takes a timer back.
    pub fn cancel(&mut self, timer: Option<TimerId>) {
        timer.and_then(|timer| self.wheel.cancel(timer));
    }
}

impl Circumstances<'_> {
    /// A request begins to wait.
    pub fn receive(&mut self, asker: ShardId, number: u64) -> Asking {
        let asking = self.desk.waiting.insert(Waiting { asker, number, timer: None, since: self.now.moment });
        let timer = self.after(self.desk.settings.keep_timeout, Timer::Asking(asking));
        if let Some(waiting) = self.desk.waiting.at_mut(asking) {
            waiting.timer = Some(timer);
        }
        asking
    }

    /// Answers a request, unless it waits no more.
    pub fn reply(&mut self, asking: Asking, reply: Reply) {
        let Some(Waiting { asker, number, timer, .. }) = self.desk.waiting.remove(asking) else { return };
        self.desk.cancel(timer);
        self.out.push(Outcome::Reply { asker, number, reply: Box::new(reply) });
    }

    /// Answers a request that nothing was done.
    pub fn refuse(&mut self, asking: Asking, refused: Refused) {
        self.reply(asking, Reply::Refused(refused));
    }

    /// A part of what a request wants is done: for the rest it waits anew.
    pub fn go_on(&mut self, asking: Asking) {
        if let Some(waiting) = self.desk.waiting.at_mut(asking) {
            waiting.since = self.now.moment;
        }
    }

    /// A request has waited as long as one does. If nothing was done for it meanwhile, that was too long; what was begun for its sake goes
    /// on.
    pub fn give_up(&mut self, asking: Asking) {
        let Some(waiting) = self.desk.waiting.at_mut(asking) else { return };
        let end = waiting.since + self.desk.settings.keep_timeout;
        if end <= self.now.moment {
            return self.refuse(asking, Refused::Store(StoreFault::Busy));
        }
        waiting.timer = Some(self.desk.wheel.set(end, Timer::Asking(asking)));
    }

    /// A request is answered another way.
    pub fn release(&mut self, asking: Asking) {
        if let Some(waiting) = self.desk.waiting.remove(asking) {
            self.desk.cancel(waiting.timer);
        }
    }

    /// Has a record written.
    pub fn keep(&mut self, whose: Whose, record: Record) {
        let ticket = number_of(self.desk.writing.insert(whose));
        self.out.push(Outcome::Keep { ticket, record });
    }

    /// Sets a timer.
    pub fn after(&mut self, after: Duration, timer: Timer) -> TimerId {
        self.desk.wheel.set(self.now.moment + after, timer)
    }
}

fn number_of(ticket: Key) -> u64 {
    u64::from(ticket.slot) << 16 | u64::from(ticket.generation)
}

fn key_of(number: u64) -> Key {
    Key { slot: (number >> 16) as u32, generation: number as u16 }
}
