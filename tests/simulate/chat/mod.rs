//! Chat: a world of its own beside presence, quizzes and labs, with people at several sockets, those who follow over REST, models and tools
//! elsewhere, and a store.

pub(crate) mod asks;
pub(crate) mod book;
pub(crate) mod cast;
pub(crate) mod checks;
pub(crate) mod ears;
pub(crate) mod faults;
pub(crate) mod followers;
pub(crate) mod models;
pub(crate) mod people;
pub(crate) mod shell;
pub(crate) mod store;
pub(crate) mod world;
