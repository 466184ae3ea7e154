//! The library of tasks: each read on a reader's connection, in one snapshot.

use super::{
    super::{
        super::{Read, TasksLibrary},
        PostgresStore,
    },
    lists::{EXECUTIONS, TASKS, counts},
};
use crate::protocols::tasks::{
    Counts,
    model::{Execution, ExecutionId, Task, TaskId},
    record::{Filter, Listed, Loaded},
};

impl TasksLibrary for PostgresStore {
    fn load_tasks(&self) -> Read<Loaded> {
        let own = self.keeper.held().map_or(0, |tenure| tenure.epoch);
        self.readers.snapshot(async |conn| {
            Ok(Loaded { tasks: TASKS.all_left(conn, own).await?, executions: EXECUTIONS.all_left(conn, own).await? })
        })
    }

    fn abandoned_tasks(&self) -> Read<Loaded> {
        self.readers.snapshot(async |conn| {
            Ok(Loaded { tasks: TASKS.abandoned(conn).await?, executions: EXECUTIONS.abandoned(conn).await? })
        })
    }

    fn task_counts(&self) -> Read<Counts> {
        self.readers.view(async |conn| counts(conn).await)
    }

    fn tasks(&self, filter: &Filter) -> Read<Listed<Task>> {
        self.readers.snapshot(async |conn| TASKS.listed(conn, filter).await)
    }

    fn task(&self, task: TaskId) -> Read<Option<Task>> {
        self.readers.view(async |conn| TASKS.one(conn, task).await)
    }

    fn executions(&self, filter: &Filter) -> Read<Listed<Execution>> {
        self.readers.snapshot(async |conn| EXECUTIONS.listed(conn, filter).await)
    }

    fn execution(&self, execution: ExecutionId) -> Read<Option<Execution>> {
        self.readers.view(async |conn| EXECUTIONS.one(conn, execution).await)
    }
}
