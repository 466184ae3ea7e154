//! What a store's thread takes from its queue: the batch that is written next, what was held back, leaves, and who waits for all of it.

use super::{
    Answer, Entered, Ticket,
    leaves::Leaves,
    queue::{Question, Queue, Request},
};
use crate::{observe::traces, realtime::StoreFault};
use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::{Duration, Instant},
};

/// Bytes that one transaction takes at most before its last question: files come with what is said in chat, and whoever else is in the
/// batch waits for them.
const BATCH_BYTES: usize = 16 << 20;

/// Requests taken from the queue before a batch at most, so that a mass of leaves cannot keep what has come from being written.
const TAKEN: usize = 65_536;

/// An enter or a record, and when it was asked.
pub(super) struct Asked {
    pub(super) ticket: Ticket,
    pub(super) question: Question,
    at: Instant,
    /// How many leaves were asked before it.
    pub(super) leaves: u64,
}

/// Who waits until all that was asked before is on disk: so many leaves and so many questions.
struct Flush {
    leaves: u64,
    questions: u64,
    done: mpsc::Sender<()>,
}

/// See the file.
pub(super) struct Intake {
    pub(super) queue: Arc<Queue>,
    acquire_timeout: Duration,
    /// Questions in one batch at most.
    most: usize,
    batch: Vec<Asked>,
    /// See [`Question::bytes`].
    batch_bytes: usize,
    /// How long the first of the batch that was taken last had waited; where traces are on.
    waited: Duration,
    /// Told at the end of the turn.
    pub(super) answers: Vec<Answer>,
    /// Questions that found no way to the records, and whose time is not over: at most a batch, oldest first, before all that are queued.
    held: VecDeque<Asked>,
    pub(super) leaves: Leaves,
    /// Questions taken from the queue so far.
    taken_questions: u64,
    flushes: Vec<Flush>,
    /// What a test wants done between batches.
    #[cfg(test)]
    pub(super) chores: Vec<super::queue::Chore>,
}

impl Intake {
    /// Takes from `queue`, `most` questions at a time; what waited longer than `acquire_timeout` is refused.
    pub(super) fn new(queue: Arc<Queue>, most: usize, acquire_timeout: Duration) -> Intake {
        Intake {
            queue,
            acquire_timeout,
            most,
            batch: Vec::new(),
            batch_bytes: 0,
            waited: Duration::ZERO,
            answers: Vec::new(),
            held: VecDeque::new(),
            leaves: Leaves::default(),
            taken_questions: 0,
            flushes: Vec::new(),
            #[cfg(test)]
            chores: Vec::new(),
        }
    }

    /// Fills the batch: questions that were held, then those that are queued. False when there was nothing.
    pub(super) fn gather(&mut self, now: Instant) -> bool {
        let mut took = false;
        while !self.is_full()
            && let Some(asked) = self.held.pop_front()
        {
            took = true;
            self.admit(asked, now);
        }
        for _ in 0..TAKEN {
            if self.is_full() {
                break;
            }
            let Some(request) = self.queue.pop() else { break };
            took = true;
            match request {
                Request::Ask(ticket, question, at) => {
                    self.taken_questions += 1;
                    self.admit(Asked { ticket, question, at, leaves: self.leaves.taken() }, now);
                }
                Request::Leave(leaving) => self.leaves.push(leaving),
                Request::Flush(done) => {
                    self.flushes.push(Flush { leaves: self.leaves.taken(), questions: self.taken_questions, done });
                }
                #[cfg(test)]
                Request::Chore(chore) => self.chores.push(chore),
            }
        }
        took
    }

    /// Puts a question into the batch, or answers it where it has waited too long.
    fn admit(&mut self, asked: Asked, now: Instant) {
        if now.saturating_duration_since(asked.at) > self.acquire_timeout {
            self.queue.health.expired.fetch_add(1, Relaxed);
            self.answers.push(asked.refused(StoreFault::Busy));
        } else {
            self.batch_bytes += asked.question.bytes();
            self.batch.push(asked);
        }
    }

    fn is_full(&self) -> bool {
        self.batch.len() >= self.most || self.batch_bytes >= BATCH_BYTES
    }

    /// Questions in the batch, and how many of them begin a session.
    pub(super) fn size(&self) -> (usize, usize) {
        let enters = self.batch.iter().filter(|asked| matches!(asked.question, Question::Enter(_)));
        (self.batch.len(), enters.count())
    }

    /// Whether more sign-ins may be waited for: nothing but these is in the batch, and nobody waits for its end.
    pub(super) fn is_open(&self) -> bool {
        let (questions, enters) = self.size();
        !self.is_full() && self.flushes.is_empty() && self.held.is_empty() && !self.queue.is_stopping() && questions == enters
    }

    /// How long the first of the batch has waited to be taken.
    fn waited(&self, now: Instant) -> Duration {
        let first = self.batch.iter().map(|asked| asked.at).min();
        first.map_or(Duration::ZERO, |first| now.saturating_duration_since(first))
    }

    /// The batch; given back by [`Intake::settled`] or [`Intake::failed`].
    pub(super) fn take_batch(&mut self) -> Vec<Asked> {
        self.batch_bytes = 0;
        if traces::is_on() {
            self.waited = self.waited(Instant::now());
        }
        mem::take(&mut self.batch)
    }

    /// All of the batch has its answer.
    pub(super) fn settled(&mut self, mut batch: Vec<Asked>) {
        batch.clear();
        self.batch = batch;
    }

    /// Nothing of the batch is on disk. Its questions are held while there is no way to the records, until their time is over or the store
    /// stops; else each is answered with the fault.
    pub(super) fn failed(&mut self, mut batch: Vec<Asked>, fault: StoreFault) {
        if fault == StoreFault::Busy && !self.queue.is_stopping() {
            let later = mem::take(&mut self.held);
            self.held.extend(batch.drain(..).chain(later));
        } else {
            self.answers.extend(batch.drain(..).map(|asked| asked.refused(fault)));
        }
        self.batch = batch;
    }

    /// How a commit went, that has ended now: for health, and for traces where it is of a batch.
    pub(super) fn tried(&self, result: Result<(), StoreFault>, size: usize, took: Duration) {
        if size > 0 && traces::is_on() {
            let mut span = traces::inside_since("store commit", Instant::now().checked_sub(took).unwrap_or_else(Instant::now));
            span.number("homeroom.store.batch_size", size as u64);
            span.time("homeroom.store.waited_seconds", self.waited);
            match result {
                Ok(()) => {}
                Err(StoreFault::Busy) => span.fail("busy"),
                Err(StoreFault::Failed) => span.fail("failed"),
            }
            span.done();
        }
        self.queue.health.tried(result, size, took, self.acquire_timeout);
    }

    /// Tells those for whom all is on disk. What was taken is settled in its order, so counts are enough.
    pub(super) fn tell_flushes(&mut self) {
        let settled = self.taken_questions - self.held.len() as u64;
        let leaves = &self.leaves;
        for flush in self.flushes.extract_if(.., |flush| flush.questions <= settled && leaves.are_written(flush.leaves)) {
            // Whoever gave up waiting is told nothing.
            let _ = flush.done.send(());
        }
    }
}

impl Asked {
    /// The answer when nothing was written.
    pub(super) fn refused(&self, fault: StoreFault) -> Answer {
        let ticket = self.ticket;
        match self.question {
            Question::Enter(_) => Answer::Entered(Entered { ticket, result: Err(fault) }),
            Question::Keep(_) => Answer::Kept { ticket, result: Err(fault) },
            Question::KeepLabs(_) => Answer::LabsKept { ticket, result: Err(fault) },
            Question::KeepChat(_) => Answer::ChatKept { ticket, result: Err(fault) },
            Question::KeepTasks(_) => Answer::TasksKept { ticket, result: Err(fault) },
        }
    }
}
