//! What must be said, worked out from the records alone and without any of the homes' own reckoning.

use super::{
    shelf::Shelf,
    world::{QUIZ, Said},
};
use crate::protocols::quiz::{
    AttemptId, Channel, QuizId,
    asks::End,
    model::{Quiz, iso},
    record::{LoadedAttempt, Record},
};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// The attempt, with the quiz that it is at.
pub(super) fn attempt(shelf: &Shelf, id: AttemptId) -> Option<(&Quiz, &LoadedAttempt)> {
    let mut quizzes = shelf.quizzes.values();
    quizzes.find_map(|loaded| Some((&loaded.quiz, loaded.attempts.iter().find(|attempt| attempt.id == id)?)))
}

pub(super) fn score(quiz: &Quiz, attempt: &LoadedAttempt) -> f64 {
    let of = |question| attempt.answers.iter().find(|(answered, _)| *answered == question).map(|(_, grade)| grade.score);
    let mut sum = 0.0;
    for points in quiz.questions.iter().filter_map(|question| of(question.id)) {
        sum += points;
    }
    attempt.end.map_or(sum, |end| end.score)
}

fn count(attempt: &LoadedAttempt) -> u32 {
    attempt.end.map_or(attempt.answers.len() as u32, |end| end.answered_count)
}

pub(super) fn end(attempt: &LoadedAttempt) -> Option<End> {
    attempt.end.map(|end| End { reason: end.reason, at: end.at, score: end.score, answered_count: end.answered_count })
}

fn who(quiz: QuizId, attempt: &LoadedAttempt, extra: Value) -> Value {
    let mut who = json!({
        "attempt_id": attempt.id, "participant_id": attempt.participant, "alias": &*attempt.alias, "quiz_id": quiz,
        "event_id": attempt.event,
    });
    if let (Some(fields), Value::Object(extra)) = (who.as_object_mut(), extra) {
        fields.extend(extra);
    }
    who
}

/// As it is after it was written and read: serde_json reads some fractions with a last bit that was not written.
fn read(value: Value) -> Value {
    serde_json::from_str(&value.to_string()).unwrap()
}

/// The event of a record, in the world where it has just been written.
pub(super) fn event(shelf: &Shelf, record: &Record) -> Option<Said> {
    let id = super::shelf::attempt_of(record)?;
    let (quiz, attempt) = attempt(shelf, id)?;
    let (slug, extra) = match record {
        Record::Started(started) => ("attempt_quiz", json!({"started_at": iso(started.started_at)})),
        Record::Answered(answered) => {
            let place = quiz.questions.iter().position(|question| question.id == answered.question)?;
            let extra = json!({
                "question_id": answered.question, "answer_id": answered.id, "is_correct": answered.grade.is_correct,
                "score": answered.grade.score, "answered_at": iso(answered.at), "answered_count": count(attempt),
                "question_order": place + 1,
            });
            ("attempt_update", extra)
        }
        Record::Closed(closed) => {
            let time_taken_ms = (closed.at.0 - attempt.started_at.0) / 1_000;
            ("attempt_finished", json!({"answered_count": closed.answered_count, "time_taken_ms": time_taken_ms}))
        }
        Record::Flagged { at, flags, .. } => {
            let mut labels: Vec<&str> = Vec::new();
            flags.iter().for_each(|flag| {
                if !labels.contains(&&*flag.label) {
                    labels.push(&flag.label)
                }
            });
            ("attempt_flagged", json!({"labels": labels, "flagged_at": iso(*at)}))
        }
        Record::NewQuiz(_) | Record::Edited { .. } | Record::Participant(_) | Record::Event(_) => return None,
        Record::Owner(_) | Record::Key(_) | Record::Revoked { .. } => return None,
    };
    let data = who(quiz.id, attempt, extra);
    let event = json!({"event": "update", "t": slug, "channel": "quiz", "data": data});
    Some(Said::Published(quiz.id, Channel::Quiz, read(event)))
}

/// What the participant of an attempt that is over is told.
pub(super) fn farewell(quiz: QuizId, attempt: &LoadedAttempt) -> Option<Value> {
    let end = attempt.end?;
    let data = json!({
        "attempt_id": attempt.id, "quiz_id": quiz, "event_id": attempt.event, "reason": end.reason, "score": end.score,
        "answered_count": end.answered_count, "submitted_at": iso(end.at),
    });
    Some(read(json!({"event": "update", "t": "attempt_closed", "channel": "notification", "data": data})))
}

fn status(attempt: &LoadedAttempt) -> &'static str {
    if attempt.end.is_some() { "ended" } else { "running" }
}

/// The whole leaderboard, sorted from scratch.
pub(super) fn leaderboard(shelf: &Shelf, quiz: QuizId) -> Value {
    let loaded = &shelf.quizzes[&quiz];
    let mut attempts: Vec<&LoadedAttempt> = loaded.attempts.iter().collect();
    let took = |attempt: &LoadedAttempt| attempt.last_answer.map_or(i64::MAX, |at| (at.0 - attempt.started_at.0) / 1_000);
    attempts.sort_by(|one, other| {
        let points = score(&loaded.quiz, other).partial_cmp(&score(&loaded.quiz, one)).unwrap_or(Ordering::Equal);
        points.then(took(one).cmp(&took(other))).then(one.id.cmp(&other.id))
    });
    let row = |(attempt, rank): (&LoadedAttempt, u32)| {
        let score = score(&loaded.quiz, attempt);
        let extra = json!({"rank": rank, "score": score, "answered_count": count(attempt), "status": status(attempt)});
        who(quiz, attempt, extra)
    };
    read(attempts.into_iter().zip(1..).map(row).collect())
}

/// The rows of the list of attempts, in the order of their ids.
pub(super) fn attempts(shelf: &Shelf, quiz: QuizId) -> Vec<Value> {
    let loaded = &shelf.quizzes[&quiz];
    let row = |attempt: &LoadedAttempt| {
        let extra = json!({
            "status": status(attempt), "started_at": iso(attempt.started_at), "answered_count": count(attempt),
            "score": score(&loaded.quiz, attempt), "flags_count": attempt.flags,
        });
        who(quiz, attempt, extra)
    };
    let mut attempts: Vec<&LoadedAttempt> = loaded.attempts.iter().collect();
    attempts.sort_by_key(|attempt| attempt.id);
    attempts.into_iter().map(row).map(read).collect()
}

/// The quizzes of a random run.
pub(super) fn quizzes() -> [QuizId; 2] {
    [QUIZ, QuizId(43)]
}
