//! What presence, quizzes, labs, chat and tasks keep: the contract, SQLite that fulfils it on disk, PostgreSQL that nodes share, and a
//! store in memory for tests and simulations.
//!
//! The engine knows only [`Store`]. Sessions begin asynchronously (the answer comes through a [`Sink`] once the row is on disk),
//! end without an answer, and are read back as attendance. Records of the others are kept asynchronously too, and read back as views: the
//! [`Library`], [`LabsLibrary`], [`ChatLibrary`] and [`TasksLibrary`].

mod chat;
mod contract;
mod copy;
mod health;
mod intake;
mod intervals;
mod labs;
pub mod lease;
mod leaves;
mod library;
mod memory;
pub mod postgres;
mod queue;
mod running;
pub mod sqlite;
mod tasks;
#[cfg(test)]
mod tests;
mod words;

pub use chat::ChatLibrary;
pub use contract::{Answer, Entered, Sink, Store, Ticket};
pub use copy::{CopyFault, Moved, copy};
pub use health::{Health, Outcome};
pub use labs::LabsLibrary;
pub use lease::{Buried, Ended, Lease, LeaseFault, Member, Roster, Seat, Tenure};
pub use library::{Library, Read};
pub use memory::{MemoryStore, Mood};
pub use postgres::PostgresStore;
pub use sqlite::{OpenFault, Settings, SqliteStore};
pub use tasks::TasksLibrary;
