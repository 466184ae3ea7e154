//! What homes want done.

use super::{
    asks::{Home, Reply},
    letters::{FromHome, News},
    model::{ExecutionId, TaskId, UserName},
    record::Record,
    status::Counts,
};
use crate::{
    models::{Prompt, Tool},
    realtime::{ConnId, ShardId},
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
    /// Give this to [`Homes::counts`](super::Homes::counts) of the shard that is the home of [`status::HOME`](super::status::HOME).
    Counts(Counts),
    /// Ask the store how many tasks there are over all nodes; answer [`Homes::counted`](super::Homes::counted), once.
    Count,
    /// Give this to [`Homes::totals`](super::Homes::totals) of every shard.
    Totals(Counts),
    /// Read what nodes that are no more have left unfinished; answer [`Homes::left`](super::Homes::left) with this number, once. Only when
    /// every shard has reached the view; until then it is as if this had not been said.
    Survey(u64),
    /// What was kept here for another home is on disk, and nothing goes on with it here: see [`Homes::hold`](super::Homes::hold).
    LetGo(Home),
    /// Write a record; answer [`Homes::kept`](super::Homes::kept) with this ticket, once.
    Keep {
        /// To be given back.
        ticket: u64,
        /// What.
        record: Record,
    },
    /// Read a task; answer [`Homes::loaded_task`](super::Homes::loaded_task), once.
    LoadTask(TaskId),
    /// Read an execution; answer [`Homes::loaded_execution`](super::Homes::loaded_execution), once.
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
    /// Ask a model; answer [`Homes::word`](super::Homes::word) until it is over. An earlier question of the same piece is over.
    Model {
        /// For what.
        piece: Piece,
        /// What is asked.
        prompt: Box<Prompt>,
    },
    /// Nobody waits for the model's words any more.
    StopModel(Piece),
    /// Call a tool; answer [`Homes::tool`](super::Homes::tool), once.
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
