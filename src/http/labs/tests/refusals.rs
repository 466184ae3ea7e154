//! The form of refusals, and codes that no other test has met.

use super::super::{
    fakes::{House, ask, ask_as, ask_whole},
    fault::Fault,
};
use crate::{
    http::fault,
    protocols::labs::{asks::Refused, model::State},
    realtime::StoreFault,
};
use serde_json::json;
use std::rc::Rc;

#[test]
fn the_table_of_codes() {
    for (fault, code) in [
        (Fault::NoToken, "AUTH_TOKEN_MISSING"),
        (Fault::Refused(Refused::NoSession), "SESSION_NOT_FOUND"),
        (Fault::Refused(Refused::NoAgent), "AGENT_NOT_FOUND"),
        (Fault::Refused(Refused::NoAgents), "NO_AGENTS_AVAILABLE"),
        (Fault::Refused(Refused::NoSuchMove(State::Failed)), "INVALID_STATE_TRANSITION"),
        (Fault::Refused(Refused::Store(StoreFault::Busy)), "SERVICE_UNAVAILABLE"),
        (Fault::from(fault::Fault::NoToken), "AUTH_TOKEN_MISSING"),
        (Fault::from(fault::Fault::BadToken), "AUTH_TOKEN_INVALID"),
        (Fault::from(fault::Fault::Denied), "AUTH_INSUFFICIENT_PERMISSIONS"),
        (Fault::from(fault::Fault::Unreadable("x")), "VALIDATION_FAILED"),
        (Fault::from(fault::Fault::WrongShape("x")), "VALIDATION_FAILED"),
        (Fault::from(fault::Fault::Store(StoreFault::Failed)), "INTERNAL_ERROR"),
    ] {
        assert_eq!(fault.telling().code, code);
    }
}

#[test]
fn all_six_keys_with_the_clients_own_request_id() {
    let said = ask(&Rc::default(), "GET /users\nx-request-id: req-abc123");
    let expected = json!({
        "error": "Authentication required",
        "message": "Authorization header missing",
        "code": "AUTH_TOKEN_MISSING",
        "details": {},
        "timestamp": "2025-11-22T10:55:00Z",
        "request_id": "req-abc123"
    });
    assert_eq!(said.told(), (401, expected));
}

#[test]
fn details_name_the_field() {
    let (_, body) = ask_as("admin", &Rc::default(), "GET /users?role=zzz", "").refused();
    assert_eq!(body["details"], json!({"field": "role"}));
    assert!(!body.to_string().contains("zzz"));
}

#[test]
fn what_is_no_route_and_what_is_no_method() {
    let said = ask_as("admin", &Rc::default(), "PUT /agents/a", "");
    assert_eq!((said.code(), said.header("allow")), ((405, "METHOD_NOT_ALLOWED".into()), Some("GET, HEAD, PATCH, DELETE")));
    for path in ["/agents/a/b", "/sessions/", "/templates/a/b", "/users/a/b", "/auth", "/auth/refresh"] {
        assert_eq!(ask_as("admin", &Rc::default(), &format!("GET {path}"), "").code(), (404, "NOT_FOUND".into()), "{path}");
    }
}

#[test]
fn the_paths_of_sockets_say_what_they_are_for() {
    for path in ["/vnc-viewer/1", "/agent/ws", "/api/v1/agents/connect"] {
        let said = ask_whole("192.0.2.1", &Rc::default(), &format!("GET {path}"));
        assert_eq!((said.code(), said.header("upgrade")), ((426, "UPGRADE_REQUIRED".into()), Some("websocket")), "{path}");
        assert_eq!(said.header("x-ratelimit-limit"), Some("100"));
    }
}

#[test]
fn what_is_said_back_has_a_bound() {
    let long = "x".repeat(4000);
    let (_, body) = ask_as("admin", &Rc::<House>::default(), &format!("GET /sessions/{long}"), "").refused();
    assert_eq!(body["message"].as_str().unwrap().len(), "No session with ID '' exists".len() + 128);
}

#[test]
fn a_store_that_cannot_is_told_on_every_route_that_reads() {
    for path in ["/sessions", "/templates", "/templates/a", "/users", "/agents"] {
        for (fault, expected) in [(StoreFault::Busy, (503, "SERVICE_UNAVAILABLE")), (StoreFault::Failed, (500, "INTERNAL_ERROR"))]
        {
            let house = Rc::new(House::default());
            house.fault.set(Some(fault));
            assert_eq!(ask_as("admin", &house, &format!("GET {path}"), "").code(), (expected.0, expected.1.into()), "{path}");
        }
    }
}
