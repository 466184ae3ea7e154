//! What presence keeps: the contract, SQLite that fulfils it on disk, and a store in memory for tests and simulations.
//!
//! The engine knows only [`Store`]. Sessions begin asynchronously (the answer comes through a [`Sink`] once the row is on disk),
//! end without an answer, and are read back as attendance.

mod contract;
mod health;
mod intervals;
mod memory;
pub mod sqlite;
#[cfg(test)]
mod tests;

pub use contract::{Answer, Entered, Sink, Store, Ticket};
pub use health::{Health, Outcome};
pub use memory::{MemoryStore, Mood};
pub use sqlite::{OpenFault, Settings, SqliteStore};
