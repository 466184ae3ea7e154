//! The contracts of the tasks routes: homes are asked by letters, the records by the bridge.

use super::{Rest, random};
use crate::{
    http::{
        rooms::Clock,
        tasks::rooms::{Chance, Credentials, Library, Tasks},
    },
    models::Catalog,
    observe::traces,
    protocols::tasks::{
        Ask, ExecutionId, Health, Reply, Settings, TaskId, Workflows,
        model::{Caller, Execution, Task},
        record::{Filter, Listed},
    },
    store::Read,
};
use std::future::poll_fn;

/// An ask on its way: forgotten when its future is dropped, as when the client has gone. It is done all the same.
struct Asked<'a> {
    rest: &'a Rest,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.rest.shift.borrow_mut().engine.forget_tasks_ask(self.number);
    }
}

impl Tasks for Rest {
    async fn ask(&self, ask: Ask) -> Reply {
        match &ask {
            Ask::Create(task) => traces::note_cause(task.id),
            Ask::Execute(execution) => traces::note_cause(execution.id),
            Ask::Look { .. } | Ask::Edit { .. } | Ask::Remove { .. } | Ask::Cancel { .. } => {}
            Ask::LookExecution { .. } | Ask::CancelExecution { .. } => {}
        }
        let asked = Asked { rest: self, number: self.shift.borrow_mut().engine.ask_tasks(ask) };
        self.nudge.nudge();
        poll_fn(|cx| self.shift.borrow_mut().engine.poll_tasks_reply(asked.number, cx.waker())).await
    }

    fn settings(&self) -> &Settings {
        &self.house.rules.tasks
    }

    fn catalog(&self) -> &Catalog {
        &self.house.rules.catalog
    }

    fn workflows(&self) -> &Workflows {
        &self.house.rules.workflows
    }

    fn health(&self) -> Health {
        self.vitals.health(self.stage.phase(), &self.house.endpoints)
    }
}

impl Library for Rest {
    async fn tasks(&self, filter: Filter) -> Read<Listed<Task>> {
        self.read(move |store| store.tasks(&filter)).await
    }

    async fn task(&self, task: TaskId) -> Read<Option<Task>> {
        self.read(move |store| store.task(task)).await
    }

    async fn executions(&self, filter: Filter) -> Read<Listed<Execution>> {
        self.read(move |store| store.executions(&filter)).await
    }

    async fn execution(&self, execution: ExecutionId) -> Read<Option<Execution>> {
        self.read(move |store| store.execution(execution)).await
    }
}

impl Credentials for Rest {
    fn caller(&self, token: &str) -> Option<Caller> {
        self.shift.borrow().engine.tasks_caller(token, self.now())
    }
}

impl Chance for Rest {
    fn fill(&self, bytes: &mut [u8]) {
        random(bytes);
    }
}
