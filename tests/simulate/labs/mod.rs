//! Labs: a world of its own beside presence and quizzes, with agents, viewers, REST and a store.

pub(crate) mod agents;
pub(crate) mod asks;
pub(crate) mod book;
pub(crate) mod checks;
pub(crate) mod drains;
pub(crate) mod faults;
pub(crate) mod followers;
pub(crate) mod lines;
pub(crate) mod nodes;
pub(crate) mod roles;
pub(crate) mod shell;
pub(crate) mod socket;
pub(crate) mod store;
pub(crate) mod streams;
pub(crate) mod viewers;
pub(crate) mod world;
