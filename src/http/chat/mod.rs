//! The REST routes of chat: signing in, sessions, what is said, approvals. What the contract leaves open: `README.md` beside this file.

pub mod pipe;
pub mod rooms;
