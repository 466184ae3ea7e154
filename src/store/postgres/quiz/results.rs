//! Attempts as owners see them: lists, results, one with its answers, flags.

use super::{
    super::{
        columns::{column, count, json, number, string, string_if_any, text, word_if_any},
        conn::{Conn, Value},
        fault::Fault,
    },
    lists::listed,
    loaded::{at, at_if_any, grade},
};
use crate::protocols::quiz::{
    model::{AttemptId, EventId, QuizId},
    record::{AnswerRow, AttemptFilter, AttemptRow, Flag, FlagCount, FlagRow, FlagSummary, Listed, Page},
};
use hashbrown::HashMap;
use tokio_postgres::Row;
use uuid::Uuid;

/// What an [`AttemptRow`] is made of. Those that run have their points in their answers.
const ATTEMPT: &str = "attempt_id, quiz, participant, alias, event, started_at, deadline, reason, ended_at,
    coalesce(score, (SELECT sum(answer.score ORDER BY question_id) FROM answer WHERE attempt = attempt.id), 0),
    coalesce(answered_count, (SELECT count(*) FROM answer WHERE attempt = attempt.id)), flags, id";

/// The order of results.
const RANKS: &str = "score DESC, ended_at - started_at, attempt_id";

/// A row of [`ATTEMPT`].
fn found(row: &Row) -> Result<AttemptRow, Fault> {
    Ok(AttemptRow {
        id: column(row, 0)?,
        quiz: QuizId(column(row, 1)?),
        participant: column(row, 2)?,
        alias: string(row, 3)?,
        event: column(row, 4)?,
        started_at: at(row, 5)?,
        deadline: at_if_any(row, 6)?,
        reason: word_if_any(row, 7)?,
        ended_at: at_if_any(row, 8)?,
        score: column(row, 9)?,
        answered_count: number(row, 10)?,
        flags: number(row, 11)?,
    })
}

pub(super) async fn attempts(conn: &Conn, owner: &str, filter: &AttemptFilter, page: Page) -> Result<Listed<AttemptRow>, Fault> {
    let owner = text(owner);
    let quiz = filter.quiz.map(|quiz| quiz.0);
    let mut from = "attempt WHERE owner = $1".to_owned();
    let mut values: Vec<Value<'_>> = vec![&owner];
    let chosen: [(&str, Option<Value<'_>>); 3] = [
        ("participant", filter.participant.as_ref().map(|id| id as Value<'_>)),
        ("event", filter.event.as_ref().map(|id| id as Value<'_>)),
        ("quiz", quiz.as_ref().map(|id| id as Value<'_>)),
    ];
    for (name, value) in chosen {
        if let Some(value) = value {
            values.push(value);
            from.push_str(&format!(" AND {name} = ${}", values.len()));
        }
    }
    from.push_str(match filter.ended {
        None => "",
        Some(true) => " AND ended_at IS NOT NULL",
        Some(false) => " AND ended_at IS NULL",
    });
    from.push_str(match filter.flagged {
        None => "",
        Some(true) => " AND flags > 0",
        Some(false) => " AND flags = 0",
    });
    listed(conn, (&from, &values), (ATTEMPT, "id DESC"), page, found).await
}

pub(super) async fn results(conn: &Conn, owner: &str, quiz: QuizId, page: Page) -> Result<Option<Listed<AttemptRow>>, Fault> {
    if !owns_quiz(conn, owner, quiz).await? {
        return Ok(None);
    }
    listed(conn, ("attempt WHERE quiz = $1 AND ended_at IS NOT NULL", &[&quiz.0]), (ATTEMPT, RANKS), page, found).await.map(Some)
}

async fn owns_quiz(conn: &Conn, owner: &str, quiz: QuizId) -> Result<bool, Fault> {
    Ok(conn.row("SELECT 1 FROM quiz WHERE id = $1 AND owner = $2", &[&quiz.0, &text(owner)]).await?.is_some())
}

/// With its number.
async fn one(conn: &Conn, owner: &str, attempt: AttemptId) -> Result<Option<(AttemptRow, i64)>, Fault> {
    let select = format!("SELECT {ATTEMPT} FROM attempt WHERE attempt_id = $1 AND owner = $2");
    let row = conn.row(&select, &[&attempt, &text(owner)]).await?;
    row.map(|row| Ok((found(&row)?, column(&row, 12)?))).transpose()
}

pub(super) async fn attempt(conn: &Conn, owner: &str, id: AttemptId) -> Result<Option<(AttemptRow, Vec<AnswerRow>)>, Fault> {
    let Some((row, number)) = one(conn, owner, id).await? else { return Ok(None) };
    let select = "SELECT answer_id, question_id, given, is_correct, score, answered_at FROM answer WHERE attempt = $1 ORDER BY question_id";
    let answers = conn.rows(select, &[&number]).await?;
    let answer = |row: &Row| {
        let (id, question) = (column(row, 0)?, column(row, 1)?);
        Ok(AnswerRow { id, question, given: json(row, 2)?, grade: grade(row, 3)?, at: at(row, 5)? })
    };
    let mut answers = answers.iter().map(answer).collect::<Result<Vec<_>, Fault>>()?;
    let places = conn.rows("SELECT question_id, place FROM question WHERE quiz = $1", &[&row.quiz.0]).await?;
    let place = |row: &Row| Ok((column(row, 0)?, column(row, 1)?));
    let places = places.iter().map(place).collect::<Result<HashMap<Uuid, i64>, Fault>>()?;
    answers.sort_by_key(|answer| places.get(&answer.question).copied().unwrap_or(i64::MAX));
    Ok(Some((row, answers)))
}

pub(super) async fn flags(conn: &Conn, owner: &str, attempt: AttemptId) -> Result<Option<Vec<FlagRow>>, Fault> {
    let Some((_, number)) = one(conn, owner, attempt).await? else { return Ok(None) };
    let select = "SELECT label, detail, question_id, occurred_at, flagged_at FROM flag WHERE attempt = $1 ORDER BY number";
    let flag = |row: &Row| {
        let detail = string_if_any(row, 1)?.map(String::into_boxed_str);
        let flag = Flag { label: string(row, 0)?, detail, question: column(row, 2)?, occurred_at: at(row, 3)? };
        Ok(FlagRow { flag, flagged_at: at(row, 4)? })
    };
    let flags = conn.rows(select, &[&number]).await?;
    flags.iter().map(flag).collect::<Result<_, Fault>>().map(Some)
}

pub(super) async fn flag_summary(conn: &Conn, owner: &str, quiz: QuizId) -> Result<Option<FlagSummary>, Fault> {
    if !owns_quiz(conn, owner, quiz).await? {
        return Ok(None);
    }
    let values: &[Value<'_>] = &[&text(owner), &quiz.0];
    let whole = "SELECT coalesce(sum(flags), 0)::bigint, count(*) FROM attempt WHERE owner = $1 AND quiz = $2 AND flags > 0";
    let whole = conn.one(whole, values).await?;
    let labels = conn
        .rows(
            "SELECT label, count(*), count(DISTINCT flag.attempt)
             FROM attempt JOIN flag ON flag.attempt = attempt.id WHERE owner = $1 AND quiz = $2 AND flags > 0
             GROUP BY label ORDER BY count(*) DESC, label",
            values,
        )
        .await?;
    let label = |row: &Row| Ok(FlagCount { label: string(row, 0)?, flags: count(row, 1)?, attempts: count(row, 2)? });
    let labels = labels.iter().map(label).collect::<Result<_, Fault>>()?;
    Ok(Some(FlagSummary { flags: count(&whole, 0)?, attempts: count(&whole, 1)?, labels }))
}

pub(super) async fn running_of_event(conn: &Conn, owner: &str, event: EventId) -> Result<Vec<QuizId>, Fault> {
    let select = "SELECT DISTINCT quiz FROM attempt WHERE event = $1 AND owner = $2 AND ended_at IS NULL ORDER BY quiz";
    let rows = conn.rows(select, &[&event, &text(owner)]).await?;
    rows.iter().map(|row| column(row, 0).map(QuizId)).collect()
}
