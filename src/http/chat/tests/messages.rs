//! The history.

use super::super::fakes::{House, MESSAGE, MSG, SESS, SESSION, ask_as, at, message, send_email};
use crate::{
    models::talk::Attached,
    protocols::chat::{
        model::{Author, Called, Completeness, Message, Stage},
        record::{From, History, Part},
    },
};
use serde_json::json;
use std::rc::Rc;
use uuid::Uuid;

fn holding(messages: Vec<Message>, has_more: bool) -> Rc<House> {
    let house = House::default();
    house.part.replace(Some(Part { messages, has_more }));
    Rc::new(house)
}

fn get(query: &str) -> String {
    format!("GET /sessions/{SESS}/messages{query}")
}

#[test]
fn the_example_of_the_history() {
    let said = Message {
        id: Uuid::from_u128(1),
        author: Author::User,
        content: "Hello!".into(),
        created_at: at("2025-12-24T10:00:00Z"),
        ..message()
    };
    let answer = Message {
        id: Uuid::from_u128(2),
        content: "Hello! How can I help you today?".into(),
        created_at: at("2025-12-24T10:00:05Z"),
        ..message()
    };
    let house = holding(vec![said, answer], false);
    let expected = json!({
        "data": [
            {
                "id": "msg_00000000000000000000000000000001",
                "role": "user",
                "content": "Hello!",
                "created_at": "2025-12-24T10:00:00Z"
            },
            {
                "id": "msg_00000000000000000000000000000002",
                "role": "assistant",
                "content": "Hello! How can I help you today?",
                "created_at": "2025-12-24T10:00:05Z"
            }
        ],
        "has_more": false
    });
    assert_eq!(ask_as("user", &house, &get(""), "").chat(), (200, expected));
    assert_eq!(house.history.take(), [History { session: SESSION, from: From::Newest, limit: 50 }]);
}

#[test]
fn what_is_not_usual_is_told() {
    let file = Attached { name: "a.txt".into(), media_type: "text/plain".into(), bytes: Default::default() };
    let called = Called { call: send_email(), approval: None, stage: Stage::Done, result: Some("[4]".into()) };
    let odd = Message { completeness: Completeness::Incomplete, calls: vec![called], attachments: vec![file], ..message() };
    let (_, body) = ask_as("user", &holding(vec![odd], true), &get(""), "").chat();
    assert_eq!((&body["has_more"], &body["data"][0]["status"]), (&json!(true), &json!("incomplete")));
    assert_eq!(body["data"][0]["attachments"], json!([{"name": "a.txt", "media_type": "text/plain"}]));
    let args = json!({"to": "customer@example.com", "subject": "Order Update"});
    let calls = json!([{"tool": "send_email", "args": args, "status": "done", "result": [4]}]);
    assert_eq!(body["data"][0]["tool_calls"], calls);
}

#[test]
fn cursors_and_limits_are_passed_on() {
    let house = holding(Vec::new(), false);
    for (query, from, limit) in [
        ("?limit=1".to_owned(), From::Newest, 1),
        ("?limit=200".to_owned(), From::Newest, 200),
        (format!("?before={MSG}"), From::Before(MESSAGE), 50),
        (format!("?after={MSG}&limit=7&before="), From::After(MESSAGE), 7),
    ] {
        let (status, body) = ask_as("user", &house, &get(&query), "").chat();
        assert_eq!((status, body), (200, json!({"data": [], "has_more": false})));
        assert_eq!(house.history.take(), [History { session: SESSION, from, limit }]);
    }
}

#[test]
fn cursors_and_limits_that_are_none() {
    let house = Rc::new(House::default());
    for query in ["limit=0", "limit=201", "limit=x", &format!("before={MSG}&after={MSG}"), "limit=1&limit=2"] {
        let said = ask_as("user", &house, &get(&format!("?{query}")), "");
        assert_eq!(said.flat(), (422, "VALIDATION_ERROR".into()), "{query}");
    }
    for cursor in ["zzz", "msg_1", MSG] {
        let said = ask_as("user", &house, &get(&format!("?before={cursor}")), "");
        assert_eq!(said.flat(), (400, "MESSAGE_INVALID".into()), "{cursor}");
    }
}

#[test]
fn the_history_is_seen_by_those_who_see_the_session() {
    let house = holding(Vec::new(), false);
    assert_eq!(ask_as("admin", &house, &get(""), "").status, 200);
    assert_eq!(ask_as("stranger", &house, &get(""), "").flat(), (404, "SESSION_NOT_FOUND".into()));
    house.stored.borrow_mut().clear();
    assert_eq!(ask_as("user", &house, &get(""), "").flat(), (404, "SESSION_NOT_FOUND".into()));
}
