//! Live sessions as rows: how one begins, and how it ends and moves to history. Always inside the caller's transaction.

use super::{
    super::intervals::Interval,
    history::{History, Pair},
};
use crate::{
    protocols::presence::record::{Entering, Leaving},
    realtime::{ClassroomId, UnixMicros},
};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Statement, ffi, params};

/// Rooms whose row number is remembered: some 50 bytes each, forgotten all at once when there are more.
const REMEMBERED_CLASSROOMS: usize = 16_384;

/// The prepared statements of the writer, and the little it remembers.
pub(super) struct Rows<'c> {
    classroom: Statement<'c>,
    new_classroom: Statement<'c>,
    new_agent: Statement<'c>,
    begin: Statement<'c>,
    occupant: Statement<'c>,
    live: Statement<'c>,
    end: Statement<'c>,
    mark: Statement<'c>,
    history: History<'c>,
    classrooms: HashMap<ClassroomId, i64>,
    replica: i64,
    last_session: i64,
}

impl<'c> Rows<'c> {
    /// `last_session` is the highest number ever given to a session.
    pub(super) fn prepare(conn: &'c Connection, replica: i64, last_session: i64) -> rusqlite::Result<Rows<'c>> {
        Ok(Rows {
            classroom: conn.prepare("SELECT id FROM classroom WHERE classroom_id = ?1")?,
            new_classroom: conn.prepare("INSERT INTO classroom (classroom_id) VALUES (?1) RETURNING id")?,
            new_agent: conn.prepare("INSERT INTO agent (agent_id) VALUES (?1)")?,
            begin: conn.prepare(
                "INSERT INTO agent_session (id, classroom, agent, replica, started_at, may_meet)
                 VALUES (?1, ?2, (SELECT id FROM agent WHERE agent_id = ?3), ?4, ?5, ?6) ON CONFLICT (classroom, agent) DO NOTHING",
            )?,
            occupant: conn.prepare(
                "SELECT id FROM agent_session WHERE classroom = ?1 AND agent = (SELECT id FROM agent WHERE agent_id = ?2)",
            )?,
            live: conn.prepare("SELECT classroom, agent, started_at, may_meet FROM agent_session WHERE id = ?1")?,
            end: conn.prepare("DELETE FROM agent_session WHERE id = ?1")?,
            mark: conn.prepare("UPDATE replica SET seen_at = ?1, last_session = ?2 WHERE id = ?3")?,
            classrooms: HashMap::new(),
            replica,
            last_session,
            history: History::prepare(conn)?,
        })
    }

    /// Begins a session and answers its number. Where the agent still has a row in this room, that session ends first: when `left` says,
    /// which is so where its leave was asked before this, else now. One that another node takes over keeps its number, unless its leave was
    /// asked before.
    pub(super) fn enter(&mut self, entering: &Entering, left: impl Fn(i64) -> Option<UnixMicros>) -> rusqlite::Result<i64> {
        if let Some(session) = entering.session
            && left(session).is_none()
            && self.live.exists([session])?
        {
            return Ok(session);
        }
        let classroom = self.classroom(entering.classroom)?;
        let session = self.last_session + 1;
        if !self.begin(session, classroom, entering)? {
            let stale = self.occupant.query_row(params![classroom, &*entering.agent_id], |row| row.get(0))?;
            let at = left(stale).unwrap_or(entering.at);
            self.leave(Leaving { session: stale, at })?;
            self.begin(session, classroom, entering)?;
        }
        self.last_session = session;
        Ok(session)
    }

    /// Moves a session to history, as one interval with those of the same agent and room that it meets. An unknown number is ignored.
    pub(super) fn leave(&mut self, leaving: Leaving) -> rusqlite::Result<()> {
        let live = self.live.query_row([leaving.session], |row| {
            let pair = Pair { classroom: row.get(0)?, agent: row.get(1)? };
            Ok((pair, UnixMicros(row.get(2)?), row.get(3)?))
        });
        let Some((pair, started, may_meet)) = live.optional()? else { return Ok(()) };
        self.end.execute([leaving.session])?;
        self.history.add(pair, leaving.session, Interval::new(started, leaving.at), may_meet)
    }

    /// Writes down that this replica is alive now, and which numbers it gave.
    pub(super) fn mark(&mut self, now: UnixMicros) -> rusqlite::Result<()> {
        self.mark.execute([now.0, self.last_session, self.replica]).map(drop)
    }

    /// The transaction was rolled back: what was learnt in it is no longer so. Numbers given in it stay given.
    pub(super) fn rolled_back(&mut self) {
        self.classrooms.clear();
    }

    fn classroom(&mut self, id: ClassroomId) -> rusqlite::Result<i64> {
        if let Some(&known) = self.classrooms.get(&id) {
            return Ok(known);
        }
        let found = self.classroom.query_row([&id.as_bytes()[..]], |row| row.get(0)).optional()?;
        let row = match found {
            Some(row) => row,
            None => self.new_classroom.query_row([&id.as_bytes()[..]], |row| row.get(0))?,
        };
        if self.classrooms.len() >= REMEMBERED_CLASSROOMS {
            self.classrooms.clear();
        }
        self.classrooms.insert(id, row);
        Ok(row)
    }

    /// False when the agent already has a row in this room.
    fn begin(&mut self, session: i64, classroom: i64, entering: &Entering) -> rusqlite::Result<bool> {
        let may_meet = self.history.may_meet(classroom, entering.at);
        let row = params![session, classroom, &*entering.agent_id, self.replica, entering.at.0, may_meet];
        match self.begin.execute(row) {
            Err(error) if is_unknown_agent(&error) => {
                self.new_agent.execute([&*entering.agent_id])?;
                self.begin.execute(row)
            }
            other => other,
        }
        .map(|rows| rows == 1)
    }
}

fn is_unknown_agent(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_NOTNULL)
}
