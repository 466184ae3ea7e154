//! Limits: on every answer, counted by whom, in windows of their own.

use super::super::fakes::{ADMIN, House, RESET, SESSION, ask, ask_as, ask_from};
use crate::{
    http::fakes::Said,
    protocols::labs::{
        asks::{LimitKey, Reply, Window},
        limits::address,
        record::Kept,
    },
};
use serde_json::json;
use std::{net::Ipv6Addr, rc::Rc};

fn told(said: &Said) -> Option<(&str, &str, &str)> {
    let header = |name| said.header(name);
    Some((header("x-ratelimit-limit")?, header("x-ratelimit-remaining")?, header("x-ratelimit-reset")?))
}

fn reset() -> String {
    RESET.to_string()
}

#[test]
fn every_answer_tells_its_limit() {
    let most = "x".repeat(crate::http::limits::BODY_BYTES + 1);
    for (token, request, body, status, limit) in [
        ("admin", "GET /templates", "", 200, "100"),
        ("none", "GET /templates", "", 401, "100"),
        ("john", "GET /users", "", 403, "100"),
        ("admin", "GET /templates/none", "", 404, "100"),
        ("admin", "GET /agents/a/b", "", 404, "100"),
        ("admin", "GET /auth/zzz", "", 404, "100"),
        ("admin", "PUT /templates", "", 405, "100"),
        ("admin", "POST /users", most.as_str(), 413, "100"),
        ("admin", "POST /sessions", "", 400, "10"),
        ("admin", "POST /auth/login", "", 400, "5"),
    ] {
        let said = ask_as(token, &Rc::default(), request, body);
        let left = (limit.parse::<u32>().unwrap() - 1).to_string();
        assert_eq!((said.status, told(&said)), (status, Some((limit, &*left, &*reset()))), "{request}");
        if status != 200 {
            said.refused();
        }
    }
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let said = ask_as("admin", &house, "DELETE /templates/a", "");
    assert_eq!((said.status, said.body.as_str(), told(&said)), (204, "", Some(("100", "99", &*reset()))));
}

#[test]
fn the_example_of_one_request_too_many() {
    let house = Rc::new(House::default());
    for _ in 0..5 {
        assert_eq!(ask(&house, "POST /auth/login").status, 400);
    }
    let said = ask(&house, "POST /auth/login");
    let (status, body) = said.refused();
    assert_eq!((status, &body["error"], &body["code"]), (429, &json!("Rate limit exceeded"), &json!("RATE_LIMIT_EXCEEDED")));
    assert_eq!(body["message"], "Too many requests. Please try again in 45 seconds.");
    assert_eq!((&body["retry_after"], said.header("retry-after")), (&json!(45), Some("45")));
    assert_eq!(told(&said), Some(("5", "0", &*reset())));
}

#[test]
fn windows_are_apart() {
    let house = Rc::new(House::default());
    for _ in 0..11 {
        ask_as("admin", &house, "POST /sessions", "");
    }
    assert_eq!(ask_as("admin", &house, "POST /sessions", "").status, 429);
    assert_eq!(told(&ask_as("admin", &house, "GET /sessions", "")), Some(("100", "99", &*reset())));
    assert_eq!(told(&ask(&house, "POST /auth/login")), Some(("5", "4", &*reset())));
}

#[test]
fn the_hundred_and_first_is_too_many_and_asks_nothing() {
    let house = Rc::new(House::default());
    for _ in 0..100 {
        assert_eq!(ask_as("admin", &house, "GET /templates", "").status, 200);
    }
    assert_eq!(ask_as("admin", &house, "GET /agents", "").code(), (429, "RATE_LIMIT_EXCEEDED".into()));
    assert!(house.asked.take().is_empty());
    assert_eq!(ask_as("john", &house, "GET /templates", "").status, 200);
}

#[test]
fn a_request_is_counted_by_its_user_or_else_by_its_address() {
    let house = Rc::new(House::default());
    let v4 = address(0xffff_c000_0201);
    let v6 = address("2001:db8:1:2::".parse::<Ipv6Addr>().unwrap().to_bits());
    for (peer, request, key, window) in [
        ("192.0.2.1", "GET /templates\nauthorization: Bearer admin", LimitKey::User(ADMIN), Window::Other),
        ("192.0.2.1", "GET /templates\nauthorization: Bearer expired", v4, Window::Other),
        ("192.0.2.1", "GET /templates", v4, Window::Other),
        ("::ffff:192.0.2.1", "GET /templates", v4, Window::Other),
        ("2001:db8:1:2:3:4:5:6", "GET /templates", v6, Window::Other),
        ("192.0.2.1", "POST /auth/login\nauthorization: Bearer admin", v4, Window::Login),
        ("192.0.2.1", "POST /sessions\nauthorization: Bearer admin", LimitKey::User(ADMIN), Window::Create),
        ("192.0.2.1", "POST /sessions", v4, Window::Create),
        ("192.0.2.1", "GET /auth/login\nauthorization: Bearer admin", LimitKey::User(ADMIN), Window::Other),
        ("192.0.2.1", &*format!("GET /sessions/{SESSION}"), v4, Window::Other),
    ] {
        house.counts.borrow_mut().clear();
        ask_from(peer, &house, request);
        assert_eq!(house.counts.borrow().keys().collect::<Vec<_>>(), [&(key, window)], "{peer} {request}");
    }
}

#[test]
fn nobody_gets_through_uncounted() {
    let house = Rc::new(House::default());
    house.uncounted.set(true);
    let said = ask_as("admin", &house, "GET /templates", "");
    assert_eq!((said.code(), told(&said)), ((503, "SERVICE_UNAVAILABLE".into()), None));
}

#[test]
fn paths_of_others_are_not_counted() {
    let house = Rc::new(House::default());
    for path in ["/classrooms/x", "/agentsx", "", "/"] {
        let said = ask(&house, &format!("GET {path}"));
        assert_eq!((said.status, said.body.as_str(), told(&said)), (404, "", None), "{path}");
    }
    assert_eq!(ask(&house, "OPTIONS /sessions\naccess-control-request-method: POST").status, 204);
    assert!(house.counts.borrow().is_empty());
}
