//! The library of tasks: each read on a reader's connection, in one snapshot.

use super::{
    super::{
        super::{Read, TasksLibrary},
        SqliteStore,
    },
    lists::{EXECUTIONS, TASKS, counts},
};
use crate::protocols::tasks::{
    Counts,
    model::{Execution, ExecutionId, Task, TaskId},
    record::{Filter, Listed, Loaded},
};

impl TasksLibrary for SqliteStore {
    fn load_tasks(&self) -> Read<Loaded> {
        self.readers.view(|conn| Ok(Loaded { tasks: TASKS.all_left(conn)?, executions: EXECUTIONS.all_left(conn)? }))
    }

    fn abandoned_tasks(&self) -> Read<Loaded> {
        Ok(Loaded::default())
    }

    fn task_counts(&self) -> Read<Counts> {
        self.readers.view(counts)
    }

    fn tasks(&self, filter: &Filter) -> Read<Listed<Task>> {
        self.readers.view(|conn| TASKS.listed(conn, filter))
    }

    fn task(&self, task: TaskId) -> Read<Option<Task>> {
        self.readers.view(|conn| TASKS.one(conn, task))
    }

    fn executions(&self, filter: &Filter) -> Read<Listed<Execution>> {
        self.readers.view(|conn| EXECUTIONS.listed(conn, filter))
    }

    fn execution(&self, execution: ExecutionId) -> Read<Option<Execution>> {
        self.readers.view(|conn| EXECUTIONS.one(conn, execution))
    }
}
