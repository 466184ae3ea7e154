//! Sessions as rows: how one begins, how it moves to history, how intervals that meet become one. Always inside the caller's transaction.

use super::super::intervals::Interval;
use crate::{
    protocols::presence::record::{Entering, Leaving},
    realtime::{ClassroomId, UnixMicros},
};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Statement, ffi, params};

/// Rooms whose row number is remembered: some 50 bytes each, forgotten all at once when there are more.
const REMEMBERED_CLASSROOMS: usize = 16_384;

const MICROS_OF_DAY: i64 = 86_400_000_000;

/// The day on which a moment lies, as history is keyed.
pub(super) fn day_of(at: UnixMicros) -> i64 {
    at.0.div_euclid(MICROS_OF_DAY)
}

/// Whom a row of history is of.
#[derive(Clone, Copy)]
struct Pair {
    classroom: i64,
    agent: i64,
}

/// A row of history as it was found.
struct Past {
    ended_day: i64,
    interval: Interval,
    session: i64,
}

/// The prepared statements of the writer, and the little it remembers.
pub(super) struct Rows<'c> {
    classroom: Statement<'c>,
    new_classroom: Statement<'c>,
    new_agent: Statement<'c>,
    begin: Statement<'c>,
    occupant: Statement<'c>,
    end: Statement<'c>,
    meeting: Statement<'c>,
    day_after: Statement<'c>,
    forget: Statement<'c>,
    keep: Statement<'c>,
    mark: Statement<'c>,
    classrooms: HashMap<ClassroomId, i64>,
    replica: i64,
    last_session: i64,
    /// The latest day on which anything in history ended, or later.
    last_day: i64,
}

impl<'c> Rows<'c> {
    /// `last_session` is the highest number ever given to a session.
    pub(super) fn prepare(conn: &'c Connection, replica: i64, last_session: i64) -> rusqlite::Result<Rows<'c>> {
        let last_day =
            conn.query_row("SELECT max(ended_day) FROM agent_session_history", [], |row| row.get::<_, Option<i64>>(0))?;
        Ok(Rows {
            classroom: conn.prepare("SELECT id FROM classroom WHERE classroom_id = ?1")?,
            new_classroom: conn.prepare("INSERT INTO classroom (classroom_id) VALUES (?1) RETURNING id")?,
            new_agent: conn.prepare("INSERT INTO agent (agent_id) VALUES (?1)")?,
            begin: conn.prepare(
                "INSERT INTO agent_session (id, classroom, agent, replica, started_at)
                 VALUES (?1, ?2, (SELECT id FROM agent WHERE agent_id = ?3), ?4, ?5) ON CONFLICT (classroom, agent) DO NOTHING",
            )?,
            occupant: conn.prepare(
                "SELECT id FROM agent_session WHERE classroom = ?1 AND agent = (SELECT id FROM agent WHERE agent_id = ?2)",
            )?,
            end: conn.prepare("DELETE FROM agent_session WHERE id = ?1 RETURNING classroom, agent, started_at")?,
            meeting: conn.prepare(
                "SELECT lower, upper, id FROM agent_session_history
                 WHERE ended_day = ?1 AND classroom = ?2 AND agent = ?3 AND lower <= ?4 AND upper >= ?5",
            )?,
            day_after: conn.prepare("SELECT min(ended_day) FROM agent_session_history WHERE ended_day > ?1")?,
            forget: conn.prepare(
                "DELETE FROM agent_session_history WHERE ended_day = ?1 AND classroom = ?2 AND agent = ?3 AND lower = ?4",
            )?,
            keep: conn.prepare(
                "INSERT INTO agent_session_history (ended_day, classroom, agent, lower, upper, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            mark: conn.prepare("UPDATE replica SET seen_at = ?1, last_session = ?2 WHERE id = ?3")?,
            classrooms: HashMap::new(),
            replica,
            last_session,
            last_day: last_day.unwrap_or(i64::MIN),
        })
    }

    /// Begins a session and answers its number. Where the agent still has a row in this room, that session ends first: when `left` says,
    /// else now.
    pub(super) fn enter(&mut self, entering: &Entering, left: impl Fn(i64) -> Option<UnixMicros>) -> rusqlite::Result<i64> {
        let classroom = self.classroom(entering.classroom)?;
        let session = self.last_session + 1;
        if !self.begin(session, classroom, entering)? {
            let stale = self.occupant.query_row(params![classroom, &*entering.agent_id], |row| row.get(0))?;
            let at = left(stale).map_or(entering.at, |at| at.min(entering.at));
            self.leave(Leaving { session: stale, at })?;
            self.begin(session, classroom, entering)?;
        }
        self.last_session = session;
        Ok(session)
    }

    /// Moves a session to history, as one interval with those of the same agent and room that it meets. An unknown number is ignored.
    pub(super) fn leave(&mut self, leaving: Leaving) -> rusqlite::Result<()> {
        let ended = self.end.query_row([leaving.session], |row| {
            Ok((Pair { classroom: row.get(0)?, agent: row.get(1)? }, UnixMicros(row.get(2)?)))
        });
        let Some((pair, started)) = ended.optional()? else { return Ok(()) };
        let mut kept = Past { ended_day: 0, interval: Interval::new(started, leaving.at), session: leaving.session };
        for past in self.met_by(pair, kept.interval)? {
            self.forget.execute(params![past.ended_day, pair.classroom, pair.agent, past.interval.lower.0])?;
            kept.interval = kept.interval.joined(past.interval);
            kept.session = kept.session.min(past.session);
        }
        kept.ended_day = day_of(kept.interval.upper);
        let Interval { lower, upper } = kept.interval;
        self.keep.execute(params![kept.ended_day, pair.classroom, pair.agent, lower.0, upper.0, kept.session])?;
        self.last_day = self.last_day.max(kept.ended_day);
        Ok(())
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
        let row = params![session, classroom, &*entering.agent_id, self.replica, entering.at.0];
        match self.begin.execute(row) {
            Err(error) if is_unknown_agent(&error) => {
                self.new_agent.execute([&*entering.agent_id])?;
                self.begin.execute(row)
            }
            other => other,
        }
        .map(|rows| rows == 1)
    }

    /// The rows of history that `interval` meets. They ended on the day it began at the earliest; mostly that day is the last there is.
    fn met_by(&mut self, pair: Pair, interval: Interval) -> rusqlite::Result<Vec<Past>> {
        let mut met = Vec::new();
        let mut day = Some(day_of(interval.lower));
        while let Some(ended_day) = day.filter(|day| *day <= self.last_day) {
            let key = params![ended_day, pair.classroom, pair.agent, interval.upper.0, interval.lower.0];
            let mut rows = self.meeting.query(key)?;
            while let Some(row) = rows.next()? {
                let interval = Interval { lower: UnixMicros(row.get(0)?), upper: UnixMicros(row.get(1)?) };
                met.push(Past { ended_day, interval, session: row.get(2)? });
            }
            day = if ended_day < self.last_day { self.day_after.query_row([ended_day], |row| row.get(0))? } else { None };
        }
        Ok(met)
    }
}

fn is_unknown_agent(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_CONSTRAINT_NOTNULL)
}
