//! What sockets and homes say to each other, across shards.

use super::{
    asks::Ask,
    model::{Caller, Execution, ExecutionId, Task, TaskId, UserName},
};
use crate::realtime::{ConnId, Frame, ShardId};
use std::sync::Arc;

/// To the home of a user: how many sockets they have, over all shards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToUser {
    /// One more. Answered with [`FromHome::Counted`].
    Come {
        /// Which.
        conn: ConnId,
        /// Whose.
        user: UserName,
    },
    /// One less. Sent once by each that came and was not refused.
    Go {
        /// Which.
        conn: ConnId,
        /// Whose.
        user: UserName,
    },
}

/// To the home of a task.
#[derive(Clone, PartialEq, Debug)]
pub enum ToTask {
    /// A new one, asked for by a socket. Answered with [`FromHome::Taken`] or [`FromHome::NotTaken`].
    Create {
        /// Which.
        conn: ConnId,
        /// All of it; its id is random, so it is new.
        task: Box<Task>,
    },
    /// Whether the caller may see it, and how it stands. Answered with [`FromHome::Seen`].
    See {
        /// Which.
        conn: ConnId,
        /// What.
        task: TaskId,
        /// As whom.
        caller: Caller,
    },
    /// It fails with "Cancelled by user". Answered with [`FromHome::NotCancelled`], or by its end.
    Cancel {
        /// Which.
        conn: ConnId,
        /// What.
        task: TaskId,
        /// As whom.
        caller: Caller,
    },
    /// A question from REST.
    Ask {
        /// On which shard the answer is awaited.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// What is asked.
        ask: Box<Ask>,
    },
}

/// To the home of an execution.
#[derive(Clone, PartialEq, Debug)]
pub enum ToExecution {
    /// As [`ToTask::See`].
    See {
        /// Which.
        conn: ConnId,
        /// What.
        execution: ExecutionId,
        /// As whom.
        caller: Caller,
    },
    /// A question from REST.
    Ask {
        /// On which shard the answer is awaited.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// What is asked.
        ask: Box<Ask>,
    },
}

/// From a home to one socket.
#[derive(Clone, PartialEq, Debug)]
pub enum FromHome {
    /// To [`ToUser::Come`].
    Counted {
        /// Whether it is one too many.
        refused: bool,
    },
    /// To [`ToTask::Create`]: it is on disk, and this socket hears of it. Its first `task_update` comes as a frame behind this.
    Taken {
        /// Which.
        task: TaskId,
    },
    /// To [`ToTask::Create`].
    NotTaken {
        /// Which.
        task: TaskId,
        /// Why.
        why: super::asks::Refused,
    },
    /// To [`ToTask::See`].
    Seen {
        /// Which.
        task: TaskId,
        /// As it is now; none: there is none such, it is another's, or the store could not be read.
        state: Option<Box<Task>>,
    },
    /// To [`ToExecution::See`].
    ExecutionSeen {
        /// Which.
        execution: ExecutionId,
        /// As [`FromHome::Seen`].
        state: Option<Box<Execution>>,
    },
    /// To [`ToTask::Cancel`].
    NotCancelled {
        /// Which.
        task: TaskId,
        /// Why.
        why: super::asks::Refused,
    },
}

/// What a topic of tasks carries to the shards that have listeners: the frame, and what it is about, so that each connection can tell
/// whether it subscribed to it.
#[derive(Clone, PartialEq, Debug)]
pub struct News {
    /// About what.
    pub about: About,
    /// Encoded once.
    pub frame: Frame,
}

/// See [`News::about`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum About {
    /// A task.
    Task(TaskId),
    /// An execution.
    Execution(ExecutionId),
    /// The system.
    Status,
}

/// What can be listened to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    /// The tasks and executions of one user.
    Of(UserName),
    /// Everyone's: of admins.
    All,
    /// `system_status`.
    Status,
}

/// What a system's parts are like, as the house says it to every shard when it changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    /// `api_status`.
    pub api: Arc<str>,
    /// `database_status`.
    pub database: Arc<str>,
    /// `vector_db_status`.
    pub vector_db: Arc<str>,
    /// `model_service_status`.
    pub model_service: Arc<str>,
}
