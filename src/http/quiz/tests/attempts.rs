//! What participants do.

use super::{NO_OBJECTS, refuses};
use crate::{
    http::quiz::fakes::{ANSWER, ATTEMPT, EVENT, House, PARTICIPANT, QUIZ, SESSION, TEACHER, ask, at, end, question, view},
    protocols::quiz::{
        asks::{Ask, End, Entrant, Pass, Refused, Reply},
        model::{AccessType, Given, Grade},
    },
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, rc::Rc};
use uuid::Uuid;

const BEGIN: &str = "POST /api/v1/quizzes/42/attempts";

fn shown(result: Value) -> Value {
    let options = ["a", "b", "c"];
    json!({"attempt_id": ATTEMPT, "quiz_id": 42, "participant_id": PARTICIPANT, "alias": "Alice", "event_id": null, "title": "Capitals",
        "started_at": "2026-01-02T03:04:05+00:00", "deadline": "2026-01-02T03:14:05+00:00", "submission_mode": "immediate",
        "questions": [
            {"id": question(1), "order": 1, "text": "1?", "points": 10.0, "type": "multiple_choice", "options": options},
            {"id": question(2), "order": 2, "text": "2?", "points": 10.0, "type": "multiple_select", "options": options},
            {"id": question(3), "order": 3, "text": "3?", "points": 10.0, "type": "true_false"},
            {"id": question(4), "order": 4, "text": "4?", "points": 10.0, "type": "short_text"},
        ],
        "answered": [question(3)], "result": result})
}

fn begin(headers: &str, body: &str) -> (Ask, (u16, Value)) {
    let house = House::replying([Reply::Started(view(None))]);
    let told = ask(&house, &format!("{BEGIN}{headers}\n\n{body}")).good();
    (house.asked.take().remove(0), told)
}

#[test]
fn anyone_may_ask_to_begin_under_a_name() {
    let (asked, (status, mut data)) = begin("", r#"{"alias":"Alice"}"#);
    let Ask::Start { quiz, attempt, entrant, event: None, pass } = asked else { panic!("no start") };
    assert_eq!((quiz, attempt.get_version_num(), pass), (QUIZ, 7, Pass::default()));
    assert_eq!((&*entrant.alias, entrant.known_to, entrant.participant.get_version_num()), ("Alice", None, 7));
    assert_ne!(entrant.participant, attempt);
    let token = data.as_object_mut().unwrap().remove("session_token").unwrap();
    assert_eq!((status, token, data), (201, json!(format!("42.{attempt}")), shown(Value::Null)));
}

#[test]
fn the_same_request_again_is_about_the_same_attempt() {
    const REQUEST: Uuid = Uuid::from_u128(0x1c5c_3a50_2f35_4c38_8f3f_0123_4567_89ab);
    let ids = |headers: &str, body: Value| {
        let Ask::Start { attempt, entrant, .. } = begin(headers, &body.to_string()).0 else { panic!("no start") };
        (attempt, entrant.participant)
    };
    let body = json!({"alias": "Alice", "request_id": REQUEST});
    let (attempt, participant) = ids("", body.clone());
    assert_eq!([attempt, participant].map(|id| id.get_version_num()), [8, 8]);
    assert_ne!(attempt, participant);
    let with_code = json!({"alias": "Alice", "request_id": REQUEST, "access_code": "CDEF"});
    assert_eq!([ids("", body.clone()), ids("", with_code)], [(attempt, participant); 2], "a code is how, and not what");
    let teacher = "\nauthorization: Bearer good";
    assert_eq!(ids(teacher, body.clone()), ids("\nx-api-key: owner-key", body.clone()), "either is the teacher");
    let others = [
        ids(teacher, body),
        ids(teacher, json!({"participant_id": PARTICIPANT, "request_id": REQUEST})),
        ids("", json!({"alias": "Alic", "request_id": REQUEST})),
        ids("", json!({"alias": "Alice", "event_id": EVENT, "request_id": REQUEST})),
        ids("", json!({"alias": "Alice", "request_id": Uuid::from_u128(REQUEST.as_u128() + 1)})),
        ids("", json!({"alias": "Alice", "request_id": null})),
    ];
    let all: BTreeSet<Uuid> = others.iter().map(|(attempt, _)| *attempt).chain([attempt]).collect();
    assert_eq!((all.len(), others[1].1), (7, PARTICIPANT));
    refuses(
        BEGIN,
        [json!("zzz"), json!(Uuid::nil()), json!(ATTEMPT)].map(|id| json!({"alias": "a", "request_id": id}).to_string()),
    );
}

#[test]
fn an_attempt_that_is_over_is_shown_whole_to_who_begins_it_again() {
    let house = House::replying([Reply::Started(view(Some(end())))]);
    let (status, data) = ask(&house, &format!("{BEGIN}\n\n{}", json!({"alias": "Alice"}))).good();
    assert_eq!((status, &data["answered"]), (201, &json!([question(2)])));
    assert_eq!(data["result"]["reason"], "submitted");
}

#[test]
fn a_credential_of_either_role_is_a_pass() {
    for credential in
        ["authorization: Bearer good", "x-api-key: owner-key", "x-api-key: user-key", "authorization: bearer user-key"]
    {
        let body = json!({"participant_id": PARTICIPANT, "event_id": EVENT, "access_code": "CDEF", "alias": null}).to_string();
        let (asked, (status, _)) = begin(&format!("\n{credential}"), &body);
        let Ask::Start { entrant, event, pass, .. } = asked else { panic!("no start") };
        assert_eq!((status, event), (201, Some(EVENT)), "{credential}");
        assert_eq!(pass, Pass { owner: Some(TEACHER.into()), code: Some("CDEF".into()) });
        assert_eq!(entrant, Entrant { participant: PARTICIPANT, known_to: Some(TEACHER.into()), alias: "Alice".into() });
    }
}

#[test]
fn whoever_begins_the_event_is_one_of_the_quizs_owner() {
    let body = json!({"alias": "a", "event_id": EVENT}).to_string();
    for headers in ["", "\nauthorization: Bearer other"] {
        let Ask::Start { event, .. } = begin(headers, &body).0 else { panic!("no start") };
        assert_eq!(event, Some(EVENT));
    }
}

#[test]
fn what_is_not_the_owners_is_not_there() {
    for (path, headers, body, refusal) in [
        (BEGIN, "", json!({"alias": "a", "event_id": PARTICIPANT}), (404, "NF-001")),
        ("POST /api/v1/quizzes/43/attempts", "", json!({"alias": "a", "event_id": EVENT}), (404, "NF-001")),
        ("POST /api/v1/quizzes/zzz/attempts", "", json!({"alias": "a"}), (404, "NF-001")),
        (BEGIN, "\nauthorization: Bearer good", json!({"participant_id": EVENT}), (404, "NF-001")),
        (BEGIN, "\nauthorization: Bearer other", json!({"participant_id": PARTICIPANT}), (404, "NF-001")),
        (BEGIN, "", json!({"participant_id": PARTICIPANT}), (401, "AUTH-001")),
        // A credential that is no good is not left aside.
        (BEGIN, "\nauthorization: Bearer bad", json!({"alias": "a"}), (401, "AUTH-001")),
        (BEGIN, "\nx-api-key: good", json!({"alias": "a"}), (401, "AUTH-001")),
    ] {
        let said = ask(&House::replying([]), &format!("{path}{headers}\n\n{body}"));
        assert_eq!(said.refusal(), (refusal.0, refusal.1.into()), "{path} {headers} {body}");
    }
}

#[test]
fn one_begins_as_one_participant() {
    refuses(BEGIN, NO_OBJECTS);
    refuses(
        BEGIN,
        [
            json!({"alias": "a", "participant_id": PARTICIPANT}),
            json!({"alias": ""}),
            json!({"alias": "x".repeat(101)}),
            json!({"alias": "a\u{8}b"}),
            json!({"participant_id": "zzz"}),
            json!({"alias": "a", "event_id": "zzz"}),
            json!({"alias": "a", "access_code": 1}),
        ]
        .map(|body| body.to_string()),
    );
}

#[test]
fn a_code_that_none_can_be_is_left_behind() {
    for code in ["", &"x".repeat(101)] {
        let Ask::Start { pass, .. } = begin("", &json!({"alias": "a", "access_code": code}).to_string()).0 else {
            panic!("no start")
        };
        assert_eq!(pass.code, None);
    }
}

#[test]
fn homes_say_why_one_may_not_begin() {
    for (refused, refusal) in [
        (Refused::NotFound, (404, "NF-001")),
        (Refused::NotPublished, (409, "QUIZ-003")),
        (Refused::NotOpen, (409, "QUIZ-003")),
        (Refused::Archived, (409, "QUIZ-001")),
        (Refused::NoPass(AccessType::Shared), (403, "AUTH-002")),
        (Refused::NoPass(AccessType::Private), (403, "AUTH-002")),
        (Refused::NoAttemptsLeft, (409, "ATT-002")),
    ] {
        let said = ask(&House::replying([Reply::Refused(refused)]), &format!("{BEGIN}\n\n{{\"alias\":\"a\"}}"));
        assert_eq!(said.refusal(), (refusal.0, refusal.1.into()));
    }
}

#[test]
fn a_participant_sees_the_attempt_and_nothing_of_what_is_right() {
    let house = House::replying([Reply::Looked(view(None)), Reply::Looked(view(Some(end())))]);
    let request = format!("GET /api/v1/attempts/{SESSION}");
    let said = ask(&house, &request);
    assert!(!said.body.contains("correct") && !said.body.contains("Paris") && !said.body.contains("CDEFGHJK"));
    assert_eq!(said.good(), (200, shown(Value::Null)));
    assert_eq!(house.asked.take(), [Ask::Look { quiz: QUIZ, attempt: ATTEMPT }]);
    let result = json!({"reason": "submitted", "score": 10.0, "answered_count": 1, "submitted_at": "2026-01-02T03:05:05+00:00"});
    let mut after = shown(result);
    after["answered"] = json!([question(2)]);
    assert_eq!(ask(&house, &request).good(), (200, after), "what was answered is the store's to say once it is over");
}

fn answer(body: &str, reply: Reply) -> (Vec<Ask>, crate::http::fakes::Said) {
    let house = House::replying([reply]);
    let said = ask(&house, &format!("POST /api/v1/attempts/{SESSION}/answers\n\n{body}"));
    (house.asked.take(), said)
}

#[test]
fn answers_of_every_type_go_to_the_home() {
    for (text, expected) in [
        ("0", Given::Option(0)),
        ("[0,2]", Given::Options(vec![0, 2])),
        ("true", Given::Truth(true)),
        ("\" par\\u0069s\"", Given::Text(" paris".into())),
    ] {
        let grade = Some(Grade { is_correct: Some(true), score: 10.0 });
        let body = format!(r#"{{"question_id":"{}","answer":{text}}}"#, question(1));
        let (asked, said) = answer(&body, Reply::Answered { id: ANSWER, grade, answered_count: 3, at: at(0) });
        let [Ask::Answer { quiz: QUIZ, attempt: ATTEMPT, question: to, id, given }] = &asked[..] else { panic!("no answer") };
        assert_eq!((*to, id.get_version_num(), given), (question(1), 4, &expected));
        let told = json!({"answer_id": ANSWER, "answered_count": 3, "answered_at": "2026-01-02T03:04:05+00:00",
            "is_correct": true, "score": 10.0});
        assert_eq!(said.good(), (201, told));
    }
}

#[test]
fn grades_are_told_only_when_they_are_known_and_not_held_back() {
    let body = format!(r#"{{"question_id":"{}","answer":0}}"#, question(1));
    for (grade, is_correct, score) in [
        (None, Value::Null, Value::Null),
        (Some(Grade { is_correct: None, score: 0.0 }), Value::Null, json!(0.0)),
        (Some(Grade { is_correct: Some(false), score: 0.0 }), json!(false), json!(0.0)),
    ] {
        let (_, data) = answer(&body, Reply::Answered { id: ANSWER, grade, answered_count: 1, at: at(0) }).1.good();
        assert_eq!((&data["is_correct"], &data["score"]), (&is_correct, &score));
    }
}

#[test]
fn answers_that_are_none_go_nowhere() {
    let request = format!("POST /api/v1/attempts/{SESSION}/answers");
    refuses(&request, NO_OBJECTS);
    let with = |question: &str, answer: Value| json!({"question_id": question, "answer": answer}).to_string();
    let id = question(1).to_string();
    refuses(
        &request,
        [
            with("zzz", json!(0)),
            with(&id, Value::Null),
            with(&id, json!(-1)),
            with(&id, json!(65_536)),
            with(&id, json!({"zzz": 1})),
            with(&id, json!(["zzz"])),
            with(&id, json!("é".repeat(4_001))),
            json!({"question_id": id}).to_string(),
            json!([id, 0]).to_string(),
        ],
    );
}

#[test]
fn homes_say_why_an_answer_does_not_count() {
    let body = format!(r#"{{"question_id":"{}","answer":0}}"#, question(1));
    for (refused, refusal) in [
        (Refused::Over, (409, "ATT-001")),
        (Refused::WrongAnswer, (400, "VAL-001")),
        (Refused::NotFound, (404, "NF-001")),
        (Refused::Crowded, (503, "SRV-001")),
    ] {
        assert_eq!(answer(&body, Reply::Refused(refused)).1.refusal(), (refusal.0, refusal.1.into()));
    }
}

#[test]
fn an_attempt_is_submitted_once() {
    let house = House::replying([Reply::Submitted(End { score: 75.0, ..end() }), Reply::Refused(Refused::Over)]);
    let request = format!("POST /api/v1/attempts/{SESSION}/submit");
    let told = json!({"reason": "submitted", "score": 75.0, "answered_count": 1, "submitted_at": "2026-01-02T03:05:05+00:00"});
    assert_eq!(ask(&house, &request).good(), (200, told));
    assert_eq!(house.asked.take(), [Ask::Submit { quiz: QUIZ, attempt: ATTEMPT }]);
    assert_eq!(ask(&house, &request).refusal(), (409, "ATT-001".into()));
}

#[test]
fn a_session_token_that_is_none_is_told_before_all_else() {
    let (id, other) = (ATTEMPT.to_string(), SESSION.replace('.', "-"));
    for token in ["zzz", &id, &other, "42."] {
        for request in [
            format!("GET /api/v1/attempts/{token}"),
            format!("POST /api/v1/attempts/{token}/answers"),
            format!("POST /api/v1/attempts/{token}/submit"),
            format!("POST /api/v1/attempts/{token}/flags"),
        ] {
            let said = ask(&Rc::default(), &request);
            assert_eq!(said.refusal(), (401, "AUTH-001".into()), "{request}");
            assert!(!said.body.contains(token));
        }
    }
}
