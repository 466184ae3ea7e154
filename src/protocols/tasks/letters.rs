//! What sockets and homes say to each other, across shards.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    asks::{Ask, Home, Refused},
    model::{Caller, Execution, ExecutionId, Task, TaskId, UserName},
};
use crate::realtime::{ConnId, Frame, ShardId};

/// To the home of a user: how many sockets they have, over all shards.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum ToUser {
    /// One more. Answered with [`FromHome::Counted`].
    Come {
        /// Which.
        conn: ConnId,
        /// Whose.
        user: UserName,
    },
    /// One that was counted, or will be, by another home: it is here now, however many there are. Not answered.
    Move {
        /// Which.
        conn: ConnId,
        /// Whose.
        user: UserName,
    },
    /// One less. Sent once by each that came, unless it heard before that it was refused.
    Go {
        /// Which.
        conn: ConnId,
        /// Whose.
        user: UserName,
    },
}

/// To the home of a task.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
    /// It fails with "Cancelled by user". Answered with [`FromHome::Cancelled`] or [`FromHome::NotCancelled`].
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
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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

impl ToTask {
    /// The id of whose bytes the ring's home is meant.
    pub fn place(&self) -> TaskId {
        match self {
            ToTask::Create { task, .. } => task.id,
            ToTask::See { task, .. } | ToTask::Cancel { task, .. } => *task,
            ToTask::Ask { ask, .. } => ask.home().place(),
        }
    }
}

impl ToExecution {
    /// As [`ToTask::place`].
    pub fn place(&self) -> ExecutionId {
        match self {
            ToExecution::See { execution, .. } => *execution,
            ToExecution::Ask { ask, .. } => ask.home().place(),
        }
    }
}

impl ToUser {
    /// Whose home is meant: the ring's, of the name's bytes.
    pub fn user(&self) -> &UserName {
        match self {
            ToUser::Come { user, .. } | ToUser::Move { user, .. } | ToUser::Go { user, .. } => user,
        }
    }
}

/// From a home to one socket.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum FromHome {
    /// To [`ToUser::Come`].
    Counted {
        /// Whether it is one too many.
        refused: bool,
    },
    /// To [`ToTask::Create`]: it is on disk, and this socket hears of it. Its first `task_update` comes as news behind this.
    Taken {
        /// Which.
        task: TaskId,
    },
    /// To [`ToTask::Create`].
    NotTaken {
        /// Which.
        task: TaskId,
        /// Why.
        why: Refused,
    },
    /// To [`ToTask::See`].
    Seen {
        /// Which.
        task: TaskId,
        /// As it is now; [`Refused::NotFound`]: there is none such, or it is another's. What happens to it then comes as news behind this.
        state: Result<Box<Task>, Refused>,
    },
    /// To [`ToExecution::See`].
    ExecutionSeen {
        /// Which.
        execution: ExecutionId,
        /// As [`FromHome::Seen`].
        state: Result<Box<Execution>, Refused>,
    },
    /// To [`ToTask::Cancel`]: it has failed, and those who listen hear of it by news behind this. One that does not listen is told by this.
    Cancelled(Box<Task>),
    /// To [`ToTask::Cancel`].
    NotCancelled {
        /// Which.
        task: TaskId,
        /// Why.
        why: Refused,
    },
}

/// What a topic of tasks carries: the frame, and what it is about, so that each connection can tell whether it subscribed to it.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct News {
    /// About what.
    pub about: About,
    /// Whether nothing more will come about it.
    pub is_last: bool,
    /// Encoded once.
    pub frame: Frame,
}

/// See [`News::about`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum About {
    /// A task.
    Task(TaskId),
    /// An execution.
    Execution(ExecutionId),
    /// The system.
    Status,
}

/// From a shard to another: what it has in memory though its home, by the ring, is the other.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Hold {
    /// Something goes on with these: what is said to them is to be passed on.
    Goes(Vec<Home>),
    /// Nothing goes on with it any more, and all of it is on disk.
    Over(Home),
}

/// From a shard to those of other nodes: what is listened to there. Nothing is said of [`Channel::Status`].
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Interest {
    /// These too.
    More(Vec<Channel>),
    /// This no more.
    Less(Channel),
}

/// What can be listened to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Channel {
    /// The tasks and executions of one user.
    Of(UserName),
    /// Everyone's: of admins.
    All,
    /// `system_status`.
    Status,
}

impl Channel {
    /// Where somebody hears of all that he may see.
    pub fn of(caller: &Caller) -> Channel {
        if caller.admin { Channel::All } else { Channel::Of(caller.user.clone()) }
    }
}
