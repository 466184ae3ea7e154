//! Tasks: what agents are told to do, alone or in the steps of a workflow, and everyone who may watches it.
//!
//! A task has a home, as has an execution of a workflow: the one writer, which runs the agent, keeps what came of it, and tells. How many
//! sockets a user has is counted by the user's home. A task's news goes to two topics: its owner's, and that of those who see all; each
//! connection listens to one of the two at most and lets through what it subscribed to, so nobody hears anything twice.
//! Contract: the socket at `/ws`; REST under `/api/v1` as the page has it.

pub mod asks;
pub mod letters;
pub mod model;
pub mod record;
pub mod settings;

pub use asks::{Ask, Reply};
pub use letters::{FromHome, ToExecution, ToTask, ToUser};
pub use model::{ExecutionId, TaskId, UserName};
pub use settings::Settings;
