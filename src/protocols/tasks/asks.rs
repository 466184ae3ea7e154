//! What the REST routes ask of the homes of tasks, executions and users, and what these answer.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::model::{Caller, Execution, ExecutionId, Kind, Priority, Status, Task, TaskId};
use crate::realtime::StoreFault;
use std::sync::Arc;
use uuid::Uuid;

/// A question to the home of a task or an execution.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Ask {
    /// A new task; its id is random, so it is new. One with an agent runs at once.
    Create(Box<Task>),
    /// A task as it is now. A home that does not care for it says [`Refused::NotHere`], and the store is asked.
    Look {
        /// Which.
        task: TaskId,
        /// Who asks.
        caller: Caller,
    },
    /// A change by hand.
    Edit {
        /// Which.
        task: TaskId,
        /// Who asks.
        caller: Caller,
        /// What.
        edit: Edit,
    },
    /// No more; one that runs is broken off.
    Remove {
        /// Which.
        task: TaskId,
        /// Who asks.
        caller: Caller,
    },
    /// It fails with "Cancelled by user".
    Cancel {
        /// Which.
        task: TaskId,
        /// Who asks.
        caller: Caller,
    },
    /// A workflow begins.
    Execute(Box<Execution>),
    /// As [`Ask::Look`].
    LookExecution {
        /// Which.
        execution: ExecutionId,
        /// Who asks.
        caller: Caller,
    },
    /// It fails with "Cancelled by user".
    CancelExecution {
        /// Which.
        execution: ExecutionId,
        /// Who asks.
        caller: Caller,
    },
}

/// Where an [`Ask`] is answered: at the ring's home of the id's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Home {
    /// Of a task.
    Task(TaskId),
    /// Of an execution.
    Execution(ExecutionId),
}

impl Home {
    /// The id.
    pub fn place(self) -> Uuid {
        match self {
            Home::Task(id) | Home::Execution(id) => id,
        }
    }
}

impl Ask {
    /// Which home it is for.
    pub fn home(&self) -> Home {
        match self {
            Ask::Create(task) => Home::Task(task.id),
            Ask::Look { task, .. } | Ask::Edit { task, .. } | Ask::Remove { task, .. } | Ask::Cancel { task, .. } => {
                Home::Task(*task)
            }
            Ask::Execute(execution) => Home::Execution(execution.id),
            Ask::LookExecution { execution, .. } | Ask::CancelExecution { execution, .. } => Home::Execution(*execution),
        }
    }
}

/// What may be changed by hand; what is none stays.
#[derive(Clone, PartialEq, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Edit {
    /// Only of one that no agent works at: none to `in_progress` and on, forwards.
    pub status: Option<Status>,
    /// 0 to 1, never downwards.
    pub progress: Option<f64>,
    /// For people.
    pub title: Option<Arc<str>>,
    /// Which of those that wait is next.
    pub priority: Option<Priority>,
    /// What kind of work.
    pub kind: Option<Kind>,
    /// A JSON object.
    pub result: Option<Arc<str>>,
    /// For people.
    pub error: Option<Arc<str>>,
}

/// The answer to an [`Ask`]: for each the variant that suits it, or [`Reply::Refused`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Reply {
    /// A task as it is now; of one that was removed, as it was.
    Task(Box<Task>),
    /// An execution as it is now.
    Execution(Box<Execution>),
    /// No.
    Refused(Refused),
}

/// Why an [`Ask`] was not fulfilled. Nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Refused {
    /// Not asked of the store: see [`Ask::Look`].
    NotHere,
    /// There is none such, or it is another's.
    NotFound,
    /// It is over.
    Over,
    /// An agent works at it: only its agent may change that.
    AtWork,
    /// From this status to the other nothing leads.
    NoSuchMove,
    /// Too many wait already.
    Crowded,
    /// Too many of this user's wait already.
    TooMany,
    /// The server stops.
    Stopping,
    /// The store did not do its part.
    Store(StoreFault),
}
