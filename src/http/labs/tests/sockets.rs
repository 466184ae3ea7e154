//! Those who ask for a socket and get none: refused as all others are, and counted with them.

use super::super::fakes::{ADMIN, House, ask_refused, ask_whole};
use crate::protocols::labs::{
    admission::Denial,
    asks::{LimitKey, Window},
    letters::ViewRefused,
    limits::address,
};
use serde_json::json;
use std::rc::Rc;

const VIEWER: &str = "GET /vnc-viewer/770e8400-e29b-41d4-a716-446655440002";
const FOLLOWER: &str = "GET /api/v1/sessions/770e8400-e29b-41d4-a716-446655440002/logs?follow=true";
const AGENT: &str = "GET /agent/ws?agent_id=a";
const FIELD: &str = "GET /api/v1/agents/connect?agent_id=a";

#[test]
fn each_has_its_status_its_code_and_the_limits() {
    for (request, denial, status, code, limit) in [
        (VIEWER, Denial::NoToken, 401, "AUTH_TOKEN_MISSING", "100"),
        (VIEWER, Denial::OldToken, 401, "AUTH_TOKEN_EXPIRED", "100"),
        (VIEWER, Denial::View(ViewRefused::NotYours), 403, "AUTH_INSUFFICIENT_PERMISSIONS", "100"),
        (VIEWER, Denial::View(ViewRefused::NoSession), 404, "SESSION_NOT_FOUND", "100"),
        (VIEWER, Denial::View(ViewRefused::NotRunning), 409, "INVALID_STATE_TRANSITION", "100"),
        (VIEWER, Denial::View(ViewRefused::AgentOffline), 503, "AGENT_OFFLINE", "100"),
        (FOLLOWER, Denial::BadToken, 401, "AUTH_TOKEN_INVALID", "100"),
        (AGENT, Denial::NoKey, 401, "AUTH_TOKEN_INVALID", "6000"),
        (FIELD, Denial::NoAgent, 404, "AGENT_NOT_FOUND", "6000"),
        (FIELD, Denial::Unavailable, 503, "SERVICE_UNAVAILABLE", "6000"),
    ] {
        let said = ask_refused(denial, &Rc::default(), request);
        assert_eq!(said.code(), (status, code.into()), "{request}");
        let left = (limit.parse::<u32>().unwrap() - 1).to_string();
        assert_eq!((said.header("x-ratelimit-limit"), said.header("x-ratelimit-remaining")), (Some(limit), Some(&*left)));
        assert!(said.header("x-ratelimit-reset").is_some() && said.header("connection") == Some("close"));
        assert_eq!(said.header("www-authenticate").is_some(), status == 401);
    }
    let (_, body) = ask_refused(Denial::Missing("platform"), &Rc::default(), AGENT).refused();
    assert_eq!((&body["code"], &body["details"]), (&json!("MISSING_REQUIRED_FIELD"), &json!({"field": "platform"})));
}

#[test]
fn they_are_counted_by_the_user_of_a_good_token_or_by_address() {
    let by_address = address(0xffff_c000_0201);
    for (request, key, window) in [
        (format!("{VIEWER}?token=admin"), LimitKey::User(ADMIN), Window::Other),
        (format!("{VIEWER}?token=adm%69n"), LimitKey::User(ADMIN), Window::Other),
        (format!("{VIEWER}\nauthorization: Bearer admin"), LimitKey::User(ADMIN), Window::Other),
        (format!("{FOLLOWER}&token=admin"), LimitKey::User(ADMIN), Window::Other),
        (format!("{VIEWER}?token=nonsense"), by_address, Window::Other),
        (VIEWER.to_owned(), by_address, Window::Other),
        (format!("{AGENT}&token=admin"), by_address, Window::Agent),
        (FIELD.to_owned(), by_address, Window::Agent),
    ] {
        let house = Rc::new(House::default());
        ask_refused(Denial::View(ViewRefused::NotYours), &house, &request);
        assert_eq!(house.counts.borrow().keys().collect::<Vec<_>>(), [&(key, window)], "{request}");
    }
}

#[test]
fn one_too_many_hears_that_and_nothing_else() {
    let house = Rc::new(House::default());
    let asks = || ask_refused(Denial::View(ViewRefused::NotYours), &house, &format!("{VIEWER}?token=admin")).code();
    for _ in 0..100 {
        assert_eq!(asks().0, 403);
    }
    assert_eq!(asks(), (429, "RATE_LIMIT_EXCEEDED".into()));
}

#[test]
fn who_asks_there_for_no_socket_is_told_so() {
    for request in [VIEWER, AGENT, FIELD] {
        assert_eq!(ask_whole("192.0.2.1", &Rc::default(), request).code(), (426, "UPGRADE_REQUIRED".into()));
    }
}
