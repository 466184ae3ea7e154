//! Who may do what: every route with every credential.

use super::super::fakes::{House, JOHN, NOBODYS, SESSION, ask, ask_as};
use std::rc::Rc;

fn with_token() -> Vec<String> {
    let session = format!("/sessions/{SESSION}");
    let mut routes = for_admins();
    routes.extend([
        "POST /auth/logout".into(),
        "GET /agents".into(),
        "GET /agents/stats".into(),
        "GET /agents/a1".into(),
        "POST /sessions".into(),
        "GET /sessions".into(),
        format!("GET {session}"),
        format!("PATCH {session}"),
        format!("DELETE {session}"),
        format!("GET {session}/logs"),
        "GET /templates".into(),
        "GET /templates/firefox-browser".into(),
        format!("PUT /users/{JOHN}/password"),
    ]);
    routes
}

fn for_admins() -> Vec<String> {
    vec![
        "PATCH /agents/a1".into(),
        "POST /templates".into(),
        "PUT /templates/a".into(),
        "DELETE /templates/a".into(),
        "GET /users".into(),
        "POST /users".into(),
        format!("GET /users/{JOHN}"),
        format!("PATCH /users/{JOHN}"),
        format!("DELETE /users/{JOHN}"),
    ]
}

#[test]
fn every_route_but_login_wants_a_token_and_says_what_is_wrong_with_it() {
    for route in with_token() {
        for (header, code) in [
            ("", "AUTH_TOKEN_MISSING"),
            ("\nauthorization: Bearer rubbish", "AUTH_TOKEN_INVALID"),
            ("\nauthorization: Bearer ", "AUTH_TOKEN_INVALID"),
            ("\nauthorization: Basic admin", "AUTH_TOKEN_INVALID"),
            ("\nauthorization: admin", "AUTH_TOKEN_INVALID"),
            ("\nauthorization: Bearer gone", "AUTH_TOKEN_INVALID"),
            ("\nauthorization: Bearer expired", "AUTH_TOKEN_EXPIRED"),
        ] {
            let house = Rc::new(House::default());
            let said = ask(&house, &format!("{route}{header}"));
            assert_eq!(said.code(), (401, code.into()), "{route}{header}");
            assert_eq!(said.header("www-authenticate"), Some("Bearer"));
            assert!(house.asked.take().is_empty());
        }
    }
}

#[test]
fn some_are_for_admins() {
    for route in for_admins() {
        let house = Rc::new(House::default());
        assert_eq!(ask_as("john", &house, &route, "{}").code(), (403, "AUTH_INSUFFICIENT_PERMISSIONS".into()), "{route}");
        assert!(house.asked.take().is_empty());
    }
    let others = format!("PUT /users/{NOBODYS}/password");
    assert_eq!(ask_as("john", &Rc::default(), &others, "{}").code(), (403, "AUTH_INSUFFICIENT_PERMISSIONS".into()));
}
