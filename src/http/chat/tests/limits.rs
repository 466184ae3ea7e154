//! Limits: each row of the contract's table.

use super::super::fakes::{House, SESS, USER, ask, ask_as, message, session};
use crate::protocols::chat::{Payer, Reply, Row, Told};
use serde_json::json;
use std::rc::Rc;

#[test]
fn every_row_lets_as_many_through_as_the_contract_says() {
    for (request, body, allowed) in [
        ("POST /sessions/".to_owned(), json!({"title": 1}), 10),
        (format!("POST /sessions/{SESS}/chat"), json!({}), 60),
        (format!("POST /sessions/{SESS}/chat/stream"), json!({}), 30),
        ("GET /sessions/zzz".to_owned(), json!({}), 120),
        ("GET /sessions/?page=0".to_owned(), json!({}), 30),
    ] {
        let house = Rc::new(House::default());
        for n in 0..allowed {
            assert_ne!(ask_as("user", &house, &request, &body).status, 429, "{request} {n}");
        }
        let said = ask_as("user", &house, &request, &body);
        let expected = json!({"error": "RATE_LIMITED", "message": "Too many requests", "retry_after": 60});
        assert_eq!((said.chat(), said.header("retry-after")), ((429, expected), Some("60")), "{request}");
        assert_ne!(ask_as("stranger", &house, &request, &body).status, 429, "others are others");
        assert!(house.asked.take().is_empty());
    }
}

#[test]
fn an_address_may_try_ten_logins_a_minute() {
    let house = Rc::new(House::default());
    let login = "POST /auth/login\nauthorization: Bearer user\n\n{\"email\":\"x\",\"password\":\"y\"}";
    for _ in 0..10 {
        assert_eq!(ask(&house, login).status, 401);
    }
    assert_eq!(ask(&house, login).flat(), (429, "RATE_LIMITED".into()));
    assert_eq!(house.checked.borrow().len(), 10);
    assert_eq!(house.counted.borrow()[0], (Payer::address(0xffff_c000_0201), Row::Login));
}

#[test]
fn what_is_counted_as_what() {
    for (request, row) in [
        ("POST /sessions".to_owned(), Some(Row::Create)),
        ("GET /sessions".to_owned(), Some(Row::List)),
        ("HEAD /sessions/".to_owned(), Some(Row::List)),
        (format!("GET /sessions/{SESS}"), Some(Row::Look)),
        (format!("POST /sessions/{SESS}/chat"), Some(Row::Message)),
        (format!("POST /sessions/{SESS}/chat/stream"), Some(Row::Stream)),
        (format!("GET /sessions/{SESS}/chat"), None),
        (format!("GET /sessions/{SESS}/messages"), None),
        ("OPTIONS /sessions/".to_owned(), None),
    ] {
        let house = House::replying([Reply::Session(Box::new(session()))]);
        ask_as("user", &house, &request, "");
        let expected: Vec<_> = row.map(|row| (Payer::User(USER), row)).into_iter().collect();
        assert_eq!(house.counted.take(), expected, "{request}");
    }
}

#[test]
fn nobody_gets_through_uncounted() {
    let house = Rc::new(House::default());
    house.is_uncounted.set(true);
    assert_eq!(ask_as("user", &house, "GET /sessions/", "").flat(), (503, "SERVICE_UNAVAILABLE".into()));
    house.is_uncounted.set(false);
    ask_as("nobody", &house, "GET /sessions/", "");
    assert!(house.counted.take().is_empty());
}

#[test]
fn bodies_have_a_bound_which_is_larger_for_what_is_said() {
    let large = json!({"content": "x", "attachments": [{"name": "a", "data": "A".repeat(4 << 20)}]});
    let end = || Told::End { usage: message().usage, message: Box::new(message()), broken: None };
    let house = House::telling([end()]);
    assert_eq!(ask_as("user", &house, &format!("POST /sessions/{SESS}/chat"), &large).status, 200);
    let said = ask_as("user", &house, "POST /sessions/", &large);
    assert_eq!((said.flat(), said.header("connection")), ((413, "PAYLOAD_TOO_LARGE".into()), Some("close")));
    let most = json!({"content": "x".repeat(7 << 20)});
    assert_eq!(ask_as("user", &house, &format!("POST /sessions/{SESS}/chat"), &most).flat(), (413, "PAYLOAD_TOO_LARGE".into()));
}
