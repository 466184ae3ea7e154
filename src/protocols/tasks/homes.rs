//! The tasks, executions and users that have their home on this shard: letters in, outcomes out, and the times that homes keep.

use super::{
    asks::Reply,
    letters::{FromHome, News, ToExecution, ToTask, ToUser},
    model::{Execution, ExecutionId, Task, TaskId, UserName},
    record::{Loaded, Record},
    settings::Settings,
    status::{Counts, Health, Status},
    workflow::Workflows,
};
use crate::{
    models::{Catalog, Prompt, Tool, ToolOutcome, Word},
    realtime::{ConnId, Moment, Now, ShardId, StoreFault},
};
use std::sync::Arc;

/// Something that an agent works at: it has one run, and one question to a model at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Piece {
    /// A task.
    Task(TaskId),
    /// A step of an execution, by its place in the workflow.
    Step(ExecutionId, u16),
}

/// What a home wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Outcome {
    /// Say this to a connection.
    Tell(ConnId, FromHome),
    /// Deliver to all who listen to [`Channel::Of`](super::letters::Channel::Of) this user or to
    /// [`Channel::All`](super::letters::Channel::All), on every shard, behind what was said to a connection before.
    News {
        /// Whose.
        owner: UserName,
        /// What.
        news: News,
    },
    /// Deliver to all who listen to [`Channel::Status`](super::letters::Channel::Status), on this shard alone.
    Status(News),
    /// Give this to [`Homes::counts`] of the shard that is the home of [`status::HOME`](super::status::HOME).
    Counts(Counts),
    /// Give this to [`Homes::totals`] of every shard.
    Totals(Counts),
    /// Write a record; answer [`Homes::kept`] with this ticket, once.
    Keep {
        /// To be given back.
        ticket: u64,
        /// What.
        record: Record,
    },
    /// Read a task; answer [`Homes::loaded_task`], once.
    LoadTask(TaskId),
    /// Read an execution; answer [`Homes::loaded_execution`], once.
    LoadExecution(ExecutionId),
    /// Answer a REST ask.
    Reply {
        /// On which shard it waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Ask a model; answer [`Homes::word`] until it is over. An earlier question of the same piece is over.
    Model {
        /// For what.
        piece: Piece,
        /// What is asked.
        prompt: Box<Prompt>,
    },
    /// Nobody waits for the model's words any more.
    StopModel(Piece),
    /// Call a tool; answer [`Homes::tool`], once.
    Tool {
        /// For what.
        piece: Piece,
        /// Of the run's calls.
        call: u32,
        /// Which tool.
        tool: Arc<Tool>,
        /// A JSON object.
        arguments: Arc<str>,
    },
    /// Nobody waits for that any more.
    StopTool {
        /// For what.
        piece: Piece,
        /// Of the run's calls.
        call: u32,
    },
}

/// How much goes on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Levels {
    /// Tasks in memory.
    pub tasks: usize,
    /// Executions in memory.
    pub executions: usize,
    /// Tasks and steps that run.
    pub running: usize,
    /// Tasks and steps that wait for their turn.
    pub waiting: usize,
    /// Sockets that are counted here.
    pub sockets: usize,
    /// Records on their way to disk.
    pub writing: usize,
}

/// All tasks, executions and users of one shard that anything happens with.
pub struct Homes {
    status: Status,
}

impl Homes {
    /// Nothing is here. `seed` keeps the places of keys from being guessed. Workflows are checked ([`Workflow::check`]).
    ///
    /// [`Workflow::check`]: super::model::Workflow::check
    pub fn new(settings: Settings, catalog: Arc<Catalog>, workflows: Arc<Workflows>, seed: u64, start: Moment) -> Homes {
        let _ = (settings, catalog, workflows, seed, start);
        Homes { status: Status::default() }
    }

    /// What was unfinished when the process began, as far as its home is here. To be called once, before all else.
    pub fn begin(&mut self, loaded: Loaded, now: Now, out: &mut Vec<Outcome>) {
        let _ = (loaded, now, out);
    }

    /// How much goes on.
    pub fn levels(&self) -> Levels {
        Levels::default()
    }

    /// The system's status as it is known here: for [`Gate`](super::connection::Gate).
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// How many timers run.
    pub fn timers(&self) -> usize {
        0
    }

    /// No later than the earliest time that a home keeps.
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    /// A letter to the home of a user: the ring's home of the name's bytes.
    pub fn user(&mut self, letter: ToUser, out: &mut Vec<Outcome>) {
        let _ = (letter, out);
    }

    /// A letter to the home of a task: the ring's home of the id's bytes.
    pub fn task(&mut self, letter: ToTask, now: Now, out: &mut Vec<Outcome>) {
        let _ = (letter, now, out);
    }

    /// A letter to the home of an execution: the ring's home of the id's bytes.
    pub fn execution(&mut self, letter: ToExecution, now: Now, out: &mut Vec<Outcome>) {
        let _ = (letter, now, out);
    }

    /// The store answered to [`Outcome::Keep`].
    pub fn kept(&mut self, ticket: u64, result: Result<(), StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        let _ = (ticket, result, now, out);
    }

    /// The store answered to [`Outcome::LoadTask`]; none: there is no such task.
    pub fn loaded_task(&mut self, id: TaskId, loaded: Result<Option<Box<Task>>, StoreFault>, now: Now, out: &mut Vec<Outcome>) {
        let _ = (id, loaded, now, out);
    }

    /// The store answered to [`Outcome::LoadExecution`]; none: there is no such execution.
    pub fn loaded_execution(
        &mut self,
        id: ExecutionId,
        loaded: Result<Option<Box<Execution>>, StoreFault>,
        now: Now,
        out: &mut Vec<Outcome>,
    ) {
        let _ = (id, loaded, now, out);
    }

    /// The model that was asked by [`Outcome::Model`] says something.
    pub fn word(&mut self, piece: Piece, word: Word, now: Now, out: &mut Vec<Outcome>) {
        let _ = (piece, word, now, out);
    }

    /// What came of [`Outcome::Tool`].
    pub fn tool(&mut self, piece: Piece, call: u32, outcome: ToolOutcome, now: Now, out: &mut Vec<Outcome>) {
        let _ = (piece, call, outcome, now, out);
    }

    /// What [`Outcome::Counts`] of a shard says. Only at the home of [`status::HOME`](super::status::HOME).
    pub fn counts(&mut self, shard: ShardId, counts: Counts, now: Now, out: &mut Vec<Outcome>) {
        let _ = (shard, counts, now, out);
    }

    /// What [`Outcome::Totals`] says.
    pub fn totals(&mut self, counts: Counts, now: Now, out: &mut Vec<Outcome>) {
        let _ = (counts, now, out);
    }

    /// The house says how the parts of the system are.
    pub fn health(&mut self, health: Health, now: Now, out: &mut Vec<Outcome>) {
        let _ = (health, now, out);
    }

    /// Turns the wheel.
    pub fn turn(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let _ = (now, out);
    }

    /// The process is about to stop: tasks that run fail, those that wait and executions stay as they are on disk, to go on after the next
    /// start; nothing more is begun.
    pub fn stop(&mut self, now: Now, out: &mut Vec<Outcome>) {
        let _ = (now, out);
    }
}
