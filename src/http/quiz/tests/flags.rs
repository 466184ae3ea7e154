//! Flags, in and out.

use super::{NO_OBJECTS, refuses};
use crate::{
    http::quiz::fakes::{ATTEMPT, House, QUIZ, SESSION, ask, at, question, teacher},
    protocols::quiz::{
        asks::{Ask, Refused, Reply},
        record::Flag,
    },
};
use serde_json::{Value, json};
use std::rc::Rc;

fn raise() -> String {
    format!("POST /api/v1/attempts/{SESSION}/flags")
}

#[test]
fn a_batch_goes_to_the_home_in_upper_case() {
    let house = House::replying([Reply::Flagged { labels: vec!["TAB_SWITCH".into(), "CLIPBOARD".into()], at: at(0) }]);
    let body = format!(
        r#"{{"flags":[{{"label":"tab_switch"}},{{"label":"TAB_SWITCH","detail":null,"occurred_at":null}},
        {{"label":"clip.b-o:1","detail":{{ "a" : 1.0 }},"question_id":"{}","occurred_at":"2026-01-02T03:04:06Z"}}]}}"#,
        question(1)
    );
    let told = json!({"labels": ["TAB_SWITCH", "CLIPBOARD"], "flagged_at": "2026-01-02T03:04:05+00:00"});
    assert_eq!(ask(&house, &format!("{}\n\n{body}", raise())).good(), (201, told));
    let plain = Flag { label: "TAB_SWITCH".into(), detail: None, question: None, occurred_at: at(0) };
    let detail = Some(r#"{ "a" : 1.0 }"#.into());
    let clip = Flag { label: "CLIP.B-O:1".into(), detail, question: Some(question(1)), occurred_at: at(1) };
    assert_eq!(house.asked.take(), [Ask::Flag { quiz: QUIZ, attempt: ATTEMPT, flags: vec![plain.clone(), plain, clip] }]);
}

#[test]
fn the_largest_batch_is_taken() {
    let house = House::replying([Reply::Flagged { labels: vec![], at: at(0) }]);
    let flag = json!({"label": "x".repeat(50), "detail": "y".repeat(1_022)});
    let body = json!({"flags": vec![flag; 20]});
    assert_eq!(ask(&house, &format!("{}\n\n{body}", raise())).status, 201);
}

#[test]
fn flags_that_are_none_are_refused() {
    refuses(&raise(), NO_OBJECTS);
    let one = |flag: Value| json!({"flags": [flag]}).to_string();
    refuses(
        &raise(),
        [
            json!({"flags": []}).to_string(),
            json!({"flags": vec![json!({"label": "a"}); 21]}).to_string(),
            json!({"flags": {"label": "zzz"}}).to_string(),
            json!({"flags": [["zzz", null, null, null]]}).to_string(),
            one(json!({})),
            one(json!({"label": ""})),
            one(json!({"label": "x".repeat(51)})),
            one(json!({"label": "zzz zzz"})),
            one(json!({"label": "é"})),
            one(json!({"label": null})),
            one(json!({"label": "a", "detail": "y".repeat(1_023)})),
            one(json!({"label": "a", "question_id": "zzz"})),
            one(json!({"label": "a", "occurred_at": "zzz"})),
            one(json!({"label": "a", "occurred_at": 1_767_323_045})),
        ],
    );
}

#[test]
fn labels_of_the_server_are_its_own() {
    let reserved = ["submitted", "Time_Up", "FORCED_BY_OWNER", "SYSTEM", "system_check", "Systematic"];
    refuses(&raise(), reserved.map(|label| json!({"flags": [{"label": label}]}).to_string()));
    let house = House::replying([Reply::Flagged { labels: vec![], at: at(0) }]);
    let body = json!({"flags": [{"label": "MY_SYSTEM"}, {"label": "TIME_UPS"}]});
    assert_eq!(ask(&house, &format!("{}\n\n{body}", raise())).status, 201);
}

#[test]
fn homes_say_why_a_batch_is_not_taken() {
    for (refused, refusal) in [(Refused::TooManyFlags, (409, "FLAG-001")), (Refused::Over, (409, "ATT-001"))] {
        let said =
            ask(&House::replying([Reply::Refused(refused)]), &format!("{}\n\n{}", raise(), r#"{"flags":[{"label":"a"}]}"#));
        assert_eq!(said.refusal(), (refusal.0, refusal.1.into()));
    }
}

#[test]
fn the_timeline_is_shown_in_pages_with_its_details_as_they_came() {
    let request = format!("GET /api/v1/attempts/{ATTEMPT}/flags");
    let (occurred, flagged) = ("2026-01-02T03:04:10+00:00", "2026-01-02T03:04:11+00:00");
    let tab = json!({"label": "TAB_SWITCH", "detail": {"n": 1.0}, "question_id": question(1), "occurred_at": occurred, "flagged_at": flagged});
    let clip = json!({"label": "CLIPBOARD", "detail": null, "question_id": null, "occurred_at": occurred, "flagged_at": flagged});
    let said = teacher(&Rc::default(), &request, "");
    assert!(said.body.contains(r#""detail":{"n": 1.0}"#));
    assert_eq!(said.good(), (200, json!({"items": [tab, clip], "total": 2})));
    let (_, page) = teacher(&Rc::default(), &format!("{request}?offset=1&limit=1"), "").good();
    assert_eq!(page, json!({"items": [clip], "total": 2}));
    let (_, page) = teacher(&Rc::default(), &format!("{request}?offset=9"), "").good();
    assert_eq!(page, json!({"items": [], "total": 2}));
    let house = Rc::new(House::default());
    assert_eq!(teacher(&house, &format!("{request}?limit=zzz"), "").refusal(), (400, "VAL-001".into()));
}

#[test]
fn flags_are_summed_up() {
    let told = json!({"flags": 3, "attempts": 2, "labels": [{"label": "TAB_SWITCH", "flags": 3, "attempts": 2}]});
    assert_eq!(teacher(&Rc::default(), "GET /api/v1/quizzes/42/flags/summary", "").good(), (200, told));
}
