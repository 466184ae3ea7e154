//! The store's thread: takes what has gathered, writes it as one transaction, answers. While a commit runs the next batch gathers by
//! itself. What is answered goes first; leaves, for which nobody waits, go along.

use super::{
    super::{Answer, Entered, Sink, Ticket},
    chat,
    fault::{blame, is_of_the_row},
    labs,
    leaves::Leaves,
    queue::{Question, Queue, Request},
    quiz::Records,
    rows::Rows,
    tasks,
};
use crate::realtime::{StoreFault, UnixMicros};
use rusqlite::Connection;
use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Enters and records in one transaction at most: bounds what a failing commit has to do again, and how long the first waits for the last.
const BATCH: usize = 4096;

/// Bytes that one transaction takes at most before its last question: files come with what is said in chat, and whoever else is in the
/// batch waits for them.
const BATCH_BYTES: usize = 16 << 20;

/// Requests taken from the queue before a batch at most, so that a mass of leaves cannot keep what has come from being written.
const TAKEN: usize = 65_536;

/// How often the replica's `seen_at` is written when nothing else is: a crash dates the end of its sessions that much too early at most.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Sign-ins in one batch that are a mass: some 10,000 a second. The next batch then gathers for a while, since a commit costs as much as
/// writing fifty rows. Fewer than that, and nobody waits.
pub(super) const MASS: usize = 32;

/// Pauses between attempts to write leaves that could not be written: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// The shortest time between two attempts at a file that another process holds: SQLite itself mostly waits longer before it says so.
const FOREIGN_LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An enter or a record, and when it was asked.
struct Asked {
    ticket: Ticket,
    question: Question,
    at: Instant,
    /// How many leaves were asked before it.
    leaves: u64,
}

/// Who waits until all that was asked before is on disk: so many leaves and so many questions.
struct Flush {
    leaves: u64,
    questions: u64,
    done: mpsc::Sender<()>,
}

/// How long the thread has others wait.
#[derive(Clone, Copy)]
pub(super) struct Waits {
    /// See [`super::Settings`].
    pub(super) acquire_timeout: Duration,
    /// See [`super::Settings`].
    pub(super) gather: Duration,
}

/// What the thread holds between batches.
pub(super) struct Writer<'c> {
    conn: &'c Connection,
    rows: Rows<'c>,
    records: Records<'c>,
    queue: Arc<Queue>,
    sink: Box<dyn Sink>,
    acquire_timeout: Duration,
    batch: Vec<Asked>,
    /// See [`Question::bytes`].
    batch_bytes: usize,
    answers: Vec<Answer>,
    /// Questions that found the file held by another process, and whose time is not over: at most a batch, oldest first, before all
    /// that are queued.
    held: VecDeque<Asked>,
    leaves: Leaves,
    /// Questions taken from the queue so far.
    taken_questions: u64,
    /// Zero while all is well.
    pause: Duration,
    retry_at: Instant,
    heartbeat_at: Instant,
    /// How long a batch gathers after one with a mass of sign-ins, and until when this one does.
    gather: Duration,
    gather_until: Option<Instant>,
    flushes: Vec<Flush>,
}

impl<'c> Writer<'c> {
    pub(super) fn new(
        conn: &'c Connection,
        rows: Rows<'c>,
        records: Records<'c>,
        queue: Arc<Queue>,
        sink: Box<dyn Sink>,
        Waits { acquire_timeout, gather }: Waits,
    ) -> Writer<'c> {
        let now = Instant::now();
        Writer {
            conn,
            rows,
            records,
            queue,
            sink,
            acquire_timeout,
            batch: Vec::new(),
            batch_bytes: 0,
            answers: Vec::new(),
            held: VecDeque::new(),
            leaves: Leaves::default(),
            taken_questions: 0,
            pause: Duration::ZERO,
            retry_at: now,
            heartbeat_at: now + HEARTBEAT,
            gather,
            gather_until: None,
            flushes: Vec::new(),
        }
    }

    /// Serves until the queue is stopped, then writes what is left once more.
    pub(super) fn run(mut self) {
        self.queue.taken_by_this_thread();
        while !self.queue.is_stopping() {
            self.turn(Instant::now());
        }
        self.heartbeat_at = Instant::now();
        self.retry_at = self.heartbeat_at;
        while self.turn(Instant::now()) {}
        if !self.leaves.is_empty() {
            tracing::warn!(leaves = self.leaves.len(), "stopped before all was on disk; the next start ends these sessions");
        }
    }

    /// One batch, or a sleep. False when there was nothing to do.
    fn turn(&mut self, now: Instant) -> bool {
        let took = self.gather(now);
        if let Some(left) = self.gathers_for(now) {
            self.queue.gather(left);
            return true;
        }
        // In a pause only what is answered is attempted.
        let due = if now < self.retry_at { 0 } else { self.leaves.share(self.batch.len(), self.enters()) };
        let heartbeat = now >= self.heartbeat_at;
        if !self.batch.is_empty() || due > 0 || heartbeat {
            self.heartbeat_at = now + HEARTBEAT;
            self.write(due, now);
        }
        self.queue.health.overdue_leaves.store(self.leaves.len() as u64, Relaxed);
        if !self.answers.is_empty() {
            self.sink.post(&mut self.answers);
            self.answers.clear();
        }
        self.tell_flushes();
        let busy = took || due > 0 || heartbeat;
        if !busy {
            self.sleep(now);
        }
        busy
    }

    /// How much longer this batch may wait for more: not with anything in it but sign-ins of a mass.
    fn gathers_for(&self, now: Instant) -> Option<Duration> {
        let left = self.gather_until?.saturating_duration_since(now);
        let is_open = !self.is_full() && self.flushes.is_empty() && self.held.is_empty() && !self.queue.is_stopping();
        (!left.is_zero() && is_open && self.enters() == self.batch.len()).then_some(left)
    }

    fn enters(&self) -> usize {
        self.batch.iter().filter(|asked| matches!(asked.question, Question::Enter(_))).count()
    }

    /// Fills the batch: questions that were held, then those that are queued. False when there was nothing.
    fn gather(&mut self, now: Instant) -> bool {
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
                Request::Chore(chore) => chore(self.conn),
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
        self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES
    }

    /// Tells those for whom all is on disk. What was taken is settled in its order, so counts are enough.
    fn tell_flushes(&mut self) {
        let settled = self.taken_questions - self.held.len() as u64;
        let leaves = &self.leaves;
        for flush in self.flushes.extract_if(.., |flush| flush.questions <= settled && leaves.are_written(flush.leaves)) {
            // Whoever gave up waiting is told nothing.
            let _ = flush.done.send(());
        }
    }

    /// Writes the batch and the oldest `due` leaves, and has an answer for each question in it, or holds it.
    fn write(&mut self, due: usize, now: Instant) {
        let is_mass = self.enters() >= MASS;
        let mut batch = mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let expired = self.answers.len();
        let result = self.transaction(&batch, due).map_err(|error| {
            self.roll_back();
            self.tell_failure(&error);
            blame(&error)
        });
        self.queue.health.tried(result, batch.len() + due, now.elapsed());
        match result {
            Ok(()) => {
                self.leaves.written(due);
                self.recover();
            }
            Err(fault) => {
                self.answers.truncate(expired);
                self.fail(&mut batch, fault);
                if fault == StoreFault::Busy {
                    thread::sleep(FOREIGN_LOCK_PAUSE.saturating_sub(now.elapsed()));
                }
            }
        }
        batch.clear();
        self.batch = batch;
        self.gather_until = is_mass.then(|| Instant::now() + self.gather);
    }

    fn transaction(&mut self, batch: &[Asked], due: usize) -> rusqlite::Result<()> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        for asked in batch {
            let answer = self.fulfil(asked)?;
            self.answers.push(answer);
        }
        for leaving in self.leaves.first(due) {
            self.rows.leave(leaving)?;
        }
        self.rows.mark(wall())?;
        self.conn.execute_batch("COMMIT")
    }

    fn fulfil(&mut self, asked: &Asked) -> rusqlite::Result<Answer> {
        let ticket = asked.ticket;
        match &asked.question {
            Question::Enter(entering) => {
                let result = self.rows.enter(entering, |session| self.leaves.left(session, asked.leaves));
                Ok(Answer::Entered(Entered { ticket, result: of_the_row(result)? }))
            }
            Question::Keep(record) => Ok(Answer::Kept { ticket, result: of_the_row(self.records.keep(record))? }),
            Question::KeepLabs(record) => Ok(Answer::LabsKept { ticket, result: of_the_row(labs::keep(self.conn, record))? }),
            Question::KeepChat(change) => Ok(Answer::ChatKept { ticket, result: of_the_row(chat::keep(self.conn, change))? }),
            Question::KeepTasks(record) => {
                Ok(Answer::TasksKept { ticket, result: of_the_row(tasks::keep(self.conn, record))?.flatten() })
            }
        }
    }

    fn roll_back(&mut self) {
        self.rows.rolled_back();
        self.records.rolled_back();
        // After some errors SQLite has rolled back by itself.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "the transaction cannot be rolled back");
        }
    }

    /// Nothing of the batch is on disk. Leaves are still there; questions are held while another process holds the file, until their
    /// time is over or the store stops.
    fn fail(&mut self, batch: &mut Vec<Asked>, fault: StoreFault) {
        if fault == StoreFault::Busy && !self.queue.is_stopping() {
            let later = mem::take(&mut self.held);
            self.held.extend(batch.drain(..).chain(later));
        } else {
            self.answers.extend(batch.drain(..).map(|asked| asked.refused(fault)));
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        self.retry_at = Instant::now() + self.pause;
    }

    fn recover(&mut self) {
        if self.pause > Duration::ZERO {
            tracing::info!("the store writes again");
            self.pause = Duration::ZERO;
            self.retry_at = Instant::now();
        }
    }

    fn tell_failure(&self, error: &rusqlite::Error) {
        if self.pause.is_zero() {
            tracing::warn!(%error, "the store cannot write; it goes on trying");
        } else {
            tracing::debug!(%error, "the store still cannot write");
        }
    }

    fn sleep(&self, now: Instant) {
        let until = if self.leaves.is_empty() { self.heartbeat_at } else { self.heartbeat_at.min(self.retry_at) };
        let at_most = until.saturating_duration_since(now);
        if !at_most.is_zero() {
            self.queue.sleep(at_most);
        }
    }
}

impl Asked {
    /// The answer when nothing was written.
    fn refused(&self, fault: StoreFault) -> Answer {
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

/// The inner fault is this question's alone; the outer one is the transaction's.
fn of_the_row<T>(result: rusqlite::Result<T>) -> rusqlite::Result<Result<T, StoreFault>> {
    match result {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if is_of_the_row(&error) => {
            tracing::debug!(%error, "refused by the tables");
            Ok(Err(StoreFault::Failed))
        }
        Err(error) => Err(error),
    }
}

/// The wall clock.
pub(super) fn wall() -> UnixMicros {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
