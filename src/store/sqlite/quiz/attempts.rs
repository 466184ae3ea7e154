//! Attempts as they run: begun, answered, flagged, ended.

use super::columns::{Id, unwritable};
use crate::{
    protocols::quiz::{
        model::AttemptId,
        record::{Answered, Closed, Flag, Kept, Started},
    },
    realtime::UnixMicros,
};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Statement, params};

/// Answers on a shelf before the next is begun. Tests begin many.
const SHELF_ROWS: usize = if cfg!(test) { 3 } else { 8192 };

/// Running attempts whose number is remembered: some 60 bytes each, forgotten all at once when there are more.
const REMEMBERED_ATTEMPTS: usize = 65_536;

/// A running attempt as the writer remembers it.
#[derive(Clone, Copy)]
struct Running {
    number: i64,
    quiz: i64,
    /// When its last answer came, if one came since it is remembered.
    last_answer: Option<UnixMicros>,
}

/// The tables of attempts and what the writer knows of them.
pub(super) struct Attempts<'c> {
    quiz_owner: Statement<'c>,
    participant: Statement<'c>,
    new_participant: Statement<'c>,
    event: Statement<'c>,
    begin: Statement<'c>,
    running: Statement<'c>,
    answer: Statement<'c>,
    end: Statement<'c>,
    flags_of: Statement<'c>,
    flag: Statement<'c>,
    flagged: Statement<'c>,
    known: HashMap<AttemptId, Running>,
    /// The latest shelf, and the answers put on it.
    shelf: i64,
    rows: usize,
}

impl<'c> Attempts<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Attempts<'c>> {
        // Never before one that an attempt knows, on which nothing may lie.
        let latest: i64 = conn.query_row(
            "SELECT max(coalesce((SELECT max(shelf) FROM answer), 0),
                        coalesce((SELECT first_shelf FROM attempt ORDER BY id DESC LIMIT 1), 0))",
            [],
            |row| row.get(0),
        )?;
        Ok(Attempts {
            quiz_owner: conn.prepare("SELECT 1 FROM quiz WHERE id = ?1 AND owner = ?2")?,
            participant: conn.prepare("SELECT id FROM participant WHERE participant_id = ?1 AND owner = ?2")?,
            new_participant: conn
                .prepare("INSERT INTO participant (participant_id, owner, alias, created_at) VALUES (?1, ?2, ?3, ?4) RETURNING id")?,
            event: conn.prepare("SELECT id FROM event WHERE event_id = ?1 AND owner = ?2")?,
            begin: conn.prepare(
                "INSERT INTO attempt (attempt_id, quiz, owner, participant, event, alias, started_at, deadline, flags, first_shelf)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9) RETURNING id",
            )?,
            running: conn.prepare("SELECT id, quiz FROM attempt WHERE attempt_id = ?1 AND ended_at IS NULL")?,
            answer: conn.prepare(
                "INSERT OR REPLACE INTO answer (shelf, quiz, attempt, question_id, answer_id, given, is_correct, score, answered_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?,
            end: conn.prepare(
                "UPDATE attempt SET reason = ?2, ended_at = ?3, score = ?4, answered_count = ?5, last_answer = ?6, last_shelf = ?7
                 WHERE id = ?1",
            )?,
            flags_of: conn.prepare("SELECT id, flags FROM attempt WHERE attempt_id = ?1")?,
            flag: conn.prepare(
                "INSERT INTO flag (attempt, number, label, detail, question_id, occurred_at, flagged_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            flagged: conn.prepare("UPDATE attempt SET flags = ?2 WHERE id = ?1")?,
            known: HashMap::new(),
            shelf: latest + 1,
            rows: 0,
        })
    }

    /// Missing unless the quiz is the owner's, and so are the participant and the event.
    pub(super) fn start(&mut self, owner: i64, started: &Started) -> rusqlite::Result<Kept> {
        if self.quiz_owner.query_row(params![started.quiz, owner], |_| Ok(())).optional()?.is_none() {
            return Ok(Kept::Missing);
        }
        let event = match started.event {
            None => None,
            Some(event) => {
                let found: Option<i64> = self.event.query_row(params![Id(event), owner], |row| row.get(0)).optional()?;
                if found.is_none() {
                    return Ok(Kept::Missing);
                }
                found
            }
        };
        let Some(participant) = self.participant(owner, started)? else { return Ok(Kept::Missing) };
        let row = params![
            Id(started.attempt),
            started.quiz,
            owner,
            participant,
            event,
            started.alias,
            started.started_at,
            started.deadline,
            self.shelf
        ];
        let number = self.begin.query_row(row, |row| row.get(0))?;
        self.remember(started.attempt, Running { number, quiz: started.quiz.0, last_answer: None });
        Ok(Kept::Done)
    }

    fn participant(&mut self, owner: i64, started: &Started) -> rusqlite::Result<Option<i64>> {
        if started.new_participant {
            let row = params![Id(started.participant), owner, started.alias, started.started_at];
            return self.new_participant.query_row(row, |row| row.get(0)).map(Some);
        }
        self.participant.query_row(params![Id(started.participant), owner], |row| row.get(0)).optional()
    }

    /// Missing unless the attempt runs.
    pub(super) fn answer(&mut self, answered: &Answered) -> rusqlite::Result<Kept> {
        let Some(running) = self.running(answered.attempt)? else { return Ok(Kept::Missing) };
        if self.rows >= SHELF_ROWS {
            self.shelf += 1;
            self.rows = 0;
        }
        let given = serde_json::to_string(&answered.given).map_err(unwritable)?;
        self.answer.execute(params![
            self.shelf,
            running.quiz,
            running.number,
            Id(answered.question),
            Id(answered.id),
            given,
            answered.grade.is_correct,
            answered.grade.score,
            answered.at
        ])?;
        self.rows += 1;
        if let Some(running) = self.known.get_mut(&answered.attempt) {
            running.last_answer = running.last_answer.max(Some(answered.at));
        }
        Ok(Kept::Done)
    }

    /// Missing unless the attempt runs: it ends once.
    pub(super) fn close(&mut self, closed: &Closed) -> rusqlite::Result<Kept> {
        let Some(running) = self.running(closed.attempt)? else { return Ok(Kept::Missing) };
        self.end.execute(params![
            running.number,
            closed.reason,
            closed.at,
            closed.score,
            closed.answered_count,
            running.last_answer,
            self.shelf
        ])?;
        self.known.remove(&closed.attempt);
        Ok(Kept::Done)
    }

    /// Missing when there is no such attempt. One that is over is flagged as well.
    pub(super) fn flag(&mut self, attempt: AttemptId, at: UnixMicros, flags: &[Flag]) -> rusqlite::Result<Kept> {
        let found: Option<(i64, i64)> =
            self.flags_of.query_row([Id(attempt)], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((attempt, mut number)) = found else { return Ok(Kept::Missing) };
        for flag in flags {
            number += 1;
            self.flag.execute(params![attempt, number, flag.label, flag.detail, flag.question.map(Id), flag.occurred_at, at])?;
        }
        self.flagged.execute([attempt, number])?;
        Ok(Kept::Done)
    }

    /// What is no longer so is forgotten. A shelf that was begun stays begun.
    pub(super) fn rolled_back(&mut self) {
        self.known.clear();
    }

    fn running(&mut self, attempt: AttemptId) -> rusqlite::Result<Option<Running>> {
        if let Some(&known) = self.known.get(&attempt) {
            return Ok(Some(known));
        }
        let found = self
            .running
            .query_row([Id(attempt)], |row| Ok(Running { number: row.get(0)?, quiz: row.get(1)?, last_answer: None }));
        let found = found.optional()?;
        if let Some(running) = found {
            self.remember(attempt, running);
        }
        Ok(found)
    }

    fn remember(&mut self, attempt: AttemptId, running: Running) {
        if self.known.len() >= REMEMBERED_ATTEMPTS {
            self.known.clear();
        }
        self.known.insert(attempt, running);
    }
}
