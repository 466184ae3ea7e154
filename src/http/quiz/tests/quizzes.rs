//! Quizzes, participants and events.

use super::{NO_OBJECTS, refuses};
use crate::{
    http::{
        fakes::NOW,
        quiz::{
            fakes::{EVENT, House, PARTICIPANT, QUIZ, TEACHER, at, question, quiz, rules, teacher},
            quizzes::TRIES,
        },
    },
    protocols::quiz::{
        asks::{Ask, Refused, Reply},
        model::{AccessType, Availability, Quiz, QuizId, Rules, Status, SubmissionMode},
        record::{Edit, Kept, Page, Record},
    },
};
use serde_json::{Value, json};
use std::rc::Rc;

fn shown() -> Value {
    json!({"id": 42, "title": "Capitals", "status": "published", "access_type": "shared", "access_code": "CDEFGHJK",
        "availability": "scheduled", "opens_at": "2026-01-02T03:04:05+00:00", "closes_at": null, "time_limit_seconds": 600,
        "max_attempts": 2, "submission_mode": "immediate", "client_only": false, "questions_count": 4,
        "created_at": "2026-01-02T03:04:05+00:00", "updated_at": "2026-01-02T03:04:06+00:00"})
}

#[test]
fn a_title_is_enough_for_a_quiz() {
    let house = House::replying([Reply::Kept(Kept::Quiz(QuizId(7)))]);
    let (status, data) = teacher(&house, "POST /api/v1/quizzes", r#"{"title":"Capitals","more":1}"#).good();
    let Ask::Keep(Record::NewQuiz(new)) = house.asked.take().remove(0) else { panic!("no quiz was kept") };
    let expected = Rules {
        title: "Capitals".into(),
        access_type: AccessType::Private,
        availability: Availability::Always,
        opens_at: None,
        closes_at: None,
        time_limit_seconds: 0,
        max_attempts: 0,
        submission_mode: SubmissionMode::Immediate,
        client_only: false,
    };
    assert_eq!((&*new.owner, &new.rules, new.at, new.access_code.len()), (TEACHER, &expected, NOW, 8));
    let now = "2026-01-02T03:04:05+00:00";
    let expected = json!({"id": 7, "title": "Capitals", "status": "draft", "access_type": "private", "access_code": new.access_code,
        "availability": "always", "opens_at": null, "closes_at": null, "time_limit_seconds": 0, "max_attempts": 0,
        "submission_mode": "immediate", "client_only": false, "questions_count": 0, "created_at": now, "updated_at": now});
    assert_eq!((status, data), (201, expected));
}

#[test]
fn everything_can_be_chosen() {
    let house = House::replying([Reply::Kept(Kept::Quiz(QuizId(7)))]);
    let body = json!({"title": "é".repeat(200), "access_type": "public", "availability": "scheduled",
        "opens_at": "2026-01-02T05:04:05+02:00", "closes_at": "2026-01-02T03:04:06Z", "time_limit_seconds": 604_800,
        "max_attempts": 3, "submission_mode": "on_submit", "client_only": true});
    assert_eq!(teacher(&house, "POST /api/v1/quizzes", &body.to_string()).status, 201);
    let Ask::Keep(Record::NewQuiz(new)) = house.asked.take().remove(0) else { panic!("no quiz was kept") };
    let expected = Rules {
        title: "é".repeat(200),
        access_type: AccessType::Public,
        availability: Availability::Scheduled,
        opens_at: Some(at(0)),
        closes_at: Some(at(1)),
        time_limit_seconds: 604_800,
        max_attempts: 3,
        submission_mode: SubmissionMode::OnSubmit,
        client_only: true,
    };
    assert_eq!(new.rules, expected);
}

fn wrong_rules() -> Vec<String> {
    let with = |name: &str, value: Value| {
        let mut body = json!({"title": "t"});
        body[name] = value;
        body.to_string()
    };
    let mut wrong = vec![
        with("title", json!("")),
        with("title", json!("x".repeat(201))),
        with("title", json!(1)),
        with("access_type", json!("zzz")),
        with("availability", json!("zzz")),
        with("opens_at", json!("zzz")),
        with("opens_at", json!(1_767_323_045)),
        with("closes_at", json!("2026-01-02")),
        with("time_limit_seconds", json!(604_801)),
        with("time_limit_seconds", json!(-1)),
        with("time_limit_seconds", json!(1.5)),
        with("max_attempts", json!(-1)),
        with("max_attempts", json!(4_294_967_296_u64)),
        with("submission_mode", json!("zzz")),
        with("client_only", json!(0)),
        r#"{"title":"a","title":"b"}"#.to_owned(),
        json!({"title": "t", "opens_at": "2026-01-02T03:04:05Z", "closes_at": "2026-01-02T03:04:05Z"}).to_string(),
    ];
    let never_null =
        ["title", "access_type", "availability", "time_limit_seconds", "max_attempts", "submission_mode", "client_only"];
    wrong.extend(never_null.map(|name| with(name, Value::Null)));
    wrong
}

#[test]
fn what_may_not_be_chosen_is_refused() {
    refuses("POST /api/v1/quizzes", NO_OBJECTS);
    refuses("POST /api/v1/quizzes", wrong_rules());
    refuses("PATCH /api/v1/quizzes/42", wrong_rules());
    refuses("PATCH /api/v1/quizzes/42", ["", "[]", "null"]);
    // The old opening counts where only the closing is new.
    refuses("PATCH /api/v1/quizzes/42", [r#"{"closes_at":"2026-01-02T03:04:05Z"}"#]);
}

#[test]
fn quizzes_are_listed_by_status_and_page() {
    let house = Rc::new(House::default());
    assert_eq!(teacher(&house, "GET /api/v1/quizzes", "").good(), (200, json!({"items": [shown()], "total": 1})));
    assert_eq!((house.status.get(), house.page.get()), (None, Some(Page { offset: 0, limit: 50 })));
    for (name, status) in [("draft", Status::Draft), ("published", Status::Published), ("archived", Status::Archived)] {
        teacher(&house, &format!("GET /api/v1/quizzes?status={name}&limit=200&offset=4294967295"), "");
        assert_eq!((house.status.get(), house.page.get()), (Some(status), Some(Page { offset: u32::MAX, limit: 200 })));
    }
    for query in
        ["status=zzz", "limit=0", "limit=201", "limit=zzz", "offset=-1", "offset=4294967296", "limit=1&limit=2", "limit="]
    {
        assert_eq!(teacher(&house, &format!("GET /api/v1/quizzes?{query}"), "").refusal(), (400, "VAL-001".into()), "{query}");
    }
}

#[test]
fn one_quiz_is_shown_with_its_questions() {
    let (status, mut data) = teacher(&Rc::default(), "GET /api/v1/quizzes/42", "").good();
    let questions = data["questions"].take();
    data.as_object_mut().unwrap().remove("questions");
    assert_eq!((status, data), (200, shown()));
    let options = ["a", "b", "c"];
    let expected = json!([
        {"id": question(1), "order": 1, "text": "1?", "points": 10.0, "type": "multiple_choice", "options": options, "correct": 1},
        {"id": question(2), "order": 2, "text": "2?", "points": 10.0, "type": "multiple_select", "options": options, "correct": [0, 2]},
        {"id": question(3), "order": 3, "text": "3?", "points": 10.0, "type": "true_false", "correct": true},
        {"id": question(4), "order": 4, "text": "4?", "points": 10.0, "type": "short_text", "correct": ["Paris"]},
    ]);
    assert_eq!(questions, expected);
}

#[test]
fn a_change_leaves_the_rest_as_it_was() {
    for (body, expected) in [
        ("{}", rules()),
        (r#"{"title":"Rivers"}"#, Rules { title: "Rivers".into(), ..rules() }),
        (r#"{"opens_at":null}"#, Rules { opens_at: None, ..rules() }),
        (r#"{"closes_at":"2026-01-02T03:04:06Z"}"#, Rules { closes_at: Some(at(1)), ..rules() }),
        (r#"{"max_attempts":0,"time_limit_seconds":0}"#, Rules { max_attempts: 0, time_limit_seconds: 0, ..rules() }),
    ] {
        let house = House::replying([Reply::Edited(Box::new(quiz()))]);
        assert_eq!(teacher(&house, "PATCH /api/v1/quizzes/42", body).good(), (200, shown()), "{body}");
        let edit = Edit::Rules(Box::new(expected));
        let seen = Some(quiz().updated_at);
        assert_eq!(house.asked.take(), [Ask::Edit { quiz: QUIZ, owner: TEACHER.into(), edit, seen }], "{body}");
    }
}

#[test]
fn a_change_leaves_the_rest_as_another_has_made_it_meanwhile() {
    let house = House::replying([Reply::Refused(Refused::Changed), Reply::Edited(Box::new(quiz()))]);
    let anothers = Rules { max_attempts: 9, ..rules() };
    house.shelf.borrow_mut().extend([quiz(), Quiz { rules: anothers.clone(), updated_at: at(2), ..quiz() }]);
    assert_eq!(teacher(&house, "PATCH /api/v1/quizzes/42", r#"{"title":"Rivers"}"#).status, 200);
    let asked = [(rules(), at(1)), (anothers, at(2))].map(|(old, seen)| {
        let edit = Edit::Rules(Box::new(Rules { title: "Rivers".into(), ..old }));
        Ask::Edit { quiz: QUIZ, owner: TEACHER.into(), edit, seen: Some(seen) }
    });
    assert_eq!(house.asked.take(), asked);
}

#[test]
fn a_quiz_that_changes_all_the_time_is_given_up() {
    let house = House::replying(vec![Reply::Refused(Refused::Changed); TRIES]);
    assert_eq!(teacher(&house, "PATCH /api/v1/quizzes/42", "{}").refusal(), (503, "SRV-001".into()));
    assert_eq!(house.asked.take().len(), TRIES);
}

#[test]
fn a_quiz_is_published_and_archived() {
    for (verb, status) in [("publish", Status::Published), ("archive", Status::Archived)] {
        let house = House::replying([Reply::Edited(Box::new(quiz()))]);
        assert_eq!(teacher(&house, &format!("POST /api/v1/quizzes/42/{verb}"), "").good(), (200, shown()));
        let edit = Edit::Status(status);
        assert_eq!(house.asked.take(), [Ask::Edit { quiz: QUIZ, owner: TEACHER.into(), edit, seen: None }]);
    }
}

#[test]
fn what_the_home_refuses_is_told() {
    for (refused, refusal) in [
        (Refused::ActiveAttempts, (409, "G-001")),
        (Refused::Archived, (409, "QUIZ-001")),
        (Refused::NoQuestions, (409, "QUIZ-002")),
        (Refused::NotFound, (404, "NF-001")),
        (Refused::Crowded, (503, "SRV-001")),
    ] {
        for request in ["PATCH /api/v1/quizzes/42", "POST /api/v1/quizzes/42/publish", "POST /api/v1/quizzes/42/archive"] {
            let house = House::replying([Reply::Refused(refused)]);
            assert_eq!(teacher(&house, request, "{}").refusal(), (refusal.0, refusal.1.into()), "{request}");
        }
    }
}

#[test]
fn participants_are_made_and_shown() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let (status, data) = teacher(&house, "POST /api/v1/participants", r#"{"alias":"Alice"}"#).good();
    let Ask::Keep(Record::Participant(kept)) = house.asked.take().remove(0) else { panic!("nobody was kept") };
    assert_eq!((&*kept.owner, &*kept.alias, kept.created_at, kept.id.get_version_num()), (TEACHER, "Alice", NOW, 7));
    let alice = |id| json!({"id": id, "alias": "Alice", "created_at": "2026-01-02T03:04:05+00:00"});
    assert_eq!((status, data), (201, alice(kept.id)));
    let (_, all) = teacher(&house, "GET /api/v1/participants", "").good();
    assert_eq!(all, json!({"items": [alice(PARTICIPANT)], "total": 1}));
    let one = teacher(&house, &format!("GET /api/v1/participants/{PARTICIPANT}"), "").good();
    assert_eq!(one, (200, alice(PARTICIPANT)));
    refuses("POST /api/v1/participants", NO_OBJECTS);
    let (long, controls) = ("x".repeat(101), ["\0", "a\nb", "\u{1b}[31m", "\u{7f}", "\u{85}"]);
    let wrong = ["", &long].into_iter().chain(controls).map(|alias| json!({"alias": alias}).to_string());
    refuses("POST /api/v1/participants", wrong);
}

#[test]
fn events_are_made_and_shown() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let (status, data) = teacher(&house, "POST /api/v1/events", r#"{"title":"Finals"}"#).good();
    let Ask::Keep(Record::Event(kept)) = house.asked.take().remove(0) else { panic!("no event was kept") };
    assert_eq!((&*kept.owner, &*kept.title, kept.created_at, kept.id.get_version_num()), (TEACHER, "Finals", NOW, 7));
    let finals = |id| json!({"id": id, "title": "Finals", "created_at": "2026-01-02T03:04:05+00:00"});
    assert_eq!((status, data), (201, finals(kept.id)));
    let (_, all) = teacher(&house, "GET /api/v1/events", "").good();
    assert_eq!(all, json!({"items": [finals(EVENT)], "total": 1}));
    assert_eq!(teacher(&house, &format!("GET /api/v1/events/{EVENT}"), "").good(), (200, finals(EVENT)));
    refuses("POST /api/v1/events", NO_OBJECTS);
    refuses("POST /api/v1/events", [json!({"title": ""}), json!({"title": "x".repeat(201)})].map(|body| body.to_string()));
}

#[test]
fn what_could_not_be_kept_is_not_shown() {
    for request in [("quizzes", r#"{"title":"t"}"#), ("participants", r#"{"alias":"a"}"#), ("events", r#"{"title":"t"}"#)] {
        let house = House::replying([Reply::Refused(Refused::Store(crate::realtime::StoreFault::Busy))]);
        let said = teacher(&house, &format!("POST /api/v1/{}", request.0), request.1);
        assert_eq!(said.refusal(), (503, "SRV-001".into()), "{}", request.0);
    }
}
