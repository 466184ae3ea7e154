//! What chat did not finish when the server stopped.

use super::super::columns::{Json, json};
use crate::protocols::chat::{model::Called, record::Sweep};
use rusqlite::{Connection, params};

pub(super) const STREAMING: &str = "SELECT id, session, calls FROM chat_message WHERE completeness = 'streaming'";

pub(super) const EXPIRE: &str = "UPDATE chat_approval SET decision = 'expired', decided_at = ?1 WHERE decision = 'pending'";

/// See [`super::super::super::Store::sweep_chat`]. Always inside the caller's transaction.
pub(in super::super) fn sweep(conn: &Connection, sweep: Sweep) -> rusqlite::Result<u64> {
    let mut streaming = conn.prepare(STREAMING)?;
    let rows = streaming.query_map([], |row| Ok((row.get(0)?, row.get(1)?, json(row, 2)?)))?;
    let rows: Vec<(i64, i64, Vec<Called>)> = rows.collect::<rusqlite::Result<_>>()?;
    for (message, session, calls) in &rows {
        let calls: Vec<Called> = calls.iter().cloned().map(Called::broken_off).collect();
        conn.prepare_cached("UPDATE chat_message SET completeness = 'incomplete', calls = ?2 WHERE id = ?1")?
            .execute(params![message, Json(calls)])?;
        conn.prepare_cached("UPDATE chat_session SET message_count = message_count + 1 WHERE id = ?1")?.execute([session])?;
    }
    conn.execute(EXPIRE, [sweep.at])?;
    Ok(rows.len() as u64)
}
