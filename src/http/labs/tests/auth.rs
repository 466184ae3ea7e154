//! Signing in and out.

use super::{
    super::fakes::{ADMIN, House, JTI, NOW, ask, ask_as, at},
    refuses,
};
use crate::{
    protocols::labs::{
        asks::{Ask, Refused, Reply},
        record::{Kept, Record},
    },
    realtime::StoreFault,
};
use serde_json::json;
use std::rc::Rc;

fn login(house: &Rc<House>, username: &str, password: &str) -> crate::http::fakes::Said {
    ask(house, &format!("POST /auth/login\n\n{}", json!({"username": username, "password": password})))
}

#[test]
fn the_example_of_a_login() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let expected = json!({
        "token": "head.admin.sign",
        "user": {
            "id": "550e8400-e29b-41d4-a716-446655440000",
            "username": "admin",
            "email": "admin@example.com",
            "role": "admin",
            "created_at": "2025-11-01T08:00:00Z"
        },
        "expires_at": "2025-11-23T10:00:00Z"
    });
    assert_eq!(login(&house, "admin", "password").told(), (200, expected));
    let record =
        Record::EditedUser { user: ADMIN, email: None, role: None, active: None, password_hash: None, last_login: Some(at(NOW)) };
    assert_eq!(house.asked.take(), [Ask::Keep(record)]);
}

#[test]
fn who_is_not_known_is_not_told_why() {
    for (username, password, known) in [("admin", "wrong", true), ("nobody", "password", false), ("", "", false)] {
        let house = Rc::new(House::default());
        let said = login(&house, username, password);
        let (status, body) = said.refused();
        assert_eq!(
            (status, &body["code"], &body["error"]),
            (401, &"AUTH_INVALID_CREDENTIALS".into(), &"Authentication failed".into())
        );
        assert_eq!(body["message"], "Invalid username or password");
        assert_eq!(said.header("www-authenticate"), Some("Bearer"));
        let checked = house.checked.take();
        assert!(checked.len() == 1 && checked[0].1.is_some() == known, "a password is checked either way");
    }
}

#[test]
fn a_disabled_user_hears_it_only_with_the_right_password() {
    assert_eq!(login(&Rc::default(), "gone", "password").code(), (403, "AUTH_INSUFFICIENT_PERMISSIONS".into()));
    assert_eq!(login(&Rc::default(), "gone", "wrong").code(), (401, "AUTH_INVALID_CREDENTIALS".into()));
}

#[test]
fn a_login_needs_both_fields() {
    refuses(
        "POST /auth/login",
        [
            (json!({}), "MISSING_REQUIRED_FIELD", "username"),
            (json!({"username": "a"}), "MISSING_REQUIRED_FIELD", "password"),
            (json!({"username": "a", "password": null}), "MISSING_REQUIRED_FIELD", "password"),
            (json!({"username": 1, "password": "a"}), "VALIDATION_FAILED", "username"),
            (json!([]), "VALIDATION_FAILED", ""),
        ],
    );
}

#[test]
fn a_store_that_cannot_read_lets_nobody_in_and_one_that_cannot_write_nobody_out() {
    for (fault, expected) in [(StoreFault::Busy, (503, "SERVICE_UNAVAILABLE")), (StoreFault::Failed, (500, "INTERNAL_ERROR"))] {
        let expected = (expected.0, expected.1.to_owned());
        let house = Rc::new(House::default());
        house.fault.set(Some(fault));
        assert_eq!(login(&house, "admin", "password").code(), expected);
        let house = House::replying([Reply::Refused(Refused::Store(fault))]);
        assert_eq!(ask_as("admin", &house, "POST /auth/logout", "").code(), expected);
    }
}

/// The time of it is all that a login writes.
#[test]
fn a_store_that_cannot_write_lets_users_in() {
    for fault in [StoreFault::Busy, StoreFault::Failed] {
        let house = House::replying([Reply::Refused(Refused::Store(fault))]);
        let (status, body) = login(&house, "admin", "password").told();
        assert_eq!((status, &body["token"]), (200, &json!("head.admin.sign")));
    }
}

#[test]
fn the_example_of_a_logout() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let said = ask_as("admin", &house, "POST /auth/logout", "");
    assert_eq!(said.told(), (200, json!({"message": "Logout successful"})));
    let record = Record::Revoked { token: JTI, expires_at: at("2025-11-23T10:00:00Z") };
    assert_eq!(house.asked.take(), [Ask::Keep(record)]);
}
