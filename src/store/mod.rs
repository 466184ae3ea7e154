//! What presence, quizzes and labs keep: the contract, SQLite that fulfils it on disk, and a store in memory for tests and simulations.
//!
//! The engine knows only [`Store`]. Sessions begin asynchronously (the answer comes through a [`Sink`] once the row is on disk),
//! end without an answer, and are read back as attendance. Records of quizzes and labs are kept asynchronously too, and read back as
//! views: the [`Library`] and the [`LabsLibrary`].

mod contract;
mod health;
mod intervals;
mod labs;
mod library;
mod memory;
pub mod sqlite;
#[cfg(test)]
mod tests;

pub use contract::{Answer, Entered, Sink, Store, Ticket};
pub use health::{Health, Outcome};
pub use labs::LabsLibrary;
pub use library::{Library, Read};
pub use memory::{MemoryStore, Mood};
pub use sqlite::{OpenFault, Settings, SqliteStore};
