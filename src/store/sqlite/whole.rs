//! Several rows that are written together or not at all, within a batch.

use super::fault::is_of_the_row;
use rusqlite::Connection;

/// Writes all of it, or nothing where a row refuses it. Always inside the caller's transaction, which goes on then.
pub(super) fn whole(conn: &Connection, write: impl FnOnce() -> rusqlite::Result<()>) -> rusqlite::Result<()> {
    conn.prepare_cached("SAVEPOINT whole")?.execute([])?;
    let result = write();
    match &result {
        Ok(()) => {}
        Err(error) if is_of_the_row(error) => drop(conn.prepare_cached("ROLLBACK TO whole")?.execute([])?),
        // The transaction is over.
        Err(_) => return result,
    }
    conn.prepare_cached("RELEASE whole")?.execute([])?;
    result
}
