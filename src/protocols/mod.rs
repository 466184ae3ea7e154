//! The published APIs, a room each. A protocol knows `realtime` and `auth` and none of the others.

pub mod labs;
pub mod presence;
pub mod quiz;
