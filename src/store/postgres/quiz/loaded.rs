//! What homes read as they begin: a quiz with all its attempts, and which quizzes have attempts that run.

use super::super::{
    columns::{column, json, number, string, word, word_if_any},
    conn::Conn,
    fault::Fault,
};
use crate::{
    protocols::quiz::{
        model::{Grade, OwnerId, Question, QuestionId, Quiz, QuizId, Rules},
        record::{Closed, Loaded, LoadedAttempt},
    },
    realtime::UnixMicros,
};
use hashbrown::HashMap;
use tokio_postgres::Row;

/// What a [`Quiz`] is made of, without its questions.
pub(super) const QUIZ: &str =
    "id, owner, status, access_code, created_at, updated_at, title, access_type, availability, opens_at, closes_at,
    time_limit_seconds, max_attempts, submission_mode, client_only, questions";

pub(super) fn at(row: &Row, place: usize) -> Result<UnixMicros, Fault> {
    column(row, place).map(UnixMicros)
}

pub(super) fn at_if_any(row: &Row, place: usize) -> Result<Option<UnixMicros>, Fault> {
    Ok(column::<Option<i64>>(row, place)?.map(UnixMicros))
}

pub(super) async fn owner_of(conn: &Conn, quiz: QuizId) -> Result<Option<OwnerId>, Fault> {
    let row = conn.row("SELECT owner FROM quiz WHERE id = $1", &[&quiz.0]).await?;
    row.map(|row| Ok(string(&row, 0)?.into())).transpose()
}

pub(super) async fn running(conn: &Conn) -> Result<Vec<QuizId>, Fault> {
    let rows = conn.rows("SELECT DISTINCT quiz FROM attempt WHERE ended_at IS NULL ORDER BY quiz", &[]).await?;
    rows.iter().map(|row| column(row, 0).map(QuizId)).collect()
}

/// A quiz with its questions.
pub(super) async fn quiz(conn: &Conn, quiz: QuizId) -> Result<Option<Quiz>, Fault> {
    let Some(found) = conn.row(&format!("SELECT {QUIZ} FROM quiz WHERE id = $1"), &[&quiz.0]).await? else { return Ok(None) };
    let mut quiz = made(&found)?;
    let questions = "SELECT question_id, text, points, kind FROM question WHERE quiz = $1 ORDER BY place";
    let questions = conn.rows(questions, &[&quiz.id.0]).await?;
    quiz.questions = questions.iter().map(question).collect::<Result<_, _>>()?;
    Ok(Some(quiz))
}

fn question(row: &Row) -> Result<Question, Fault> {
    Ok(Question { id: column(row, 0)?, text: string(row, 1)?, points: column(row, 2)?, kind: json(row, 3)? })
}

/// A row of [`QUIZ`].
pub(super) fn made(row: &Row) -> Result<Quiz, Fault> {
    Ok(Quiz {
        id: QuizId(column(row, 0)?),
        owner: string(row, 1)?.into(),
        status: word(row, 2)?,
        access_code: string(row, 3)?,
        created_at: at(row, 4)?,
        updated_at: at(row, 5)?,
        rules: Rules {
            title: string(row, 6)?,
            access_type: word(row, 7)?,
            availability: word(row, 8)?,
            opens_at: at_if_any(row, 9)?,
            closes_at: at_if_any(row, 10)?,
            time_limit_seconds: number(row, 11)?,
            max_attempts: number(row, 12)?,
            submission_mode: word(row, 13)?,
            client_only: column(row, 14)?,
        },
        questions: Vec::new(),
    })
}

pub(super) async fn loaded(conn: &Conn, id: QuizId) -> Result<Option<Box<Loaded>>, Fault> {
    let Some(quiz) = quiz(conn, id).await? else { return Ok(None) };
    let rows = conn
        .rows(
            "SELECT attempt_id, participant, alias, event, started_at, deadline, flags, last_answer, reason, ended_at, score,
                 answered_count, id
             FROM attempt WHERE quiz = $1 ORDER BY id",
            &[&id.0],
        )
        .await?;
    let mut attempts = Vec::with_capacity(rows.len());
    let mut running: HashMap<i64, usize> = HashMap::new();
    for row in &rows {
        let attempt = attempt(row)?;
        if attempt.end.is_none() {
            running.insert(column(row, 12)?, attempts.len());
        }
        attempts.push(attempt);
    }
    if !running.is_empty() {
        answers(conn, id, &running, &mut attempts).await?;
    }
    Ok(Some(Box::new(Loaded { quiz, attempts })))
}

fn attempt(row: &Row) -> Result<LoadedAttempt, Fault> {
    let id = column(row, 0)?;
    let end = match word_if_any(row, 8)? {
        None => None,
        Some(reason) => {
            Some(Closed { attempt: id, reason, at: at(row, 9)?, score: column(row, 10)?, answered_count: number(row, 11)? })
        }
    };
    Ok(LoadedAttempt {
        id,
        participant: column(row, 1)?,
        alias: string(row, 2)?.into(),
        event: column(row, 3)?,
        started_at: at(row, 4)?,
        deadline: at_if_any(row, 5)?,
        last_answer: at_if_any(row, 7)?,
        flags: number(row, 6)?,
        end,
        answers: Vec::new(),
    })
}

/// The answers of the attempts that run.
async fn answers(conn: &Conn, quiz: QuizId, running: &HashMap<i64, usize>, attempts: &mut [LoadedAttempt]) -> Result<(), Fault> {
    let rows = conn
        .rows(
            "SELECT attempt, question_id, is_correct, answer.score, latest_at
             FROM attempt JOIN answer ON answer.attempt = attempt.id
             WHERE quiz = $1 AND ended_at IS NULL ORDER BY attempt, question_id",
            &[&quiz.0],
        )
        .await?;
    for row in &rows {
        let place = running.get(&column::<i64>(row, 0)?).copied();
        let Some(attempt) = place.and_then(|place| attempts.get_mut(place)) else { continue };
        attempt.answers.push((column::<QuestionId>(row, 1)?, grade(row, 2)?));
        attempt.last_answer = attempt.last_answer.max(Some(at(row, 4)?));
    }
    Ok(())
}

/// Two columns.
pub(super) fn grade(row: &Row, place: usize) -> Result<Grade, Fault> {
    Ok(Grade { is_correct: column(row, place)?, score: column(row, place + 1)? })
}
