//! The quizzes of a simulated school: their clients, what is on disk, what must be told of it, and those who ask over REST.

pub(crate) mod asks;
pub(crate) mod book;
pub(crate) mod clients;
pub(crate) mod sockets;
pub(crate) mod store;
