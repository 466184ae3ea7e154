//! Ended sessions: where an interval is kept, and how those that meet become one. Always inside the caller's transaction.
//!
//! History lies on shelves. A shelf begins at a moment and holds every interval that ended from then until the next shelf begins; a new one
//! is begun when the newest has many rows or is old. On its shelf an interval is found by room and agent. So what one batch writes lies on
//! few pages, however much history there is and however fast it comes, and a reader passes over few shelves even for a year.

use super::super::intervals::Interval;
use crate::realtime::UnixMicros;
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Statement, params};

/// Rows on a shelf before the next is begun. Tests begin many.
const SHELF_ROWS: usize = if cfg!(test) { 3 } else { 4096 };

/// Microseconds that a shelf spans before the next is begun.
const SHELF_SPAN: i64 = 15 * 60 * 1_000_000;

/// Rooms whose last end is remembered, some 24 bytes each; forgotten all at once when there are more.
const REMEMBERED_ENDS: usize = 16_384;

/// Whom an interval is of, by their rows.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) classroom: i64,
    pub(super) agent: i64,
}

/// A row as it was found.
struct Past {
    shelf: i64,
    interval: Interval,
    session: i64,
}

/// The latest shelf. Every interval on it and before it ended at `last_end` or earlier.
struct Shelf {
    from: i64,
    rows: usize,
    last_end: i64,
}

/// The table of history and what the writer knows of it.
pub(super) struct History<'c> {
    meeting: Statement<'c>,
    shelf_at: Statement<'c>,
    shelf_after: Statement<'c>,
    forget: Statement<'c>,
    keep: Statement<'c>,
    newest: Shelf,
    /// The last end in a room; in a room that is not here nothing ended after `other_ends`.
    ends: HashMap<i64, i64>,
    other_ends: i64,
}

impl<'c> History<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<History<'c>> {
        let newest = newest_shelf(conn)?;
        Ok(History {
            meeting: conn.prepare(
                "SELECT lower, upper, id FROM agent_session_history
                 WHERE shelf = ?1 AND classroom = ?2 AND agent = ?3 AND lower <= ?4 AND upper >= ?5",
            )?,
            shelf_at: conn.prepare(SHELF_AT)?,
            shelf_after: conn.prepare(SHELF_AFTER)?,
            forget: conn
                .prepare("DELETE FROM agent_session_history WHERE shelf = ?1 AND classroom = ?2 AND agent = ?3 AND lower = ?4")?,
            keep: conn.prepare(
                "INSERT INTO agent_session_history (shelf, classroom, agent, lower, upper, id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?,
            other_ends: newest.last_end,
            newest,
            ends: HashMap::new(),
        })
    }

    /// Whether an interval that begins now in this room may meet one that is kept. Nothing that it could meet is added before it
    /// ends: of one agent and room one session is live at a time. So asking at its beginning spares nearly every look at its end.
    pub(super) fn may_meet(&self, classroom: i64, begins: UnixMicros) -> bool {
        begins.0 <= *self.ends.get(&classroom).unwrap_or(&self.other_ends)
    }

    /// Keeps the interval of a session; with `may_meet`, as one with those that it meets, under the number of the first.
    pub(super) fn add(&mut self, pair: Pair, session: i64, interval: Interval, may_meet: bool) -> rusqlite::Result<()> {
        let (mut interval, mut session) = (interval, session);
        if may_meet {
            for past in self.met_by(pair, interval)? {
                self.forget.execute(params![past.shelf, pair.classroom, pair.agent, past.interval.lower.0])?;
                interval = interval.joined(past.interval);
                session = session.min(past.session);
            }
        }
        let (lower, upper) = (interval.lower.0, interval.upper.0);
        let shelf = self.shelf_for(upper)?;
        self.keep.execute([shelf, pair.classroom, pair.agent, lower, upper, session])?;
        self.ended(pair.classroom, upper);
        Ok(())
    }

    fn ended(&mut self, classroom: i64, at: i64) {
        if self.ends.len() >= REMEMBERED_ENDS && !self.ends.contains_key(&classroom) {
            self.ends.clear();
            self.other_ends = self.newest.last_end;
        }
        let last = self.ends.entry(classroom).or_insert(self.other_ends);
        *last = at.max(*last);
    }

    /// The shelf on which what ended at `upper` lies.
    fn shelf_for(&mut self, upper: i64) -> rusqlite::Result<i64> {
        let newest = &mut self.newest;
        let is_full = newest.rows >= SHELF_ROWS || upper.saturating_sub(newest.from) >= SHELF_SPAN;
        if is_full && upper > newest.last_end {
            *newest = Shelf { from: upper, rows: 0, last_end: upper };
        }
        if upper < newest.from {
            let found: Option<i64> = self.shelf_at.query_row([upper], |row| row.get(0))?;
            return Ok(found.unwrap_or(upper));
        }
        newest.rows += 1;
        newest.last_end = newest.last_end.max(upper);
        Ok(newest.from)
    }

    /// The rows that `interval` meets: they ended after it began, so none lies on an earlier shelf than that moment's.
    fn met_by(&mut self, pair: Pair, interval: Interval) -> rusqlite::Result<Vec<Past>> {
        let (lower, upper) = (interval.lower.0, interval.upper.0);
        let mut met = Vec::new();
        let mut next: Option<i64> = self.shelf_at.query_row([lower], |row| row.get(0))?;
        if next.is_none() {
            next = self.shelf_after.query_row([lower], |row| row.get(0))?;
        }
        while let Some(shelf) = next {
            let mut rows = self.meeting.query([shelf, pair.classroom, pair.agent, upper, lower])?;
            while let Some(row) = rows.next()? {
                let interval = Interval { lower: UnixMicros(row.get(0)?), upper: UnixMicros(row.get(1)?) };
                met.push(Past { shelf, interval, session: row.get(2)? });
            }
            next = self.shelf_after.query_row([shelf], |row| row.get(0))?;
        }
        Ok(met)
    }
}

/// The shelf that holds what ended at a moment, if there is one so early.
pub(super) const SHELF_AT: &str = "SELECT max(shelf) FROM agent_session_history WHERE shelf <= ?1";

/// The next shelf.
pub(super) const SHELF_AFTER: &str = "SELECT min(shelf) FROM agent_session_history WHERE shelf > ?1";

/// As it was left: counted as full, so that the next interval begins a new one.
fn newest_shelf(conn: &Connection) -> rusqlite::Result<Shelf> {
    let newest = "SELECT shelf, max(upper) FROM agent_session_history
                  WHERE shelf = (SELECT max(shelf) FROM agent_session_history) GROUP BY shelf";
    let found = conn.query_row(newest, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (from, last_end) = found.unwrap_or((i64::MIN, i64::MIN));
    Ok(Shelf { from, rows: SHELF_ROWS, last_end })
}
