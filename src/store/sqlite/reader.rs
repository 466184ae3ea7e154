//! Reads beside the writer, on connections of their own: attendance here, quizzes in their room.

use super::{
    super::intervals::told,
    fault::blame,
    history::{SHELF_AFTER, SHELF_AT},
    schema::open_reader,
};
use crate::{
    protocols::presence::record::{Attendance, StoreFault},
    realtime::{ClassroomId, UnixMicros},
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// Connections that are kept open between reads.
const KEPT_CONNECTIONS: usize = 2;

/// The readers' connections.
pub(super) struct Readers {
    file: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(file: PathBuf) -> Readers {
        Readers { file, idle: Mutex::default() }
    }

    /// See [`super::super::Store::attendance`].
    pub(super) fn attendance(
        &self,
        classroom: ClassroomId,
        from: UnixMicros,
        to: UnixMicros,
    ) -> Result<Vec<Attendance>, StoreFault> {
        self.view(|conn| attendance(conn, classroom, from, to))
    }

    /// See [`super::super::Store::occupied`].
    pub(super) fn occupied(&self, limit: u32) -> Result<Vec<(ClassroomId, u64)>, StoreFault> {
        self.view(|conn| occupied(conn, limit))
    }

    /// Asks one connection within one snapshot: what a session or an attempt becomes meanwhile is told once.
    pub(super) fn view<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreFault> {
        let seen = self.read(|conn| {
            let snapshot = conn.unchecked_transaction()?;
            question(&snapshot)
        });
        seen.map_err(|error| {
            tracing::debug!(%error, "the records cannot be read");
            blame(&error)
        })
    }

    /// Closes what is idle, so that the writer is the last to close the file.
    pub(super) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn read<T>(&self, question: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = idle.map_or_else(|| open_reader(&self.file), Ok)?;
        let answer = question(&conn)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT_CONNECTIONS {
            idle.push(conn);
        }
        Ok(answer)
    }
}

fn attendance(conn: &Connection, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> rusqlite::Result<Vec<Attendance>> {
    let mut named = conn.prepare_cached("SELECT id FROM classroom WHERE classroom_id = ?1")?;
    let Some(room) = named.query_row([&classroom.as_bytes()[..]], |row| row.get(0)).optional()? else { return Ok(Vec::new()) };
    let mut rows = live(conn, room)?;
    // What began before `from` may be one interval with a session that still runs.
    let since = rows.iter().map(|row| row.entered).fold(from, UnixMicros::min);
    history(conn, room, since, to, &mut rows)?;
    Ok(told(rows, from, to))
}

fn occupied(conn: &Connection, limit: u32) -> rusqlite::Result<Vec<(ClassroomId, u64)>> {
    let mut rooms = conn.prepare_cached(
        "SELECT classroom.classroom_id, members FROM (SELECT classroom, count(*) AS members FROM agent_session GROUP BY classroom)
         JOIN classroom ON classroom.id = classroom ORDER BY members DESC, classroom.classroom_id LIMIT ?1",
    )?;
    let room = |row: &Row<'_>| Ok((ClassroomId::from_bytes(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs()));
    rooms.query_map([limit], room)?.collect()
}

fn live(conn: &Connection, room: i64) -> rusqlite::Result<Vec<Attendance>> {
    let mut sessions = conn.prepare_cached(
        "SELECT agent.agent_id, started_at, NULL FROM agent_session JOIN agent ON agent.id = agent_session.agent WHERE classroom = ?1",
    )?;
    sessions.query_map([room], attended)?.collect()
}

/// Adds what ended at `since` or later and began before `to`.
fn history(conn: &Connection, room: i64, since: UnixMicros, to: UnixMicros, rows: &mut Vec<Attendance>) -> rusqlite::Result<()> {
    let mut shelf_after = conn.prepare_cached(SHELF_AFTER)?;
    let mut on_shelf = conn.prepare_cached(
        "SELECT agent.agent_id, lower, upper FROM agent_session_history AS past JOIN agent ON agent.id = past.agent
         WHERE shelf = ?1 AND classroom = ?2 AND lower < ?3 AND upper >= ?4",
    )?;
    let mut next: Option<i64> = conn.prepare_cached(SHELF_AT)?.query_row([since.0], |row| row.get(0))?;
    if next.is_none() {
        next = shelf_after.query_row([since.0], |row| row.get(0))?;
    }
    while let Some(shelf) = next {
        for row in on_shelf.query_map(params![shelf, room, to.0, since.0], attended)? {
            rows.push(row?);
        }
        next = shelf_after.query_row([shelf], |row| row.get(0))?;
    }
    Ok(())
}

fn attended(row: &Row<'_>) -> rusqlite::Result<Attendance> {
    let left: Option<i64> = row.get(2)?;
    Ok(Attendance { agent_id: row.get(0)?, entered: UnixMicros(row.get(1)?), left: left.map(UnixMicros) })
}
