//! Records of tasks in memory, as the contract has them, and their library.

use super::{
    super::{Read, TasksLibrary, Tenure},
    MemoryStore,
};
use crate::{
    protocols::tasks::{
        Counts, Home,
        model::{Execution, ExecutionId, Status, Task, TaskId, UserName},
        record::{Filter, Listed, Loaded, Record},
    },
    realtime::{StoreFault, UnixMicros},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};
use uuid::Uuid;

/// All of them.
#[derive(Default)]
pub(super) struct Tasks {
    tasks: BTreeMap<TaskId, Task>,
    executions: BTreeMap<ExecutionId, Execution>,
    /// In which epoch each was written last.
    writers: HashMap<Home, i64>,
}

impl Tasks {
    pub(super) fn keep(&mut self, record: Record, tenure: Tenure) -> Result<(), StoreFault> {
        let written = match &record {
            Record::Task(task) => Home::Task(task.id),
            Record::NoTask(task) => Home::Task(*task),
            Record::Execution(execution) => Home::Execution(execution.id),
        };
        self.writers.insert(written, tenure.epoch);
        match record {
            Record::Task(task) => drop(self.tasks.insert(task.id, *task)),
            Record::NoTask(task) => match self.tasks.get(&task) {
                Some(there) if !there.status.is_over() => return Err(StoreFault::Failed),
                Some(_) | None => drop(self.tasks.remove(&task)),
            },
            Record::Execution(execution) => drop(self.executions.insert(execution.id, *execution)),
        }
        Ok(())
    }

    fn load(&self) -> Loaded {
        let mut tasks: Vec<Task> = self.tasks.values().filter(|task| !task.status.is_over()).cloned().collect();
        tasks.sort_by_key(|task| (task.created_at, task.id));
        let mut executions: Vec<Execution> = self.executions.values().filter(|it| !it.status.is_over()).cloned().collect();
        executions.sort_by_key(|execution| (execution.created_at, execution.id));
        Loaded { tasks, executions }
    }

    fn counts(&self) -> Counts {
        let left: Vec<Status> = self.tasks.values().map(|task| task.status).filter(|status| !status.is_over()).collect();
        let pending = left.iter().filter(|status| **status == Status::Pending).count();
        Counts { active: (left.len() - pending) as u64, pending: pending as u64 }
    }
}

/// What tasks and executions are found by.
trait Row: Clone {
    fn found_by(&self) -> (&UserName, Status);
    fn order(&self) -> (UnixMicros, Uuid);
}

impl Row for Task {
    fn found_by(&self) -> (&UserName, Status) {
        (&self.owner, self.status)
    }

    fn order(&self) -> (UnixMicros, Uuid) {
        (self.created_at, self.id)
    }
}

impl Row for Execution {
    fn found_by(&self) -> (&UserName, Status) {
        (&self.owner, self.status)
    }

    fn order(&self) -> (UnixMicros, Uuid) {
        (self.created_at, self.id)
    }
}

fn listed<'a, T: Row + 'a>(all: impl Iterator<Item = &'a T>, filter: &Filter) -> Listed<T> {
    let lets_through = |row: &&T| {
        let (owner, status) = row.found_by();
        filter.owner.as_ref().is_none_or(|wanted| wanted == owner) && filter.status.is_none_or(|wanted| wanted == status)
    };
    let mut found: Vec<&T> = all.filter(lets_through).collect();
    found.sort_by_key(|row| Reverse(row.order()));
    let skipped = usize::try_from(filter.offset).unwrap_or(usize::MAX);
    let total = found.len() as u64;
    Listed { items: found.into_iter().skip(skipped).take(filter.limit as usize).cloned().collect(), total }
}

impl MemoryStore {
    fn read_tasks<T>(&self, question: impl FnOnce(&Tasks) -> T) -> Read<T> {
        self.readable()?;
        Ok(question(&self.kept().tasks))
    }
}

impl TasksLibrary for MemoryStore {
    fn load_tasks(&self) -> Read<Loaded> {
        self.read_tasks(Tasks::load)
    }

    fn abandoned_tasks(&self) -> Read<Loaded> {
        self.readable()?;
        let kept = self.kept();
        let is_there = |it: Home| kept.tasks.writers.get(&it).is_some_and(|epoch| kept.nodes.has_epoch(*epoch));
        Ok(kept.tasks.load().such(|it| !is_there(it)))
    }

    fn task_counts(&self) -> Read<Counts> {
        self.read_tasks(Tasks::counts)
    }

    fn tasks(&self, filter: &Filter) -> Read<Listed<Task>> {
        self.read_tasks(|tasks| listed(tasks.tasks.values(), filter))
    }

    fn task(&self, task: TaskId) -> Read<Option<Task>> {
        self.read_tasks(|tasks| tasks.tasks.get(&task).cloned())
    }

    fn executions(&self, filter: &Filter) -> Read<Listed<Execution>> {
        self.read_tasks(|tasks| listed(tasks.executions.values(), filter))
    }

    fn execution(&self, execution: ExecutionId) -> Read<Option<Execution>> {
        self.read_tasks(|tasks| tasks.executions.get(&execution).cloned())
    }
}
