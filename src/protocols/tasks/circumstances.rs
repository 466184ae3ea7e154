//! What the homes of a shard share, and how they say what is to be done.

use super::{
    asks::{Refused, Reply},
    letters::FromHome,
    model::{ExecutionId, TaskId},
    outcome::{Outcome, Piece},
    patience::Patience,
    queue::Queue,
    record::Record,
    settings::Settings,
    status::Tally,
    workflow::Workflows,
};
use crate::{
    models::Catalog,
    realtime::{
        ConnId, Histogram, Now, ShardId, TimerId, Wheel,
        table::{Key, Table},
    },
};
use std::{sync::Arc, time::Duration};

/// On which shard a REST ask waits, and under which number.
pub(super) type Asker = (ShardId, u64);

/// Who is to hear what came of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum From {
    /// A socket.
    Conn(ConnId),
    /// A REST ask.
    Ask(Asker),
}

/// The times of a home.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// A run has asked for it.
    Run(Piece),
    /// How far an agent is may be told again.
    Progress(TaskId),
    /// What could not be written is tried again.
    Retry(TaskId),
    /// The same of an execution.
    RetryExecution(ExecutionId),
    /// This shard's counts may be told again.
    Counts,
    /// The totals may be told again.
    Totals,
    /// What could not be read of what others left is read again.
    Survey,
}

/// What is on its way to disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Writing {
    Task(TaskId),
    Execution(ExecutionId),
}

/// What a home needs to know of the world while it decides, and where it says what is to be done.
pub(super) struct Circumstances<'a> {
    pub(super) settings: &'a Settings,
    pub(super) catalog: &'a Catalog,
    pub(super) workflows: &'a Workflows,
    pub(super) is_stopping: bool,
    /// Whether others take over what waits when it has stopped.
    pub(super) has_heirs: bool,
    pub(super) now: Now,
    pub(super) waits: &'a Histogram,
    pub(super) queue: &'a mut Queue,
    pub(super) counts: &'a mut Tally,
    patience: &'a mut Patience,
    wheel: &'a mut Wheel<Timer>,
    writing: &'a mut Table<Writing>,
    pub(super) out: &'a mut Vec<Outcome>,
}

impl Circumstances<'_> {
    /// Answers a request, unless it was told that this takes too long.
    pub(super) fn reply(&mut self, from: Asker, reply: Reply) {
        if self.patience.end(from) {
            let (asker, number) = from;
            self.out.push(Outcome::Reply { asker, number, reply: Box::new(reply) });
        }
    }

    pub(super) fn refuse(&mut self, asker: Asker, refused: Refused) {
        self.reply(asker, Reply::Refused(refused));
    }

    /// A task was not made.
    pub(super) fn not_taken(&mut self, from: From, task: TaskId, why: Refused) {
        match from {
            From::Conn(conn) => self.out.push(Outcome::Tell(conn, FromHome::NotTaken { task, why })),
            From::Ask(asker) => self.refuse(asker, why),
        }
    }

    /// A task was not cancelled, changed or removed; sockets only cancel.
    pub(super) fn not_done(&mut self, from: From, task: TaskId, why: Refused) {
        match from {
            From::Conn(conn) => self.out.push(Outcome::Tell(conn, FromHome::NotCancelled { task, why })),
            From::Ask(asker) => self.refuse(asker, why),
        }
    }

    pub(super) fn keep_task(&mut self, task: TaskId, record: Record) {
        self.keep(Writing::Task(task), record);
    }

    pub(super) fn keep_execution(&mut self, execution: ExecutionId, record: Record) {
        self.keep(Writing::Execution(execution), record);
    }

    fn keep(&mut self, writing: Writing, record: Record) {
        let Key { slot, generation } = self.writing.insert(writing);
        self.out.push(Outcome::Keep { ticket: u64::from(slot) << 16 | u64::from(generation), record });
    }

    pub(super) fn after(&mut self, after: Duration, timer: Timer) -> TimerId {
        self.wheel.set(self.now.moment + after, timer)
    }

    pub(super) fn cancel(&mut self, timer: Option<TimerId>) {
        timer.and_then(|timer| self.wheel.cancel(timer));
    }
}

/// What all homes of a shard share.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) catalog: Arc<Catalog>,
    pub(super) workflows: Arc<Workflows>,
    pub(super) is_stopping: bool,
    pub(super) has_heirs: bool,
    /// How long tasks waited for the begin of their work.
    pub(super) waits: Arc<Histogram>,
    pub(super) queue: Queue,
    pub(super) counts: Tally,
    pub(super) patience: Patience,
    pub(super) wheel: Wheel<Timer>,
    pub(super) writing: Table<Writing>,
}

impl World {
    pub(super) fn at<'a>(&'a mut self, now: Now, out: &'a mut Vec<Outcome>) -> Circumstances<'a> {
        Circumstances {
            settings: &self.settings,
            catalog: &self.catalog,
            workflows: &self.workflows,
            is_stopping: self.is_stopping,
            has_heirs: self.has_heirs,
            now,
            waits: &self.waits,
            queue: &mut self.queue,
            counts: &mut self.counts,
            patience: &mut self.patience,
            wheel: &mut self.wheel,
            writing: &mut self.writing,
            out,
        }
    }
}
