//! What the routes of tasks ask of the rest of the house. The runtime fulfils it; tests fulfil it from memory.

use crate::{
    models::Catalog,
    protocols::tasks::{
        Ask, ExecutionId, Health, Reply, Settings, TaskId, Workflows,
        model::{Caller, Execution, Task},
        record::{Filter, Listed},
    },
    realtime::StoreFault,
};

/// The homes of tasks and executions. Futures stay on their shard, so they need not be `Send`.
#[allow(async_fn_in_trait)]
pub trait Tasks {
    /// Asks the home of the task or execution that the ask names.
    async fn ask(&self, ask: Ask) -> Reply;
    /// Times and sizes.
    fn settings(&self) -> &Settings;
    /// Who may be told to do something.
    fn catalog(&self) -> &Catalog;
    /// Those that are configured.
    fn workflows(&self) -> &Workflows;
    /// How the parts of the system are.
    fn health(&self) -> Health;
}

/// What is on disk, to look at: each as the store reads it, on a thread that may wait.
#[allow(async_fn_in_trait)]
pub trait Library {
    /// Tasks that the filter lets through.
    async fn tasks(&self, filter: Filter) -> Result<Listed<Task>, StoreFault>;
    /// One of them.
    async fn task(&self, task: TaskId) -> Result<Option<Task>, StoreFault>;
    /// Executions that the filter lets through.
    async fn executions(&self, filter: Filter) -> Result<Listed<Execution>, StoreFault>;
    /// One of them.
    async fn execution(&self, execution: ExecutionId) -> Result<Option<Execution>, StoreFault>;
}

/// What requests prove themselves with.
pub trait Credentials {
    /// Whose token (JWT) it is, checked now: of a chat's login, or signed by the configured secret of others. None: it is no good.
    fn caller(&self, token: &str) -> Option<Caller>;
}

/// What cannot be foreseen.
pub trait Chance {
    /// Fills `bytes` with randomness that is good for ids.
    fn fill(&self, bytes: &mut [u8]);
}
