//! The library of tasks: each read on a reader's connection.

use super::super::PostgresStore;
use crate::protocols::tasks::{
    model::{Execution, ExecutionId, Task, TaskId},
    record::{Filter, Listed, Loaded},
};
use crate::realtime::StoreFault;
use crate::store::{Read, TasksLibrary};

impl TasksLibrary for PostgresStore {
    fn load_tasks(&self) -> Read<Loaded> {
        Err(StoreFault::Failed)
    }

    fn tasks(&self, _filter: &Filter) -> Read<Listed<Task>> {
        Err(StoreFault::Failed)
    }

    fn task(&self, _task: TaskId) -> Read<Option<Task>> {
        Err(StoreFault::Failed)
    }

    fn executions(&self, _filter: &Filter) -> Read<Listed<Execution>> {
        Err(StoreFault::Failed)
    }

    fn execution(&self, _execution: ExecutionId) -> Read<Option<Execution>> {
        Err(StoreFault::Failed)
    }
}
