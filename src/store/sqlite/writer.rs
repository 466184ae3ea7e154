//! The store's thread: takes what has gathered, writes it as one transaction, answers. While a commit runs the next batch gathers by
//! itself. What is answered goes first; leaves, for which nobody waits, go along.

use super::{
    super::{
        Answer, Entered, Sink,
        intake::{Asked, Intake},
        queue::{Question, Queue},
    },
    chat,
    fault::{blame, is_of_the_row},
    labs,
    quiz::Records,
    rows::Rows,
    tasks,
};
use crate::realtime::{StoreFault, UnixMicros};
use rusqlite::Connection;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// Enters and records in one transaction at most: bounds what a failing commit has to do again, and how long the first waits for the last.
const BATCH: usize = 4096;

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
    intake: Intake,
    sink: Box<dyn Sink>,
    /// Zero while all is well.
    pause: Duration,
    retry_at: Instant,
    heartbeat_at: Instant,
    /// How long a batch gathers after one with a mass of sign-ins, and until when this one does.
    gather: Duration,
    gather_until: Option<Instant>,
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
            intake: Intake::new(queue, BATCH, acquire_timeout),
            sink,
            pause: Duration::ZERO,
            retry_at: now,
            heartbeat_at: now + HEARTBEAT,
            gather,
            gather_until: None,
        }
    }

    /// Serves until the queue is stopped, then writes what is left once more.
    pub(super) fn run(mut self) {
        let queue = Arc::clone(&self.intake.queue);
        queue.taken_by_this_thread();
        while !queue.is_stopping() {
            self.turn(Instant::now());
        }
        self.heartbeat_at = Instant::now();
        self.retry_at = self.heartbeat_at;
        while self.turn(Instant::now()) {}
        let left = self.intake.leaves.len();
        if left > 0 {
            tracing::warn!(leaves = left, "stopped before all was on disk; the next start ends these sessions");
        }
    }

    /// One batch, or a sleep. False when there was nothing to do.
    fn turn(&mut self, now: Instant) -> bool {
        let took = self.intake.gather(now);
        #[cfg(test)]
        self.intake.chores.drain(..).for_each(|chore| chore(self.conn));
        if let Some(left) = self.gathers_for(now) {
            self.intake.queue.gather(left);
            return true;
        }
        // In a pause only what is answered is attempted.
        let (questions, enters) = self.intake.size();
        let due = if now < self.retry_at { 0 } else { self.intake.leaves.share(questions, enters) };
        let heartbeat = now >= self.heartbeat_at;
        if questions > 0 || due > 0 || heartbeat {
            self.heartbeat_at = now + HEARTBEAT;
            self.write(due, now);
        }
        self.intake.queue.health.overdue_leaves.store(self.intake.leaves.len() as u64, Relaxed);
        if !self.intake.answers.is_empty() {
            self.sink.post(&mut self.intake.answers);
            self.intake.answers.clear();
        }
        self.intake.tell_flushes();
        let busy = took || due > 0 || heartbeat;
        if !busy {
            self.sleep(now);
        }
        busy
    }

    /// How much longer this batch may wait for more: not with anything in it but sign-ins of a mass.
    fn gathers_for(&self, now: Instant) -> Option<Duration> {
        let left = self.gather_until?.saturating_duration_since(now);
        (!left.is_zero() && self.intake.is_open()).then_some(left)
    }

    /// Writes the batch and the oldest `due` leaves, and has an answer for each question in it, or holds it.
    fn write(&mut self, due: usize, now: Instant) {
        let is_mass = self.intake.size().1 >= MASS;
        let batch = self.intake.take_batch();
        let expired = self.intake.answers.len();
        let result = self.transaction(&batch, due).map_err(|error| {
            self.roll_back();
            self.tell_failure(&error);
            blame(&error)
        });
        self.intake.tried(result, batch.len() + due, now.elapsed());
        match result {
            Ok(()) => {
                self.intake.leaves.written(due);
                self.intake.settled(batch);
                self.recover();
            }
            Err(fault) => {
                self.intake.answers.truncate(expired);
                self.intake.failed(batch, fault);
                self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
                self.retry_at = Instant::now() + self.pause;
                if fault == StoreFault::Busy {
                    thread::sleep(FOREIGN_LOCK_PAUSE.saturating_sub(now.elapsed()));
                }
            }
        }
        self.gather_until = is_mass.then(|| Instant::now() + self.gather);
    }

    fn transaction(&mut self, batch: &[Asked], due: usize) -> rusqlite::Result<()> {
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        for asked in batch {
            let answer = self.fulfil(asked)?;
            self.intake.answers.push(answer);
        }
        for leaving in self.intake.leaves.first(due) {
            self.rows.leave(leaving)?;
        }
        self.rows.mark(wall())?;
        self.conn.execute_batch("COMMIT")
    }

    fn fulfil(&mut self, asked: &Asked) -> rusqlite::Result<Answer> {
        let ticket = asked.ticket;
        match &asked.question {
            Question::Enter(entering) => {
                let result = self.rows.enter(entering, |session| self.intake.leaves.left(session, asked.leaves));
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
        let until = if self.intake.leaves.is_empty() { self.heartbeat_at } else { self.heartbeat_at.min(self.retry_at) };
        let at_most = until.saturating_duration_since(now);
        if !at_most.is_zero() {
            self.intake.queue.sleep(at_most);
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
