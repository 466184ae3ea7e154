//! Quizzes as they are made and changed.

use super::columns::{Id, unwritable};
use crate::{
    protocols::quiz::{
        model::{Question, QuestionId, QuizId, Rules, Status},
        record::{Edit, Kept, NewQuiz},
    },
    realtime::UnixMicros,
};
use rusqlite::{Connection, Params, params};

pub(super) fn new(conn: &Connection, owner: i64, new: &NewQuiz) -> rusqlite::Result<Kept> {
    let rules = &new.rules;
    conn.prepare_cached(
        "INSERT INTO quiz (owner, status, access_code, title, access_type, availability, opens_at, closes_at, time_limit_seconds,
                           max_attempts, submission_mode, client_only, questions, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, ?13) RETURNING id",
    )?
    .query_row(
        params![
            owner,
            Status::Draft,
            new.access_code,
            rules.title,
            rules.access_type,
            rules.availability,
            rules.opens_at,
            rules.closes_at,
            rules.time_limit_seconds,
            rules.max_attempts,
            rules.submission_mode,
            rules.client_only,
            new.at,
        ],
        |row| row.get(0),
    )
    .map(Kept::Quiz)
}

pub(super) fn edit(conn: &Connection, quiz: QuizId, edit: &Edit, at: UnixMicros) -> rusqlite::Result<Kept> {
    let changed = conn.prepare_cached("UPDATE quiz SET updated_at = ?2 WHERE id = ?1")?.execute(params![quiz, at])? == 1
        && match edit {
            Edit::Rules(new) => rules(conn, quiz, new)?,
            Edit::Status(status) => changes(conn, "UPDATE quiz SET status = ?2 WHERE id = ?1", params![quiz, status])?,
            Edit::Question(new) => question(conn, quiz, new)? && counted(conn, quiz)?,
            Edit::NoQuestion(gone) => no_question(conn, quiz, *gone)? && counted(conn, quiz)?,
            Edit::Order(questions) => order(conn, quiz, questions)?,
        };
    Ok(if changed { Kept::Done } else { Kept::Missing })
}

/// Whether there was a row to change.
fn changes(conn: &Connection, statement: &str, values: impl Params) -> rusqlite::Result<bool> {
    conn.prepare_cached(statement)?.execute(values).map(|rows| rows > 0)
}

fn rules(conn: &Connection, quiz: QuizId, rules: &Rules) -> rusqlite::Result<bool> {
    changes(
        conn,
        "UPDATE quiz SET title = ?2, access_type = ?3, availability = ?4, opens_at = ?5, closes_at = ?6, time_limit_seconds = ?7,
                         max_attempts = ?8, submission_mode = ?9, client_only = ?10 WHERE id = ?1",
        params![
            quiz,
            rules.title,
            rules.access_type,
            rules.availability,
            rules.opens_at,
            rules.closes_at,
            rules.time_limit_seconds,
            rules.max_attempts,
            rules.submission_mode,
            rules.client_only,
        ],
    )
}

fn question(conn: &Connection, quiz: QuizId, question: &Question) -> rusqlite::Result<bool> {
    let kind = serde_json::to_string(&question.kind).map_err(unwritable)?;
    changes(
        conn,
        "INSERT INTO question (quiz, question_id, place, text, points, kind)
         VALUES (?1, ?2, (SELECT coalesce(max(place), 0) + 1 FROM question WHERE quiz = ?1), ?3, ?4, ?5)
         ON CONFLICT (quiz, question_id) DO UPDATE SET text = excluded.text, points = excluded.points, kind = excluded.kind",
        params![quiz, Id(question.id), question.text, question.points, kind],
    )
}

fn no_question(conn: &Connection, quiz: QuizId, gone: QuestionId) -> rusqlite::Result<bool> {
    changes(conn, "DELETE FROM question WHERE quiz = ?1 AND question_id = ?2", params![quiz, Id(gone)])
}

fn counted(conn: &Connection, quiz: QuizId) -> rusqlite::Result<bool> {
    changes(conn, "UPDATE quiz SET questions = (SELECT count(*) FROM question WHERE quiz = ?1) WHERE id = ?1", params![quiz])
}

/// False unless every question is named once: then as many places as there are questions are taken.
fn order(conn: &Connection, quiz: QuizId, questions: &[QuestionId]) -> rusqlite::Result<bool> {
    // Out of the way: a place below zero is of a question that was not named yet.
    changes(conn, "UPDATE question SET place = -place WHERE quiz = ?1", params![quiz])?;
    let mut put = conn.prepare_cached("UPDATE question SET place = ?3 WHERE quiz = ?1 AND question_id = ?2 AND place < 0")?;
    for (question, place) in questions.iter().zip(1_i64..) {
        if put.execute(params![quiz, Id(*question), place])? == 0 {
            return Ok(false);
        }
    }
    let left = "SELECT NOT EXISTS (SELECT 1 FROM question WHERE quiz = ?1 AND place < 0)";
    conn.prepare_cached(left)?.query_row(params![quiz], |row| row.get(0))
}
