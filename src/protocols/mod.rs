//! The published APIs, a room each. A protocol knows `realtime`, `auth` and `models`, and none of the others.

pub mod chat;
pub mod labs;
pub mod presence;
pub mod quiz;
pub mod tasks;
