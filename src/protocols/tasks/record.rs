//! What tasks keep, and what is read back. The store fulfils it.

use super::{
    asks::Home,
    model::{Execution, Status, Task, TaskId, UserName},
};

/// One change. All are fulfilled in the order in which they were asked. A row is whole: it is new, or takes the place of the one with its
/// id.
#[derive(Clone, PartialEq, Debug)]
pub enum Record {
    /// New or changed.
    Task(Box<Task>),
    /// No more. Only one that is over; one that is not there is nothing.
    NoTask(TaskId),
    /// New or changed.
    Execution(Box<Execution>),
}

/// What a start of the server finds unfinished. Each goes to its home: pending ones run, tasks that were in progress fail ("the server was
/// restarted"), executions go on after the last step that was done.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Loaded {
    /// Those that are not over.
    pub tasks: Vec<Task>,
    /// Those that are not over.
    pub executions: Vec<Execution>,
}

impl Loaded {
    /// Such ones.
    #[must_use]
    pub fn such(mut self, is_such: impl Fn(Home) -> bool) -> Loaded {
        self.tasks.retain(|task| is_such(Home::Task(task.id)));
        self.executions.retain(|execution| is_such(Home::Execution(execution.id)));
        self
    }
}

/// Which, newest first; of one moment by id, downwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Whose; none: everyone's.
    pub owner: Option<UserName>,
    /// In this status.
    pub status: Option<Status>,
    /// Skipped.
    pub offset: u64,
    /// 1 to 100.
    pub limit: u32,
}

/// A part of a list, and how long all of it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed<T> {
    /// The part.
    pub items: Vec<T>,
    /// The whole.
    pub total: u64,
}
