//! What owners see of attempts, and how they end them.

use crate::{
    http::quiz::fakes::{ANSWER, ATTEMPT, EVENT, House, PARTICIPANT, QUIZ, TEACHER, question, teacher},
    protocols::quiz::{
        asks::{Ask, Refused, Reply},
        model::QuizId,
        record::{AttemptFilter, Page},
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::rc::Rc;

fn row() -> Value {
    json!({"attempt_id": ATTEMPT, "quiz_id": 42, "participant_id": PARTICIPANT, "alias": "Alice", "event_id": EVENT,
        "started_at": "2026-01-02T03:04:05+00:00", "deadline": null, "status": "ended", "reason": "time_up",
        "submitted_at": "2026-01-02T03:05:05+00:00", "score": 10.0, "answered_count": 1, "flags_count": 2})
}

#[test]
fn attempts_are_listed_by_every_filter() {
    let none = AttemptFilter::default;
    for (query, expected) in [
        (String::new(), none()),
        ("quiz_id=42".into(), AttemptFilter { quiz: Some(QUIZ), ..none() }),
        (format!("event_id={EVENT}"), AttemptFilter { event: Some(EVENT), ..none() }),
        (format!("participant_id={PARTICIPANT}"), AttemptFilter { participant: Some(PARTICIPANT), ..none() }),
        ("status=running".into(), AttemptFilter { ended: Some(false), ..none() }),
        ("status=ended&isFlagged=true".into(), AttemptFilter { ended: Some(true), flagged: Some(true), ..none() }),
        ("isFlagged=false&unknown=1".into(), AttemptFilter { flagged: Some(false), ..none() }),
    ] {
        let house = Rc::new(House::default());
        let said = teacher(&house, &format!("GET /api/v1/info/attempts?{query}&limit=5"), "");
        assert_eq!(said.good(), (200, json!({"items": [row()], "total": 1})));
        assert_eq!((house.filter.take(), house.page.get()), (Some(expected), Some(Page { offset: 0, limit: 5 })), "{query}");
    }
}

#[test]
fn filters_that_are_none_are_refused() {
    for query in
        ["quiz_id=zzz", "quiz_id=0", "event_id=1", "participant_id=", "status=over", "isFlagged=1", "status=running&status=ended"]
    {
        let said = teacher(&Rc::default(), &format!("GET /api/v1/info/attempts?{query}"), "");
        assert_eq!(said.refusal(), (400, "VAL-001".into()), "{query}");
    }
}

#[test]
fn one_attempt_is_shown_with_its_answers() {
    let answer = json!({"answer_id": ANSWER, "question_id": question(2), "answer": [2, 0], "is_correct": true, "score": 10.0,
        "answered_at": "2026-01-02T03:04:12+00:00"});
    let mut expected = row();
    expected["answers"] = json!([answer]);
    assert_eq!(teacher(&Rc::default(), &format!("GET /api/v1/info/attempts/{ATTEMPT}"), "").good(), (200, expected));
}

#[test]
fn results_have_their_rank_on_every_page() {
    for (query, rank) in [("", 1), ("?offset=50&limit=10", 51)] {
        let mut expected = row();
        expected["rank"] = json!(rank);
        let said = teacher(&Rc::default(), &format!("GET /api/v1/quizzes/42/results{query}"), "");
        assert_eq!(said.good(), (200, json!({"items": [expected], "total": 1})));
    }
}

#[test]
fn the_attempts_at_a_quiz_are_ended() {
    let house = House::replying([Reply::Forced(7), Reply::Refused(Refused::NotFound)]);
    assert_eq!(teacher(&house, "POST /api/v1/quizzes/42/force-submit", "").good(), (200, json!({"closed": 7})));
    assert_eq!(house.asked.take(), [Ask::Force { quiz: QUIZ, owner: TEACHER.into(), event: None }]);
    assert_eq!(teacher(&house, "POST /api/v1/quizzes/43/force-submit", "").refusal(), (404, "NF-001".into()));
}

#[test]
fn the_attempts_of_an_event_are_ended_at_every_quiz() {
    let request = format!("POST /api/v1/events/{EVENT}/force-submit");
    let house = House::replying([Reply::Forced(7), Reply::Forced(0), Reply::Forced(3)]);
    assert_eq!(teacher(&house, &request, "").good(), (200, json!({"closed": 10})));
    let asked = [42, 43, 44].map(|quiz| Ask::Force { quiz: QuizId(quiz), owner: TEACHER.into(), event: Some(EVENT) });
    assert_eq!(house.asked.take(), asked);
}

#[test]
fn a_home_that_cannot_does_not_save_the_others() {
    let request = format!("POST /api/v1/events/{EVENT}/force-submit");
    let failed = Reply::Refused(Refused::Store(StoreFault::Failed));
    let house = House::replying([Reply::Forced(7), failed, Reply::Forced(3)]);
    assert_eq!(teacher(&house, &request, "").refusal(), (500, "SRV-002".into()));
    assert_eq!(house.asked.take().len(), 3);
}
