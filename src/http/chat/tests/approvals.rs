//! Approvals.

use super::super::fakes::{ADMIN, APPR, APPROVAL, House, SESS, SESSION, USER, approval, ask_as, at, caller};
use crate::{
    http::{fakes, table::Table},
    protocols::chat::{
        Ask, Reply,
        asks::Refused,
        model::{Approval, Decision},
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::rc::Rc;
use uuid::Uuid;

fn decided(decision: Decision) -> Reply {
    let reason = Some("Invalid recipient email".into()).filter(|_| decision == Decision::Rejected);
    let decided_at = Some(at("2025-12-24T10:15:00Z"));
    Reply::Decided(Box::new(Approval { decision, decided_by: Some("user@example.com".into()), decided_at, reason, ..approval() }))
}

fn post(action: &str) -> String {
    format!("POST /sessions/{SESS}/approvals/{APPR}/{action}")
}

#[test]
fn the_example_of_those_that_wait() {
    let house = House::replying([Reply::Approvals(vec![approval()])]);
    let expected = json!({
        "data": [
            {
                "id": APPR,
                "tool_name": "send_email",
                "arguments": {"to": "customer@example.com", "subject": "Order Update"},
                "status": "pending",
                "created_at": "2025-12-24T10:10:00Z",
                "expires_at": "2025-12-24T10:40:00Z"
            }
        ]
    });
    assert_eq!(ask_as("user", &house, &format!("GET /sessions/{SESS}/approvals"), "").chat(), (200, expected));
    assert_eq!(house.asked.take(), [Ask::Approvals { session: SESSION, caller: caller(USER) }]);
}

#[test]
fn where_no_home_cares_nothing_waits() {
    let get = format!("GET /sessions/{SESS}/approvals");
    let not_here = || House::replying([Reply::Refused(Refused::NotHere)]);
    assert_eq!(ask_as("user", &not_here(), &get, "").chat(), (200, json!({"data": []})));
    assert_eq!(ask_as("stranger", &not_here(), &get, "").flat(), (404, "SESSION_NOT_FOUND".into()));
}

#[test]
fn the_example_of_a_yes() {
    let house = House::replying([decided(Decision::Approved)]);
    let expected =
        json!({"id": APPR, "status": "approved", "approved_by": "user@example.com", "approved_at": "2025-12-24T10:15:00Z"});
    let said = ask_as("user", &house, &post("approve"), json!({"comment": "Approved by supervisor"}));
    assert_eq!(said.chat(), (200, expected));
    let comment = Some("Approved by supervisor".into());
    let ask = Ask::Decide { session: SESSION, caller: caller(USER), approval: APPROVAL, yes: true, reason: None, comment };
    assert_eq!(house.asked.take(), [ask]);
}

#[test]
fn the_example_of_a_no() {
    let house = House::replying([decided(Decision::Rejected)]);
    let expected = json!({
        "id": APPR,
        "status": "rejected",
        "rejected_by": "user@example.com",
        "rejected_at": "2025-12-24T10:15:00Z",
        "reason": "Invalid recipient email"
    });
    let body = json!({"reason": "Invalid recipient email", "comment": "Please verify the email address"});
    assert_eq!(ask_as("admin", &house, &post("reject"), body).chat(), (200, expected));
    let (reason, comment) = (Some("Invalid recipient email".into()), Some("Please verify the email address".into()));
    let ask = Ask::Decide { session: SESSION, caller: caller(ADMIN), approval: APPROVAL, yes: false, reason, comment };
    assert_eq!(house.asked.take(), [ask]);
}

#[test]
fn the_body_may_be_left_away() {
    for body in ["", "{}", r#"{"comment": null}"#] {
        assert_eq!(ask_as("user", &House::replying([decided(Decision::Approved)]), &post("approve"), body).status, 200);
        assert_eq!(ask_as("user", &House::replying([decided(Decision::Rejected)]), &post("reject"), body).status, 200);
    }
    for (body, status, code) in [
        (json!({"comment": 1}).to_string(), 422, "VALIDATION_ERROR"),
        (json!({"reason": "x".repeat(2_001)}).to_string(), 422, "VALIDATION_ERROR"),
        ("[]".into(), 422, "VALIDATION_ERROR"),
        ("{".into(), 400, "MESSAGE_INVALID"),
    ] {
        assert_eq!(ask_as("user", &Rc::default(), &post("approve"), body).flat(), (status, code.into()));
    }
}

#[test]
fn refusals() {
    for (why, status, code) in [
        (Refused::NoApproval, 404, "APPROVAL_NOT_FOUND"),
        (Refused::Processed, 409, "APPROVAL_ALREADY_PROCESSED"),
        (Refused::Expired, 410, "APPROVAL_EXPIRED"),
        (Refused::NoSession, 404, "SESSION_NOT_FOUND"),
        (Refused::Store(StoreFault::Busy), 500, "SESSION_UPDATE_FAILED"),
    ] {
        for action in ["approve", "reject"] {
            let house = House::replying([Reply::Refused(why)]);
            assert_eq!(ask_as("user", &house, &post(action), "").flat(), (status, code.into()), "{why:?}");
        }
    }
    assert_eq!(ask_as("user", &Rc::default(), &post("postpone"), "").flat(), (400, "APPROVAL_INVALID".into()));
}

#[test]
fn what_is_no_approval_is_asked_for_as_one_that_nobody_has() {
    let house = House::replying([Reply::Refused(Refused::NoApproval)]);
    let said = ask_as("user", &house, &format!("POST /sessions/{SESS}/approvals/appr_123/approve"), "");
    assert_eq!(said.flat(), (404, "APPROVAL_NOT_FOUND".into()));
    let asked = house.asked.take();
    assert!(matches!(&asked[..], [Ask::Decide { approval, .. }] if *approval == Uuid::nil()), "{asked:?}");
}

#[test]
fn operators_see_which_wait_and_nothing_of_what_was_said() {
    let table = Table::default().with("", super::super::internal_routes()).unwrap();
    let said = fakes::ask(&table, &Rc::new(House::default()), "GET /api/v1/approvals");
    let told: Value = serde_json::from_str(&said.body).unwrap();
    let one = &told["data"][0];
    assert_eq!((said.status, &one["id"], &one["session_id"], &one["user"]), (200, &json!(APPR), &json!(SESS), &json!("ada")));
    let names: Vec<_> = one.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["created_at", "expires_at", "id", "session_id", "tool_name", "user"]);
}
