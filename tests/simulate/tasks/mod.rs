//! Tasks: a world of its own beside the others, with sockets of several users, those who ask over REST, models and tools elsewhere,
//! workflows and a store.

pub(crate) mod asks;
pub(crate) mod book;
pub(crate) mod checks;
pub(crate) mod ears;
pub(crate) mod faults;
pub(crate) mod models;
pub(crate) mod people;
pub(crate) mod shell;
pub(crate) mod store;
pub(crate) mod world;
