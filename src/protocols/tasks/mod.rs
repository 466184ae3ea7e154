//! Tasks: what agents are told to do, alone or in the steps of a workflow, and everyone who may watches it.
//!
//! A task has a home, as has an execution of a workflow: the one writer, which runs the agent, keeps what came of it, and tells. How many
//! sockets a user has is counted by the user's home. A task's news goes to two topics: its owner's, and that of those who see all; each
//! connection listens to one of the two at most and lets through what it subscribed to, so nobody hears anything twice.
//! Contract: the socket at `/ws`; REST under `/api/v1` as the page has it.

pub mod admission;
pub mod asks;
pub mod carriage;
mod circumstances;
pub mod connection;
pub mod document;
mod edits;
mod execution;
pub mod homes;
pub mod letters;
pub mod messages;
pub mod model;
mod moves;
pub mod outcome;
mod patience;
mod queue;
pub mod record;
mod requests;
mod room;
pub mod said;
pub mod settings;
pub mod status;
mod subscriptions;
mod survey;
mod task;
mod users;
pub mod work;
pub mod workflow;

pub use admission::Denial;
pub use asks::{Ask, Home, Reply};
pub use carriage::Carriage;
pub use connection::{Connection, Effect, Event, Farewell, Gate};
pub use homes::{Homes, Levels};
pub use letters::{About, Channel, FromHome, Hold, Interest, News, ToExecution, ToTask, ToUser};
pub use model::{ExecutionId, TaskId, UserName};
pub use outcome::{Outcome, Piece};
pub use settings::Settings;
pub use status::{Counts, Health, Status};
pub use workflow::{WorkflowFault, Workflows};

#[cfg(test)]
mod tests;
