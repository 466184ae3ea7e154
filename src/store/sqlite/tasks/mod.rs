//! Records of tasks in tables: written by the store's thread inside its batches, read by whoever may wait.

mod changes;
mod library;
mod lists;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use tables::FIFTH;

use crate::{protocols::tasks::record::Record, realtime::StoreFault};
use rusqlite::Connection;

/// Writes a record; the inner fault is one of its own. Always inside the caller's transaction.
pub(super) fn keep(conn: &Connection, record: &Record) -> rusqlite::Result<Result<(), StoreFault>> {
    match record {
        Record::Task(task) => changes::task(conn, task).map(Ok),
        Record::NoTask(task) => changes::no_task(conn, *task),
        Record::Execution(execution) => changes::execution(conn, execution).map(Ok),
    }
}
