//! One attempt at its home: it begins, is answered, ends once. One record of it is on its way to disk at a time; what comes meanwhile
//! waits its turn. What is here is what is on disk.

use super::{
    asks::{Ask, End},
    desk::Asking,
    messages::Who,
    model::{AnswerId, Grade, QuestionId, Reason},
    record::{Closed, LoadedAttempt, Started},
    standing::Merit,
};
use crate::realtime::{ConnId, ShardId, TimerId, UnixMicros};
use smallvec::SmallVec;
use std::{collections::VecDeque, time::Duration};

/// How many requests wait at most.
pub const WAITING: usize = 64;
/// The sockets of its participant at most: pages, devices, and those that are gone and not yet missed. Each costs its home a step at its
/// beginning and at its end for every other.
pub const SOCKETS: usize = 128;
/// From an end that could not be written to the next try; each time twice as long, up to [`RETRY_LONGEST`].
pub const RETRY_FIRST: Duration = Duration::from_millis(100);
/// See [`RETRY_FIRST`].
pub const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// Where an attempt stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Its first record is on its way; nobody sees it yet.
    Starting,
    /// It takes answers.
    Running,
    /// It is over.
    Over {
        /// Why.
        reason: Reason,
        /// When.
        at: UnixMicros,
    },
}

/// What waits its turn.
#[derive(PartialEq, Debug)]
pub enum Item {
    /// A request: a look, an answer, a submission, flags, or the beginning again.
    Ask {
        /// Who waits for it.
        asking: Asking,
        /// What.
        ask: Box<Ask>,
        /// When it came. What came before the deadline counts, however long it waits.
        at: UnixMicros,
    },
    /// An end that no participant asked for.
    Close(Close),
}

/// See [`Item::Close`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Close {
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: UnixMicros,
    /// Which request to end all, if it was one.
    pub force: Option<u32>,
}

/// A record on its way, and what becomes of it.
#[derive(PartialEq, Debug)]
pub struct Write {
    /// Who waits for it.
    pub asking: Option<Asking>,
    /// What it changes.
    pub change: Change,
}

/// See [`Write`].
#[derive(PartialEq, Debug)]
pub enum Change {
    /// It begins.
    Start,
    /// An answer.
    Answer {
        /// Its record.
        id: AnswerId,
        /// To which question.
        question: QuestionId,
        /// The question's place, from 0.
        place: u16,
        /// What it is worth.
        grade: Grade,
        /// When it came.
        at: UnixMicros,
    },
    /// Flags.
    Flag {
        /// Once each, in their order.
        labels: Vec<String>,
        /// How many flags.
        count: u32,
        /// When they came.
        at: UnixMicros,
    },
    /// It ends.
    Close {
        /// The record.
        closed: Closed,
        /// As in [`Close::force`].
        force: Option<u32>,
    },
}

/// What only an attempt that runs has, or one with something under way.
#[derive(Default)]
struct Work {
    /// By the question's place: what the last answer was worth. The sum is taken in this order, so that it is the same after a restart.
    answers: Vec<(u16, f64)>,
    sockets: SmallVec<[ConnId; 1]>,
    queue: VecDeque<Item>,
    writing: Option<Write>,
    deadline: Option<TimerId>,
    /// Whether the end at the deadline is in the queue, or was.
    time_up: bool,
    /// Nothing is taken from the queue until a timer has fired.
    paused: bool,
    /// How long the next pause is.
    pause: Duration,
}

/// One attempt.
pub struct Attempt {
    /// Whose.
    pub who: Who,
    /// When it began.
    pub started_at: UnixMicros,
    /// When its time is up.
    pub deadline: Option<UnixMicros>,
    /// How many flags.
    pub flags: u32,
    /// Points.
    pub score: f64,
    /// Questions answered.
    pub answered_count: u32,
    /// From its beginning to its last answer.
    pub took_ms: Option<u64>,
    /// Its number in the order of changes ([`super::standing::Recent`]).
    pub recency: Option<u64>,
    phase: Phase,
    work: Option<Box<Work>>,
}

impl Attempt {
    /// One that is about to begin.
    pub fn new(started: &Started) -> Attempt {
        let Started { attempt, participant, quiz, event, .. } = *started;
        Attempt {
            who: Who { attempt, participant, alias: started.alias.clone(), quiz, event },
            started_at: started.started_at,
            deadline: started.deadline,
            flags: 0,
            score: 0.0,
            answered_count: 0,
            took_ms: None,
            recency: None,
            phase: Phase::Starting,
            work: None,
        }
    }

    /// One that the store has. `place` finds the place of a question, from 0.
    pub fn loaded(loaded: &LoadedAttempt, quiz: super::QuizId, place: impl Fn(QuestionId) -> Option<u16>) -> Attempt {
        let LoadedAttempt { id, participant, event, started_at, deadline, flags, .. } = *loaded;
        let mut attempt = Attempt {
            who: Who { attempt: id, participant, alias: loaded.alias.clone(), quiz, event },
            started_at,
            deadline,
            flags,
            score: 0.0,
            answered_count: 0,
            took_ms: loaded.last_answer.map(|at| millis(started_at, at)),
            recency: None,
            phase: Phase::Running,
            work: None,
        };
        for &(question, grade) in &loaded.answers {
            if let Some(place) = place(question) {
                attempt.put(place, grade.score);
            }
        }
        if let Some(closed) = &loaded.end {
            attempt.close(closed);
            attempt.rest();
        }
        attempt
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it takes answers.
    pub fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// Whether it runs, and should not at this time.
    pub fn is_overdue(&self, at: UnixMicros) -> bool {
        self.is_running() && self.deadline.is_some_and(|deadline| deadline <= at)
    }

    /// How it ended, if it did.
    pub fn end(&self) -> Option<End> {
        match self.phase {
            Phase::Over { reason, at } => Some(End { reason, at, score: self.score, answered_count: self.answered_count }),
            Phase::Starting | Phase::Running => None,
        }
    }

    /// What its rank follows from.
    pub fn merit(&self) -> Merit {
        Merit { score: self.score, took_ms: self.took_ms, attempt: self.who.attempt }
    }

    /// The places of the questions that have an answer, ascending; of a running attempt.
    pub fn answered(&self) -> impl Iterator<Item = u16> + '_ {
        self.work.iter().flat_map(|work| work.answers.iter().map(|&(place, _)| place))
    }

    // --- what is on disk

    /// Its beginning is.
    pub fn begin(&mut self) {
        self.phase = Phase::Running;
    }

    /// An answer is; another one to the same question takes its place.
    pub fn answer(&mut self, place: u16, score: f64, at: UnixMicros) {
        self.put(place, score);
        self.took_ms = Some(millis(self.started_at, at));
    }

    fn put(&mut self, place: u16, score: f64) {
        let answers = &mut self.work.get_or_insert_default().answers;
        match answers.binary_search_by_key(&place, |&(place, _)| place) {
            Ok(index) => answers[index].1 = score,
            Err(index) => answers.insert(index, (place, score)),
        }
        self.answered_count = answers.len() as u32;
        self.score = answers.iter().fold(0.0, |sum, (_, score)| sum + score);
    }

    /// Its end is. Returns the sockets that were to hear of it.
    pub fn close(&mut self, closed: &Closed) -> SmallVec<[ConnId; 1]> {
        self.phase = Phase::Over { reason: closed.reason, at: closed.at };
        (self.score, self.answered_count) = (closed.score, closed.answered_count);
        let Some(work) = &mut self.work else { return SmallVec::new() };
        work.answers = Vec::new();
        std::mem::take(&mut work.sockets)
    }

    // --- turns

    /// Has something wait its turn. False: too much waits. `is_alive` tells requests that somebody still waits for.
    pub fn queue(&mut self, item: Item, is_alive: impl Fn(Asking) -> bool) -> bool {
        let queue = &mut self.work.get_or_insert_default().queue;
        if queue.len() >= WAITING && matches!(item, Item::Ask { .. }) {
            queue.retain(|item| match item {
                Item::Ask { asking, .. } => is_alive(*asking),
                Item::Close(_) => true,
            });
            if queue.len() >= WAITING {
                return false;
            }
        }
        queue.push_back(item);
        true
    }

    /// Has the end at its deadline wait its turn, once. False: it does already, or there is none.
    pub fn queue_time_up(&mut self) -> bool {
        let Some(at) = self.deadline.filter(|_| self.is_running()) else { return false };
        let work = self.work.get_or_insert_default();
        if !std::mem::replace(&mut work.time_up, true) {
            work.queue.push_back(Item::Close(Close { reason: Reason::TimeUp, at, force: None }));
            return true;
        }
        false
    }

    /// Whose turn it is; none while a record is on its way.
    pub fn take(&mut self) -> Option<Item> {
        let work = self.work.as_mut().filter(|work| work.writing.is_none() && !work.paused)?;
        work.queue.pop_front()
    }

    /// A record is on its way.
    pub fn wrote(&mut self, write: Write) {
        self.work.get_or_insert_default().writing = Some(write);
    }

    /// The store answered to it.
    pub fn written(&mut self) -> Option<Write> {
        self.work.as_mut()?.writing.take()
    }

    /// An end could not be written: it is first in the queue again, after a pause of this length.
    pub fn pause(&mut self, close: Close) -> Duration {
        let work = self.work.get_or_insert_default();
        work.queue.push_front(Item::Close(close));
        work.paused = true;
        work.pause = (work.pause * 2).clamp(RETRY_FIRST, RETRY_LONGEST);
        work.pause
    }

    /// The requests that wait, of one that never was.
    pub fn into_waiting(self) -> impl Iterator<Item = Asking> {
        self.work.into_iter().flat_map(|work| work.queue).filter_map(|item| match item {
            Item::Ask { asking, .. } => Some(asking),
            Item::Close(_) => None,
        })
    }

    /// The pause is over.
    pub fn resume(&mut self) {
        if let Some(work) = &mut self.work {
            work.paused = false;
        }
    }

    /// Gives memory back, when it is over and nothing is under way.
    pub fn rest(&mut self) {
        let is_idle = self.work.as_ref().is_some_and(|work| work.writing.is_none() && work.queue.is_empty());
        if is_idle && matches!(self.phase, Phase::Over { .. }) {
            self.work = None;
        }
    }

    // --- the participant's sockets, and the timer

    /// A socket of its participant listens. False: too many do.
    pub fn admit(&mut self, conn: ConnId) -> bool {
        let sockets = &mut self.work.get_or_insert_default().sockets;
        if sockets.contains(&conn) {
            return true;
        }
        let has_room = sockets.len() < SOCKETS;
        if has_room {
            sockets.push(conn);
        }
        has_room
    }

    /// It listens no more.
    pub fn part(&mut self, conn: ConnId) {
        if let Some(work) = &mut self.work {
            work.sockets.retain(|socket| *socket != conn);
        }
    }

    /// Whoever is on these shards listens no more.
    pub fn part_all(&mut self, is_gone: &dyn Fn(ShardId) -> bool) {
        if let Some(work) = &mut self.work {
            work.sockets.retain(|socket| !is_gone(socket.shard));
        }
    }

    /// Exchanges the timer of its deadline.
    pub fn time(&mut self, timer: Option<TimerId>) -> Option<TimerId> {
        match timer {
            Some(timer) => self.work.get_or_insert_default().deadline.replace(timer),
            None => self.work.as_mut().and_then(|work| work.deadline.take()),
        }
    }
}

/// Whole milliseconds from one time to a later one.
pub fn millis(from: UnixMicros, to: UnixMicros) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0) / 1_000
}
