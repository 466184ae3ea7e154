//! Quizzes as they are made and changed. Where something is missing nothing was written.

use super::{
    super::{
        columns::{Word, column, text, to_json},
        conn::Conn,
        fault::Fault,
    },
    owned::of,
};
use crate::{
    protocols::quiz::{
        model::{Question, QuestionId, QuizId, Rules, Status},
        record::{Edit, Kept, NewQuiz},
    },
    realtime::UnixMicros,
};
use hashbrown::HashSet;
use uuid::Uuid;

fn micros(at: Option<UnixMicros>) -> Option<i64> {
    at.map(|at| at.0)
}

pub(super) async fn new(conn: &Conn, new: &NewQuiz) -> Result<Kept, Fault> {
    of(&new.owner)?;
    let rules = &new.rules;
    let row = conn
        .one(
            "INSERT INTO quiz (owner, status, access_code, title, access_type, availability, opens_at, closes_at, time_limit_seconds,
                               max_attempts, submission_mode, client_only, questions, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $13) RETURNING id",
            &[
                &text(&new.owner),
                &Status::Draft.word(),
                &text(&new.access_code),
                &text(&rules.title),
                &rules.access_type.word(),
                &rules.availability.word(),
                &micros(rules.opens_at),
                &micros(rules.closes_at),
                &i64::from(rules.time_limit_seconds),
                &i64::from(rules.max_attempts),
                &rules.submission_mode.word(),
                &rules.client_only,
                &new.at.0,
            ],
        )
        .await?;
    Ok(Kept::Quiz(QuizId(column(&row, 0)?)))
}

pub(super) async fn edit(conn: &Conn, quiz: QuizId, edit: &Edit, at: UnixMicros) -> Result<Kept, Fault> {
    let changed = match edit {
        Edit::Rules(new) => rules(conn, quiz, new).await?,
        Edit::Status(status) => conn.execute("UPDATE quiz SET status = $2 WHERE id = $1", &[&quiz.0, &status.word()]).await? > 0,
        Edit::Question(new) => question(conn, quiz, new).await?,
        Edit::NoQuestion(gone) => {
            conn.execute("DELETE FROM question WHERE quiz = $1 AND question_id = $2", &[&quiz.0, gone]).await? > 0
        }
        Edit::Order(questions) => order(conn, quiz, questions).await?,
    };
    if !changed {
        return Ok(Kept::Missing);
    }
    let touch = "UPDATE quiz SET updated_at = $2, questions = (SELECT count(*) FROM question WHERE quiz = $1) WHERE id = $1";
    conn.execute(touch, &[&quiz.0, &at.0]).await?;
    Ok(Kept::Done)
}

async fn rules(conn: &Conn, quiz: QuizId, rules: &Rules) -> Result<bool, Fault> {
    let changed = conn
        .execute(
            "UPDATE quiz SET title = $2, access_type = $3, availability = $4, opens_at = $5, closes_at = $6, time_limit_seconds = $7,
                             max_attempts = $8, submission_mode = $9, client_only = $10 WHERE id = $1",
            &[
                &quiz.0,
                &text(&rules.title),
                &rules.access_type.word(),
                &rules.availability.word(),
                &micros(rules.opens_at),
                &micros(rules.closes_at),
                &i64::from(rules.time_limit_seconds),
                &i64::from(rules.max_attempts),
                &rules.submission_mode.word(),
                &rules.client_only,
            ],
        )
        .await?;
    Ok(changed > 0)
}

async fn question(conn: &Conn, quiz: QuizId, question: &Question) -> Result<bool, Fault> {
    let changed = conn
        .execute(
            "INSERT INTO question (quiz, question_id, place, text, points, kind)
             SELECT id, $2::uuid, (SELECT coalesce(max(place), 0) + 1 FROM question WHERE quiz = $1), $3::text, $4::float8, $5::text
             FROM quiz WHERE id = $1
             ON CONFLICT (quiz, question_id) DO UPDATE SET text = excluded.text, points = excluded.points, kind = excluded.kind",
            &[&quiz.0, &question.id, &text(&question.text), &question.points, &to_json(&question.kind)?],
        )
        .await?;
    Ok(changed > 0)
}

/// False unless every question is named once.
async fn order(conn: &Conn, quiz: QuizId, questions: &[QuestionId]) -> Result<bool, Fault> {
    let known = conn.rows("SELECT question_id FROM question WHERE quiz = $1", &[&quiz.0]).await?;
    let known = known.iter().map(|row| column(row, 0)).collect::<Result<HashSet<Uuid>, _>>()?;
    let named: HashSet<Uuid> = questions.iter().copied().collect();
    if named != known || questions.len() != known.len() {
        return Ok(false);
    }
    conn.execute(
        "UPDATE question SET place = wanted.place FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (question_id, place)
         WHERE quiz = $1 AND question.question_id = wanted.question_id",
        &[&quiz.0, &questions],
    )
    .await?;
    Ok(conn.row("SELECT 1 FROM quiz WHERE id = $1", &[&quiz.0]).await?.is_some())
}
