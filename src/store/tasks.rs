//! What is read of the records of tasks: by the server as it starts, by homes and routes that look.

use super::Read;
use crate::protocols::tasks::{
    Counts,
    model::{Execution, ExecutionId, Task, TaskId},
    record::{Filter, Listed, Loaded},
};

/// Reads of what is on disk, as those of [`super::Library`]: all of them block, and each sees one moment.
pub trait TasksLibrary: Send + Sync {
    /// All that is not over, in the order in which it was made.
    fn load_tasks(&self) -> Read<Loaded>;

    /// What is not over and was written last by a node that holds no tenure any more, in the order in which it was made. One that stands
    /// alone finds nothing.
    fn abandoned_tasks(&self) -> Read<Loaded>;

    /// How many tasks wait, and how many are at work, whoever has them.
    fn task_counts(&self) -> Read<Counts>;

    /// Tasks that the filter lets through.
    fn tasks(&self, filter: &Filter) -> Read<Listed<Task>>;

    /// One of them, over or not.
    fn task(&self, task: TaskId) -> Read<Option<Task>>;

    /// Executions that the filter lets through.
    fn executions(&self, filter: &Filter) -> Read<Listed<Execution>>;

    /// One of them, over or not.
    fn execution(&self, execution: ExecutionId) -> Read<Option<Execution>>;
}
