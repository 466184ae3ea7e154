//! The contract between the protocols and whatever keeps their records.

use super::{ChatLibrary, Health, LabsLibrary, Lease, Library, TasksLibrary};
use crate::{
    protocols::{
        chat::record::{Change, Sweep},
        labs::{self, model::Template, record::Login},
        presence::record::{Attendance, Entering, Leaving, StoreFault},
        quiz::record::{Kept, Record},
        tasks,
    },
    realtime::{ClassroomId, ShardId, UnixMicros},
};
use std::time::Duration;

/// Says who asked: returned with the answer, never looked into by the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket {
    /// The shard that waits for the answer.
    pub shard: ShardId,
    /// What that shard knows the question by.
    pub token: u64,
}

/// The answer to [`Store::enter`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entered {
    /// As it was given to [`Store::enter`].
    pub ticket: Ticket,
    /// The session's number, whose row is on disk; or why there is no row.
    pub result: Result<i64, StoreFault>,
}

/// What a store posts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Store::enter`].
    Entered(Entered),
    /// To [`Store::keep`].
    Kept {
        /// As it was given.
        ticket: Ticket,
        /// What is on disk; or why nothing of it is.
        result: Result<Kept, StoreFault>,
    },
    /// To [`Store::keep_labs`].
    LabsKept {
        /// As it was given.
        ticket: Ticket,
        /// What is on disk; or why nothing of it is.
        result: Result<labs::record::Kept, StoreFault>,
    },
    /// To [`Store::keep_chat`].
    ChatKept {
        /// As it was given.
        ticket: Ticket,
        /// All of it is on disk; or why nothing of it is.
        result: Result<(), StoreFault>,
    },
    /// To [`Store::keep_tasks`].
    TasksKept {
        /// As it was given.
        ticket: Ticket,
        /// It is on disk; or why it is not.
        result: Result<(), StoreFault>,
    },
}

impl Answer {
    /// Who asked.
    pub fn ticket(&self) -> Ticket {
        match self {
            Answer::Entered(entered) => entered.ticket,
            Answer::Kept { ticket, .. }
            | Answer::LabsKept { ticket, .. }
            | Answer::ChatKept { ticket, .. }
            | Answer::TasksKept { ticket, .. } => *ticket,
        }
    }
}

/// Where answers go: pushes them to the shards' queues and wakes each shard once.
pub trait Sink: Send {
    /// Takes the answers of one batch, in the order of the questions of each shard. Called on the store's thread after the commit; must not
    /// block. What it leaves in `answers` is dropped.
    fn post(&self, answers: &mut Vec<Answer>);
}

/// What presence, quizzes, labs, chat and tasks ask of their records. One suite of tests runs over every implementation.
///
/// A session's number is used once, also over restarts. For one room and agent the questions are fulfilled in the order in which one thread
/// asked them; and so are all that are answered, enters and records.
pub trait Store: Library + LabsLibrary + ChatLibrary + TasksLibrary {
    /// Begins a session, without blocking: the answer comes through the sink once the row is on disk.
    ///
    /// A session that is still kept for the same room and agent, whichever node began it, ends first, at `entering.at` at the latest, and
    /// the new one has its own number.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] at once, and no answer later, when the queue is full or the store has stopped. An enter that waited
    /// too long in the queue is answered `Busy` later and leaves no row.
    fn enter(&self, ticket: Ticket, entering: Entering) -> Result<(), StoreFault>;

    /// Keeps a record, without blocking: the answer comes through the sink once it is on disk. All of it is, or nothing; a record that is
    /// refused by itself does not harm the others.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] at once, and no answer later, when the queue is full (enters and records together) or the store has stopped.
    /// A record that waited too long in the queue is answered `Busy` later and leaves nothing.
    fn keep(&self, ticket: Ticket, record: Record) -> Result<(), StoreFault>;

    /// [`Store::keep`] for labs. What would break a promise of its row (two ids of one row, a second open command of a session) is answered
    /// [`StoreFault::Failed`].
    ///
    /// # Errors
    /// As [`Store::keep`].
    fn keep_labs(&self, ticket: Ticket, record: labs::record::Record) -> Result<(), StoreFault>;

    /// [`Store::keep`] for chat. What would break a promise of its rows (a message or an approval of no session, a second message with one
    /// number) is answered [`StoreFault::Failed`].
    ///
    /// # Errors
    /// As [`Store::keep`].
    fn keep_chat(&self, ticket: Ticket, change: Box<Change>) -> Result<(), StoreFault>;

    /// [`Store::keep`] for tasks. To forget a task that is not over is answered [`StoreFault::Failed`].
    ///
    /// # Errors
    /// As [`Store::keep`].
    fn keep_tasks(&self, ticket: Ticket, record: tasks::record::Record) -> Result<(), StoreFault>;

    /// Ends what chat did not finish when the server stopped; how many messages were broken off. On disk when it returns. Blocks: for
    /// whoever starts the server, before chat begins.
    ///
    /// # Errors
    /// As [`Store::seed`].
    fn sweep_chat(&self, sweep: Sweep) -> Result<u64, StoreFault>;

    /// What labs begin with: each of the templates whose name is not there (of two with one name the first), and the admin when there is
    /// no user at all. True when the admin was made. On disk when it returns. Blocks: for whoever starts the server.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] while another holds the records or when the store has stopped, [`StoreFault::Failed`] when they cannot be
    /// written. Nothing was written then.
    fn seed(&self, templates: Vec<Template>, admin: Option<Login>) -> Result<bool, StoreFault>;

    /// Ends a session, without blocking. Never refused and never answered: kept in memory and retried until it is on disk. What a
    /// crash loses the next start ends. An unknown number is ignored.
    fn leave(&self, leaving: Leaving);

    /// Who was in the room between `from` (inclusive) and `to` (exclusive): whole intervals that intersect it, by agent and time.
    /// Blocks: call it on a thread that may wait.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] while another holds the records, [`StoreFault::Failed`] when they cannot be read.
    fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault>;

    /// The rooms in which somebody is now, on any node, each with how many; the fullest first, of equally full ones by id, at most
    /// `limit`. Blocks, and reads as many rows as there are sessions: for whoever looks now and then.
    ///
    /// # Errors
    /// As [`Store::attendance`].
    fn occupied(&self, limit: u32) -> Result<Vec<(ClassroomId, u64)>, StoreFault>;

    /// Blocks until everything that was asked before this call is on disk.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] when that takes longer than `within`, or the store has stopped.
    fn flush(&self, within: Duration) -> Result<(), StoreFault>;

    /// Flushes, then ends the store: later enters are refused and later leaves dropped. Returns within about twice `within`; a second call
    /// does nothing.
    ///
    /// # Errors
    /// [`StoreFault::Busy`] when not everything was on disk in time.
    fn stop(&self, within: Duration) -> Result<(), StoreFault>;

    /// How it goes, for readiness and metrics. Cheap: atomics.
    fn health(&self) -> &Health;

    /// This node among those that share the records.
    fn lease(&self) -> &dyn Lease;
}
