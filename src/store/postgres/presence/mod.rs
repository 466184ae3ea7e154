//! Who is in which room, and who was: live sessions as rows, ended ones as intervals.

mod attendance;
mod sessions;
mod tables;

pub(super) use attendance::{attendance, occupied};
pub(super) use sessions::{Entry, bury, end, enter, live, pass};
pub(super) use tables::FIRST;
