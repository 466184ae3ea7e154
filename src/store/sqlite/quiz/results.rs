//! Attempts as owners see them: lists, results, one with its answers, flags.

use super::{
    answers::{self, Shelves},
    columns::{Id, count},
    lists::{listed, nothing, owner},
};
use crate::protocols::quiz::{
    model::{AttemptId, EventId, QuizId},
    record::{AnswerRow, AttemptFilter, AttemptRow, Flag, FlagCount, FlagRow, FlagSummary, Listed, Page},
};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};
use uuid::Uuid;

/// What an [`AttemptRow`] is made of, from `part`, which has numbers of attempts and is small.
const ROWS: &str =
    "SELECT attempt.id, attempt_id, quiz, participant_id, attempt.alias, event_id, started_at, deadline, reason, ended_at,
        coalesce(score, 0), coalesce(answered_count, 0), flags, first_shelf, last_shelf
    FROM part CROSS JOIN attempt ON attempt.id = part.id JOIN participant ON participant.id = attempt.participant
        LEFT JOIN event ON event.id = attempt.event";

/// The order of results.
const RANKS: &str = "score DESC, ended_at - started_at, attempt_id";

/// A row of [`ROWS`], and where its answers are.
struct Found {
    number: i64,
    shelves: Shelves,
    row: AttemptRow,
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    Ok(Found {
        number: row.get(0)?,
        shelves: Shelves { first: row.get(13)?, last: row.get(14)? },
        row: AttemptRow {
            id: row.get::<_, Id>(1)?.0,
            quiz: row.get(2)?,
            participant: row.get::<_, Id>(3)?.0,
            alias: row.get(4)?,
            event: row.get::<_, Option<Id>>(5)?.map(|event| event.0),
            started_at: row.get(6)?,
            deadline: row.get(7)?,
            reason: row.get(8)?,
            ended_at: row.get(9)?,
            score: row.get(10)?,
            answered_count: row.get(11)?,
            flags: row.get(12)?,
        },
    })
}

/// Those that run have their points in their answers.
fn counted(conn: &Connection, found: Listed<Found>) -> rusqlite::Result<Listed<AttemptRow>> {
    let mut items = Vec::with_capacity(found.items.len());
    for Found { number, shelves, mut row } in found.items {
        if row.ended_at.is_none() {
            (row.score, row.answered_count) = answers::worth(conn, row.quiz, number, shelves)?;
        }
        items.push(row);
    }
    Ok(Listed { items, total: found.total })
}

/// A filter as the statement sees it: the narrowest index is used, the rest is looked at in the rows.
pub(super) struct Where {
    text: String,
    values: Vec<i64>,
}

impl Where {
    fn count(&self) -> String {
        format!("SELECT count(*) FROM attempt WHERE {}", self.text)
    }

    /// With two more values: limit and offset.
    pub(super) fn select(&self) -> String {
        let (text, limit, offset) = (&self.text, self.values.len() + 1, self.values.len() + 2);
        format!(
            "WITH part AS MATERIALIZED (SELECT id FROM attempt WHERE {text} ORDER BY id DESC LIMIT ?{limit} OFFSET ?{offset})
             {ROWS} ORDER BY attempt.id DESC"
        )
    }
}

/// None when something that the filter names is not the owner's: then no attempt is let through.
pub(super) fn narrowed(conn: &Connection, owner: i64, filter: &AttemptFilter) -> rusqlite::Result<Option<Where>> {
    let number = |table, id: Uuid| -> rusqlite::Result<Option<i64>> {
        conn.prepare_cached(&format!("SELECT id FROM {table} WHERE {table}_id = ?1 AND owner = ?2"))?
            .query_row(params![Id(id), owner], |row| row.get(0))
            .optional()
    };
    let mut chosen = Vec::new();
    if let Some(participant) = filter.participant {
        let Some(participant) = number("participant", participant)? else { return Ok(None) };
        chosen.push(("participant", participant));
    }
    if let Some(event) = filter.event {
        let Some(event) = number("event", event)? else { return Ok(None) };
        chosen.push(("event", event));
    }
    chosen.extend(filter.quiz.map(|quiz| ("quiz", quiz.0)));
    chosen.push(("owner", owner));
    let mut text = String::new();
    for (place, (column, _)) in chosen.iter().enumerate() {
        let (and, unindexed) = if place == 0 { ("", "") } else { (" AND ", "+") };
        text.push_str(&format!("{and}{unindexed}{column} = ?{}", place + 1));
    }
    text.push_str(match filter.ended {
        None => "",
        Some(true) => " AND +ended_at IS NOT NULL",
        Some(false) => " AND +ended_at IS NULL",
    });
    text.push_str(match filter.flagged {
        None => "",
        Some(true) => " AND +flags > 0",
        Some(false) => " AND +flags = 0",
    });
    Ok(Some(Where { text, values: chosen.into_iter().map(|(_, value)| value).collect() }))
}

pub(super) fn attempts(
    conn: &Connection,
    owner_id: &str,
    filter: &AttemptFilter,
    page: Page,
) -> rusqlite::Result<Listed<AttemptRow>> {
    let Some(owner) = owner(conn, owner_id)? else { return Ok(nothing()) };
    let Some(narrow) = narrowed(conn, owner, filter)? else { return Ok(nothing()) };
    let mut selected: Vec<&dyn ToSql> = narrow.values.iter().map(|value| value as &dyn ToSql).collect();
    selected.extend([&page.limit as &dyn ToSql, &page.offset]);
    let counted_by = (&*narrow.count(), params_from_iter(&narrow.values));
    let part = listed(conn, counted_by, (&narrow.select(), &*selected), found)?;
    counted(conn, part)
}

pub(super) fn ranked() -> String {
    format!(
        "WITH part AS MATERIALIZED (SELECT id FROM attempt WHERE quiz = ?1 AND ended_at IS NOT NULL ORDER BY {RANKS} LIMIT ?2 OFFSET ?3)
         {ROWS} ORDER BY {RANKS}"
    )
}

pub(super) fn results(conn: &Connection, owner: &str, quiz: QuizId, page: Page) -> rusqlite::Result<Option<Listed<AttemptRow>>> {
    if owns_quiz(conn, owner, quiz)?.is_none() {
        return Ok(None);
    }
    let part = listed(
        conn,
        ("SELECT count(*) FROM attempt WHERE quiz = ?1 AND ended_at IS NOT NULL", params![quiz]),
        (&ranked(), params![quiz, page.limit, page.offset]),
        found,
    )?;
    counted(conn, part).map(Some)
}

/// The owner's number.
fn owns_quiz(conn: &Connection, owner: &str, quiz: QuizId) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT owner FROM quiz JOIN owner ON owner.id = quiz.owner WHERE quiz.id = ?1 AND owner_id = ?2")?
        .query_row(params![quiz, owner], |row| row.get(0))
        .optional()
}

fn one(conn: &Connection, owner: &str, attempt: AttemptId) -> rusqlite::Result<Option<Found>> {
    let select = format!(
        "WITH part AS MATERIALIZED (SELECT attempt.id FROM attempt JOIN owner ON owner.id = attempt.owner
                                    WHERE attempt_id = ?1 AND owner_id = ?2) {ROWS}"
    );
    conn.prepare_cached(&select)?.query_row(params![Id(attempt), owner], found).optional()
}

pub(super) fn attempt(conn: &Connection, owner: &str, id: AttemptId) -> rusqlite::Result<Option<(AttemptRow, Vec<AnswerRow>)>> {
    let Some(Found { number, shelves, mut row }) = one(conn, owner, id)? else { return Ok(None) };
    let mut answers: Vec<AnswerRow> = answers::of_attempt(conn, row.quiz, number, shelves)?.into_values().collect();
    if row.ended_at.is_none() {
        // Begun at zero: the sum of nothing is less by its sign.
        row.score = answers.iter().fold(0.0, |sum, answer| sum + answer.grade.score);
        row.answered_count = answers.len() as u32;
    }
    let places = places(conn, row.quiz)?;
    answers.sort_by_key(|answer| places.get(&answer.question).copied().unwrap_or(i64::MAX));
    Ok(Some((row, answers)))
}

fn places(conn: &Connection, quiz: QuizId) -> rusqlite::Result<HashMap<Uuid, i64>> {
    let mut places = conn.prepare_cached("SELECT question_id, place FROM question WHERE quiz = ?1")?;
    places.query_map(params![quiz], |row| Ok((row.get::<_, Id>(0)?.0, row.get(1)?)))?.collect()
}

pub(super) fn flags(conn: &Connection, owner: &str, attempt: AttemptId) -> rusqlite::Result<Option<Vec<FlagRow>>> {
    let Some(Found { number, .. }) = one(conn, owner, attempt)? else { return Ok(None) };
    let mut flags = conn.prepare_cached(
        "SELECT label, detail, question_id, occurred_at, flagged_at FROM flag WHERE attempt = ?1 ORDER BY number",
    )?;
    let flag = |row: &Row<'_>| {
        let question = row.get::<_, Option<Id>>(2)?.map(|question| question.0);
        let flag = Flag { label: row.get(0)?, detail: row.get(1)?, question, occurred_at: row.get(3)? };
        Ok(FlagRow { flag, flagged_at: row.get(4)? })
    };
    flags.query_map([number], flag)?.collect::<rusqlite::Result<_>>().map(Some)
}

pub(super) fn flag_summary(conn: &Connection, owner: &str, quiz: QuizId) -> rusqlite::Result<Option<FlagSummary>> {
    let Some(owner) = owns_quiz(conn, owner, quiz)? else { return Ok(None) };
    let mut whole = conn
        .prepare_cached("SELECT coalesce(sum(flags), 0), count(*) FROM attempt WHERE owner = ?1 AND quiz = ?2 AND flags > 0")?;
    let (flags, attempts) = whole.query_row(params![owner, quiz], |row| Ok((count(row, 0)?, count(row, 1)?)))?;
    let mut labels = conn.prepare_cached(
        "SELECT label, count(*), count(DISTINCT flag.attempt)
         FROM attempt CROSS JOIN flag ON flag.attempt = attempt.id WHERE owner = ?1 AND quiz = ?2 AND flags > 0
         GROUP BY label ORDER BY count(*) DESC, label",
    )?;
    let label = |row: &Row<'_>| Ok(FlagCount { label: row.get(0)?, flags: count(row, 1)?, attempts: count(row, 2)? });
    let labels = labels.query_map(params![owner, quiz], label)?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(FlagSummary { flags, attempts, labels }))
}

pub(super) fn running_of_event(conn: &Connection, owner: &str, event: EventId) -> rusqlite::Result<Vec<QuizId>> {
    let mut quizzes = conn.prepare_cached(
        "SELECT DISTINCT quiz FROM attempt
         WHERE event = (SELECT event.id FROM event JOIN owner ON owner.id = event.owner WHERE event_id = ?1 AND owner_id = ?2)
             AND ended_at IS NULL ORDER BY quiz",
    )?;
    quizzes.query_map(params![Id(event), owner], |row| row.get(0))?.collect()
}
