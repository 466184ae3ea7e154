//! Signing on: what the last run left behind ends, what has expired is forgotten, and the numbers go on where it stopped.

use super::{labs, rows::Rows, writer::wall};
use crate::{protocols::presence::record::Leaving, realtime::UnixMicros};
use rusqlite::{Connection, TransactionBehavior, params};
use std::collections::BTreeSet;

/// This replica, as the tables know it.
#[derive(Clone, Copy)]
pub(super) struct Replica {
    pub(super) id: i64,
    /// The highest number ever given to a session.
    pub(super) last_session: i64,
}

/// Registers this replica and moves every session that is still live to history: the folder is served by one process, so whoever wrote them
/// is gone, but for those that are `kept`. They end when their replica was last seen, or as they began when that is later.
pub(super) fn sign_on(
    conn: &mut Connection,
    label: &str,
    address: Option<&str>,
    kept: &BTreeSet<i64>,
) -> rusqlite::Result<Replica> {
    let sign_on = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let replica = Replica { id: register(&sign_on, label, address)?, last_session: last_session(&sign_on)? };
    let mut stale = stale(&sign_on)?;
    stale.retain(|leaving| !kept.contains(&leaving.session));
    let mut rows = Rows::prepare(&sign_on, replica.id, replica.last_session)?;
    for leaving in &stale {
        rows.leave(*leaving)?;
    }
    rows.mark(wall())?;
    drop(rows);
    labs::forget_expired(&sign_on, wall())?;
    sign_on.commit()?;
    if !stale.is_empty() {
        tracing::info!(sessions = stale.len(), "ended the sessions that the last run left behind");
    }
    Ok(replica)
}

fn register(conn: &Connection, label: &str, address: Option<&str>) -> rusqlite::Result<i64> {
    conn.query_row(
        "INSERT INTO replica (label, ip, seen_at, last_session) VALUES (?1, ?2, ?3, 0)
         ON CONFLICT (label) DO UPDATE SET ip = excluded.ip RETURNING id",
        params![label, address, wall().0],
        |row| row.get(0),
    )
}

fn last_session(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row(
        "SELECT max((SELECT max(last_session) FROM replica), (SELECT coalesce(max(id), 0) FROM agent_session))",
        [],
        |row| row.get(0),
    )
}

fn stale(conn: &Connection) -> rusqlite::Result<Vec<Leaving>> {
    let mut sessions = conn.prepare(
        "SELECT agent_session.id, max(started_at, coalesce(seen_at, started_at))
         FROM agent_session LEFT JOIN replica ON replica.id = agent_session.replica",
    )?;
    sessions.query_map([], |row| Ok(Leaving { session: row.get(0)?, at: UnixMicros(row.get(1)?) }))?.collect()
}
