//! Answers as they lie on shelves, read back.

use super::columns::{Id, json};
use crate::{
    protocols::quiz::{
        model::{Grade, QuestionId, QuizId},
        record::AnswerRow,
    },
    realtime::UnixMicros,
};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// Where the answers of an attempt lie.
#[derive(Clone, Copy)]
pub(super) struct Shelves {
    pub(super) first: i64,
    /// None while it runs.
    pub(super) last: Option<i64>,
}

/// Each shelf from `?1` to `?2`, or to the latest.
const SHELVES: &str = "WITH RECURSIVE shelves (shelf) AS (
    VALUES (?1) UNION ALL SELECT shelf + 1 FROM shelves WHERE shelf < coalesce(?2, (SELECT max(shelf) FROM answer)))";

/// The last answer to each question of one attempt.
pub(super) fn of_attempt(
    conn: &Connection,
    quiz: QuizId,
    attempt: i64,
    shelves: Shelves,
) -> rusqlite::Result<BTreeMap<QuestionId, AnswerRow>> {
    let mut answers = BTreeMap::new();
    // The outer loop is over shelves: a later one comes later.
    let mut found = conn.prepare_cached(&format!(
        "{SHELVES} SELECT question_id, is_correct, score, answered_at, answer_id, given
         FROM shelves CROSS JOIN answer ON answer.shelf = shelves.shelf AND quiz = ?3 AND attempt = ?4 ORDER BY answer.shelf"
    ))?;
    let mut rows = found.query(params![shelves.first, shelves.last, quiz, attempt])?;
    while let Some(row) = rows.next()? {
        let question = row.get::<_, Id>(0)?.0;
        let answer =
            AnswerRow { id: row.get::<_, Id>(4)?.0, question, given: json(row, 5)?, grade: grade(row)?, at: row.get(3)? };
        answers.insert(question, answer);
    }
    Ok(answers)
}

/// What the answers of one attempt are worth, and how many they are.
pub(super) fn worth(conn: &Connection, quiz: QuizId, attempt: i64, shelves: Shelves) -> rusqlite::Result<(f64, u32)> {
    // Of a group the row with the greatest shelf is taken.
    conn.prepare_cached(&format!(
        "{SHELVES} SELECT total(score), count(*) FROM (
             SELECT score, max(answer.shelf) FROM shelves CROSS JOIN answer ON answer.shelf = shelves.shelf AND quiz = ?3 AND attempt = ?4
             GROUP BY question_id)"
    ))?
    .query_row(params![shelves.first, shelves.last, quiz, attempt], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// An answer among all of a quiz.
pub(super) struct Graded {
    pub(super) attempt: i64,
    pub(super) question: QuestionId,
    pub(super) grade: Grade,
    pub(super) at: UnixMicros,
}

/// Tells every answer of a quiz from a shelf on; of two to one question the later one later.
pub(super) fn of_quiz(conn: &Connection, quiz: QuizId, first: i64, mut tell: impl FnMut(Graded)) -> rusqlite::Result<()> {
    let mut found = conn.prepare_cached(&format!(
        "{SHELVES} SELECT question_id, is_correct, score, answered_at, attempt
         FROM shelves CROSS JOIN answer ON answer.shelf = shelves.shelf AND quiz = ?3"
    ))?;
    let mut rows = found.query(params![first, None::<i64>, quiz])?;
    while let Some(row) = rows.next()? {
        tell(Graded { attempt: row.get(4)?, question: row.get::<_, Id>(0)?.0, grade: grade(row)?, at: row.get(3)? });
    }
    Ok(())
}

fn grade(row: &Row<'_>) -> rusqlite::Result<Grade> {
    Ok(Grade { is_correct: row.get(1)?, score: row.get(2)? })
}
