//! Signing in, tokens, and what no handler is asked.

use super::super::fakes::{House, SESS, USER, ask, ask_as, table};
use crate::{http::fakes, protocols::labs::model::UserId, realtime::StoreFault};
use serde_json::json;
use std::rc::Rc;

fn login(house: &Rc<House>, body: impl ToString) -> fakes::Said {
    ask(house, &format!("POST /auth/login\ncontent-type: application/json\n\n{}", body.to_string()))
}

#[test]
fn the_example_of_a_login() {
    let house = Rc::new(House::default());
    let expected = json!({"access_token": "head.user.sign", "token_type": "bearer", "expires_in": 3600});
    assert_eq!(login(&house, json!({"email": "user@example.com", "password": "your_password"})).chat(), (200, expected));
}

#[test]
fn the_time_of_a_login_is_written_down_and_keeps_nobody_out() {
    let house = Rc::new(House::default());
    let right = json!({"email": "user@example.com", "password": "your_password"});
    login(&house, json!({"email": "user@example.com", "password": "guess"}));
    login(&house, json!({"email": "gone@example.com", "password": "your_password"}));
    assert_eq!(house.signed_in.take(), Vec::<UserId>::new(), "who was not let in has not signed in");
    assert_eq!(login(&house, &right).status, 200);
    assert_eq!(house.signed_in.take(), [USER]);
    house.is_full.set(true);
    assert_eq!(login(&house, &right).status, 200);
}

#[test]
fn a_wrong_email_and_a_wrong_password_are_one() {
    let house = Rc::new(House::default());
    let wrong = login(&house, json!({"email": "user@example.com", "password": "guess"}));
    let nobody = login(&house, json!({"email": "nobody@example.com", "password": "your_password"}));
    assert_eq!(wrong.flat(), (401, "INVALID_CREDENTIALS".into()));
    assert_eq!((wrong.body.as_str(), wrong.header("www-authenticate")), (nobody.body.as_str(), Some("Bearer")));
    assert_eq!(house.checked.borrow()[1], ("your_password".into(), None), "a password is checked for nobody too");
}

#[test]
fn who_is_disabled_does_not_sign_in() {
    let house = Rc::new(House::default());
    let said = login(&house, json!({"email": "gone@example.com", "password": "your_password"}));
    assert_eq!(said.flat(), (403, "FORBIDDEN".into()));
    let said = login(&house, json!({"email": "gone@example.com", "password": "guess"}));
    assert_eq!(said.flat(), (401, "INVALID_CREDENTIALS".into()));
}

#[test]
fn a_login_that_is_none() {
    for (body, status, code) in [
        (json!({"email": "user@example.com"}).to_string(), 422, "VALIDATION_ERROR"),
        (json!({"password": "x"}).to_string(), 422, "VALIDATION_ERROR"),
        (json!({"email": null, "password": "x"}).to_string(), 422, "VALIDATION_ERROR"),
        (json!({"email": 1, "password": "x"}).to_string(), 422, "VALIDATION_ERROR"),
        ("[]".into(), 422, "VALIDATION_ERROR"),
        ("".into(), 400, "MESSAGE_INVALID"),
        ("{".into(), 400, "MESSAGE_INVALID"),
        ("email=user%40example.com&password=x".into(), 400, "MESSAGE_INVALID"),
    ] {
        assert_eq!(login(&Rc::default(), &body).flat(), (status, code.into()), "{body}");
    }
}

#[test]
fn a_store_that_cannot_signs_nobody_in() {
    for (fault, expected) in [(StoreFault::Busy, (503, "SERVICE_UNAVAILABLE")), (StoreFault::Failed, (500, "INTERNAL_ERROR"))] {
        let house = Rc::new(House::default());
        house.fault.set(Some(fault));
        let said = login(&house, json!({"email": "user@example.com", "password": "your_password"}));
        assert_eq!(said.flat(), (expected.0, expected.1.into()));
    }
}

#[test]
fn every_route_wants_a_token() {
    for request in [
        "POST /sessions".to_owned(),
        "POST /sessions/".to_owned(),
        "GET /sessions".to_owned(),
        "GET /sessions/".to_owned(),
        format!("GET /sessions/{SESS}"),
        format!("POST /sessions/{SESS}/end"),
        format!("POST /sessions/{SESS}/chat"),
        format!("POST /sessions/{SESS}/chat/stream"),
        format!("GET /sessions/{SESS}/messages"),
        format!("GET /sessions/{SESS}/approvals"),
        format!("POST /sessions/{SESS}/approvals/appr_1/approve"),
        format!("POST /sessions/{SESS}/approvals/appr_1/reject"),
        format!("POST /sessions/{SESS}/approvals/appr_1/whatever"),
    ] {
        for token in ["", "\nauthorization: Bearer ", "\nauthorization: Basic dTpw", "\nauthorization: Bearer nobody"] {
            let said = ask(&Rc::default(), &format!("{request}{token}"));
            assert_eq!(said.flat(), (401, "UNAUTHORIZED".into()), "{request}{token}");
            assert_eq!(said.header("www-authenticate"), Some("Bearer"));
        }
    }
}

#[test]
fn what_is_no_route_and_what_is_no_method() {
    for (request, allow) in [
        ("DELETE /sessions/".to_owned(), "POST, GET, HEAD"),
        (format!("DELETE /sessions/{SESS}"), "GET, HEAD"),
        (format!("GET /sessions/{SESS}/chat/stream"), "POST"),
        (format!("GET /sessions/{SESS}/chat"), "POST"),
        ("GET /auth/login".to_owned(), "POST"),
    ] {
        let said = ask_as("user", &Rc::default(), &request, "");
        assert_eq!((said.flat(), said.header("allow")), ((405, "METHOD_NOT_ALLOWED".into()), Some(allow)), "{request}");
    }
    for path in ["/sessions/a/b", "/auth", "/auth/register", "/sessions/a/chat/stream/b"] {
        assert_eq!(ask_as("user", &Rc::default(), &format!("GET {path}"), "").flat(), (404, "NOT_FOUND".into()), "{path}");
    }
    let said = ask_as("user", &Rc::default(), "GET /others", "");
    assert_eq!((said.status, said.body.as_str()), (404, ""), "not of chat");
}

#[test]
fn a_plain_request_for_the_socket_is_told_to_upgrade() {
    let house = Rc::new(House::default());
    let said = fakes::ask(&table(&house), &house, &format!("GET /ws/sessions/{SESS}"));
    assert_eq!(said.flat(), (426, "UPGRADE_REQUIRED".into()));
    let headers = ["upgrade", "connection", "sec-websocket-version"].map(|name| said.header(name).unwrap_or_default());
    assert_eq!(headers, ["websocket", "Upgrade", "13"]);
    assert!(house.counted.borrow().is_empty());
    assert_eq!(fakes::ask(&table(&house), &house, "GET /ws/sessions/").status, 404);
}

#[test]
fn pages_may_call() {
    let said = ask(&Rc::default(), "OPTIONS /sessions/\naccess-control-request-method: POST");
    assert_eq!((said.status, said.header("access-control-allow-origin")), (204, Some("*")));
}
