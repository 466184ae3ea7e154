//! Records of chat in tables: written by the store's thread inside its batches, read by whoever may wait.

mod changes;
mod library;
mod messages;
mod sessions;
mod sweep;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use sweep::sweep;
pub(super) use tables::FOURTH;

use super::whole::whole;
use crate::protocols::chat::record::Change;
use rusqlite::Connection;

/// Writes all of a change, or nothing of it when it is refused by itself. Always inside the caller's transaction.
pub(super) fn keep(conn: &Connection, change: &Change) -> rusqlite::Result<()> {
    whole(conn, || changes::write(conn, change))
}
