//! What is said, and answers that are waited for as a whole.

use super::super::fakes::{APPR, APPROVAL, House, MSG, SESS, SESSION, USER, ask_as, caller, message, send_email};
use crate::{
    models::Usage,
    protocols::chat::{
        Ask, Told,
        asks::{Broken, Refused},
        model::{Called, Completeness, Message, Stage},
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::rc::Rc;

fn post() -> String {
    format!("POST /sessions/{SESS}/chat")
}

pub(super) fn end(broken: Option<Broken>) -> Told {
    let completeness = if broken.is_some() { Completeness::Incomplete } else { Completeness::Whole };
    Told::End { usage: message().usage, message: Box::new(Message { completeness, ..message() }), broken }
}

#[test]
fn the_example_of_an_answer() {
    let house = House::telling([end(None)]);
    let expected = json!({
        "session_id": SESS,
        "message_id": MSG,
        "role": "assistant",
        "content": "Order #12345 is currently in transit and expected to arrive on December 26th.",
        "tool_calls": [],
        "created_at": "2025-12-24T10:05:30Z",
        "usage": {"prompt_tokens": 45, "completion_tokens": 28, "total_tokens": 73}
    });
    let body = json!({"content": "What is the status of order #12345?", "stream": false});
    assert_eq!(ask_as("user", &house, &post(), body).chat(), (200, expected));
    let asked = house.asked.take();
    let [Ask::Say { session, caller: who, ids, content, attachments, streamed }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((*session, who, &**content), (SESSION, &caller(USER), "What is the status of order #12345?"));
    assert_eq!((attachments.len(), *streamed, ids.map(|id| id.get_version_num())), (0, false, [4, 4]));
    assert_ne!(ids[0], ids[1]);
    assert!(house.left.take().is_empty(), "nobody left");
}

#[test]
fn an_answer_that_waits_for_leave_is_told_as_far_as_it_is() {
    let called = Called { call: send_email(), approval: Some(APPROVAL), stage: Stage::Pending, result: None };
    let so_far = Message { content: "I will".into(), calls: vec![called], completeness: Completeness::Streaming, ..message() };
    let house = House::telling([Told::Waits(Box::new(Message { usage: Usage::default(), ..so_far }))]);
    let (status, body) = ask_as("user", &house, &post(), json!({"content": "send"})).chat();
    let args = json!({"to": "customer@example.com", "subject": "Order Update"});
    assert_eq!((status, &body["content"], &body["status"]), (200, &json!("I will"), &json!("streaming")));
    assert_eq!(body["tool_calls"], json!([{"tool": "send_email", "args": args, "status": "pending", "approval_id": APPR}]));
    assert!(house.left.take().is_empty());
}

#[test]
fn an_answer_that_somebody_cancelled_is_told_as_far_as_it_got() {
    let (status, body) = ask_as("user", &House::telling([end(Some(Broken::Cancelled))]), &post(), json!({"content": "x"})).chat();
    assert_eq!((status, &body["status"]), (200, &json!("incomplete")));
}

#[test]
fn an_answer_that_fails_has_a_status() {
    for (told, status, code) in [
        (end(Some(Broken::Unavailable)), 503, "AGENT_UNAVAILABLE"),
        (end(Some(Broken::Failed)), 500, "AGENT_ERROR"),
        (end(Some(Broken::TimedOut)), 504, "AGENT_TIMEOUT"),
        (end(Some(Broken::Expired)), 410, "TOOL_APPROVAL_EXPIRED"),
        (end(Some(Broken::Stopping)), 503, "AGENT_UNAVAILABLE"),
        (Told::Refused(Refused::NoSession), 404, "SESSION_NOT_FOUND"),
        (Told::Refused(Refused::Ended), 409, "SESSION_ENDED"),
        (Told::Refused(Refused::Suspended), 409, "SESSION_SUSPENDED"),
        (Told::Refused(Refused::Crowded), 429, "RATE_LIMITED"),
        (Told::Refused(Refused::Store(StoreFault::Failed)), 500, "MESSAGE_SEND_FAILED"),
    ] {
        for path in ["/chat", "/chat/stream"] {
            let house = House::telling([told.clone()]);
            let said = ask_as("user", &house, &format!("POST /sessions/{SESS}{path}"), json!({"content": "x"}));
            assert_eq!(said.flat(), (status, code.into()), "{told:?} {path}");
            assert!(house.left.take().is_empty());
        }
    }
}

#[test]
fn a_home_that_is_gone_is_told_too() {
    for path in ["/chat", "/chat/stream"] {
        let said = ask_as("user", &House::telling([]), &format!("POST /sessions/{SESS}{path}"), json!({"content": "x"}));
        assert_eq!(said.flat(), (500, "MESSAGE_SEND_FAILED".into()));
    }
}

#[test]
fn what_cannot_be_said() {
    let file = |json: Value| json!({"content": "x", "attachments": json});
    for (body, status, code) in [
        (json!({"content": ""}), 400, "MESSAGE_EMPTY"),
        (json!({"content": " \n\t"}), 400, "MESSAGE_EMPTY"),
        (json!({"content": "é".repeat(100_001)}), 400, "MESSAGE_TOO_LONG"),
        (json!({}), 422, "VALIDATION_ERROR"),
        (json!({"content": null}), 422, "VALIDATION_ERROR"),
        (json!({"content": 1}), 422, "VALIDATION_ERROR"),
        (json!({"content": "x", "stream": "yes"}), 422, "VALIDATION_ERROR"),
        (json!(["x"]), 422, "VALIDATION_ERROR"),
        (json!("x"), 422, "VALIDATION_ERROR"),
        (file(json!({})), 422, "VALIDATION_ERROR"),
        (file(json!([1])), 422, "VALIDATION_ERROR"),
        (file(json!([{"name": "a"}])), 422, "VALIDATION_ERROR"),
        (file(json!([{"name": "a", "data": "?"}])), 400, "MESSAGE_INVALID"),
        (file(json!([{"name": "", "data": ""}])), 400, "MESSAGE_INVALID"),
        (file(json!(vec![json!({"name": "a", "data": ""}); 9])), 400, "MESSAGE_INVALID"),
    ] {
        for path in ["/chat", "/chat/stream"] {
            let house = Rc::new(House::default());
            let said = ask_as("user", &house, &format!("POST /sessions/{SESS}{path}"), &body);
            assert_eq!(said.flat(), (status, code.into()), "{path}");
            assert!(house.asked.take().is_empty());
        }
    }
    for body in ["", "{", "content", "\"\\ud800"] {
        assert_eq!(ask_as("user", &Rc::default(), &post(), body).flat(), (400, "MESSAGE_INVALID".into()), "{body}");
    }
    let said = ask_as("user", &Rc::default(), "POST /sessions/zzz/chat", json!({"content": "x"}));
    assert_eq!(said.flat(), (404, "SESSION_NOT_FOUND".into()));
}

#[test]
fn the_longest_content_and_files_are_taken() {
    let house = House::telling([end(None)]);
    let file = json!({"name": "a.txt", "media_type": "text/plain", "data": "YWJj"});
    let body = json!({"content": "é".repeat(100_000), "attachments": [file], "stream": null});
    assert_eq!(ask_as("user", &house, &post(), body).status, 200);
    let asked = house.asked.take();
    let [Ask::Say { attachments, .. }] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(
        (&*attachments[0].name, &*attachments[0].media_type, &*attachments[0].bytes),
        ("a.txt", "text/plain", &b"abc"[..])
    );
}
