//! What homes read as they begin: a quiz with all its attempts, and which quizzes have attempts that run.

use super::{
    answers::{self, Graded},
    columns::{Id, json},
};
use crate::protocols::quiz::{
    model::{OwnerId, Question, Quiz, QuizId, Rules},
    record::{Closed, Loaded, LoadedAttempt},
};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

/// What a [`Quiz`] is made of, without its questions.
pub(super) const QUIZ: &str =
    "quiz.id, owner_id, status, access_code, created_at, updated_at, title, access_type, availability, opens_at,
    closes_at, time_limit_seconds, max_attempts, submission_mode, client_only, questions";

pub(super) fn owner_of(conn: &Connection, quiz: QuizId) -> rusqlite::Result<Option<OwnerId>> {
    conn.prepare_cached("SELECT owner_id FROM quiz JOIN owner ON owner.id = quiz.owner WHERE quiz.id = ?1")?
        .query_row(params![quiz], |row| row.get(0))
        .optional()
}

pub(super) fn running(conn: &Connection) -> rusqlite::Result<Vec<QuizId>> {
    let mut quizzes = conn.prepare_cached("SELECT DISTINCT quiz FROM attempt WHERE ended_at IS NULL ORDER BY quiz")?;
    quizzes.query_map([], |row| row.get(0))?.collect()
}

/// A quiz with its questions.
pub(super) fn quiz(conn: &Connection, quiz: QuizId) -> rusqlite::Result<Option<Quiz>> {
    let mut found =
        conn.prepare_cached(&format!("SELECT {QUIZ} FROM quiz JOIN owner ON owner.id = quiz.owner WHERE quiz.id = ?1"))?;
    let Some(mut quiz) = found.query_row(params![quiz], made).optional()? else { return Ok(None) };
    quiz.questions = questions(conn, quiz.id)?;
    Ok(Some(quiz))
}

/// A row of [`QUIZ`].
pub(super) fn made(row: &Row<'_>) -> rusqlite::Result<Quiz> {
    Ok(Quiz {
        id: row.get(0)?,
        owner: row.get(1)?,
        status: row.get(2)?,
        access_code: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
        rules: Rules {
            title: row.get(6)?,
            access_type: row.get(7)?,
            availability: row.get(8)?,
            opens_at: row.get(9)?,
            closes_at: row.get(10)?,
            time_limit_seconds: row.get(11)?,
            max_attempts: row.get(12)?,
            submission_mode: row.get(13)?,
            client_only: row.get(14)?,
        },
        questions: Vec::new(),
    })
}

fn questions(conn: &Connection, quiz: QuizId) -> rusqlite::Result<Vec<Question>> {
    let mut questions =
        conn.prepare_cached("SELECT question_id, text, points, kind FROM question WHERE quiz = ?1 ORDER BY place")?;
    let question =
        |row: &Row<'_>| Ok(Question { id: row.get::<_, Id>(0)?.0, text: row.get(1)?, points: row.get(2)?, kind: json(row, 3)? });
    questions.query_map(params![quiz], question)?.collect()
}

pub(super) fn loaded(conn: &Connection, id: QuizId) -> rusqlite::Result<Option<Box<Loaded>>> {
    let Some(quiz) = quiz(conn, id)? else { return Ok(None) };
    let mut attempts = Vec::new();
    let mut open = Open::default();
    let mut found = conn.prepare_cached(
        "SELECT attempt.id, attempt_id, participant_id, attempt.alias, event_id, started_at, deadline, flags, last_answer, first_shelf,
                reason, ended_at, score, answered_count
         FROM attempt JOIN participant ON participant.id = attempt.participant LEFT JOIN event ON event.id = attempt.event
         WHERE quiz = ?1 ORDER BY attempt.id",
    )?;
    let mut rows = found.query(params![id])?;
    while let Some(row) = rows.next()? {
        let attempt = attempt(row)?;
        if attempt.end.is_none_or(|end| end.answered_count > 0 && attempt.last_answer.is_none()) {
            open.add(row.get(0)?, attempts.len(), row.get(9)?);
        }
        attempts.push(attempt);
    }
    open.read(conn, id, &mut attempts)?;
    Ok(Some(Box::new(Loaded { quiz, attempts })))
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<LoadedAttempt> {
    let id = row.get::<_, Id>(1)?.0;
    let reason: Option<_> = row.get(10)?;
    let end = match reason {
        None => None,
        Some(reason) => Some(Closed { attempt: id, reason, at: row.get(11)?, score: row.get(12)?, answered_count: row.get(13)? }),
    };
    Ok(LoadedAttempt {
        id,
        participant: row.get::<_, Id>(2)?.0,
        alias: row.get::<_, Arc<str>>(3)?,
        event: row.get::<_, Option<Id>>(4)?.map(|event| event.0),
        started_at: row.get(5)?,
        deadline: row.get(6)?,
        last_answer: row.get(8)?,
        flags: row.get(7)?,
        end,
        answers: Vec::new(),
    })
}

/// Attempts of which the answers must be read, all in one scan: those that run, and those whose last answer only the answers tell (they
/// ended before this process knew of one).
#[derive(Default)]
struct Open {
    places: HashMap<i64, usize>,
    first_shelf: Option<i64>,
}

impl Open {
    fn add(&mut self, number: i64, place: usize, first_shelf: i64) {
        self.places.insert(number, place);
        self.first_shelf = Some(self.first_shelf.map_or(first_shelf, |first| first.min(first_shelf)));
    }

    fn read(&self, conn: &Connection, quiz: QuizId, attempts: &mut [LoadedAttempt]) -> rusqlite::Result<()> {
        let Some(first_shelf) = self.first_shelf else { return Ok(()) };
        answers::of_quiz(conn, quiz, first_shelf, |Graded { attempt, question, grade, at }| {
            let Some(attempt) = self.places.get(&attempt).and_then(|&place| attempts.get_mut(place)) else { return };
            attempt.last_answer = attempt.last_answer.max(Some(at));
            if attempt.end.is_none() {
                attempt.answers.push((question, grade));
            }
        })?;
        for &place in self.places.values() {
            let answers = &mut attempts[place].answers;
            // The last one to each question stays.
            answers.reverse();
            answers.sort_by_key(|(question, _)| *question);
            answers.dedup_by_key(|(question, _)| *question);
        }
        Ok(())
    }
}
