//! Users for operators: by name, without a token, on the internal listener.

use super::super::{
    fakes::{ADMIN, House, JOHN},
    internal_routes,
};
use crate::{
    http::{
        fakes::{self, Said},
        table::Table,
    },
    protocols::labs::{
        asks::{Ask, Reply},
        model::{Role, UserId},
        record::{Kept, Record},
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::rc::Rc;

const USERS: &str = "/api/v1/labs/users";

fn ask(house: &Rc<House>, request: &str, body: &Value) -> (Said, Value) {
    let table = Table::default().with("", internal_routes()).unwrap();
    let said = fakes::ask(&table, house, &format!("{request}\n\n{body}"));
    let told = serde_json::from_str(&said.body).unwrap_or_default();
    (said, told)
}

fn kept(answer: Kept) -> Rc<House> {
    House::replying([Reply::Kept(answer)])
}

fn edited(house: &House) -> (UserId, Option<Role>, Option<bool>, Option<String>) {
    match house.asked.borrow().as_slice() {
        [Ask::Keep(Record::EditedUser { user, role, active, password_hash, email: None, last_login: None })] => {
            (*user, *role, *active, password_hash.clone())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_user_is_made_without_a_token_and_without_a_count() {
    let house = kept(Kept::Done);
    let body = json!({"username": "ada", "email": "ada@example.com", "password": "correct horse", "role": "admin"});
    let (said, told) = ask(&house, &format!("POST {USERS}"), &body);
    assert_eq!((said.status, &told["username"], &told["role"]), (201, &json!("ada"), &json!("admin")));
    assert_eq!(said.header("x-ratelimit-limit"), None);
    let Some(Ask::Keep(Record::NewUser { user, password_hash })) = house.asked.borrow().first().cloned() else { panic!("kept") };
    assert_eq!((user.username.as_str(), user.role, user.active), ("ada", Role::Admin, true));
    assert_eq!(password_hash, "hash of correct horse");
}

#[test]
fn a_user_is_changed_by_name() {
    for (body, expected) in [
        (json!({"active": false}), (JOHN, None, Some(false), None)),
        (json!({"password": "correct horse"}), (JOHN, None, None, Some("hash of correct horse".to_owned()))),
        (json!({"role": "admin", "active": null}), (JOHN, Some(Role::Admin), None, None)),
    ] {
        let house = kept(Kept::Done);
        let (said, told) = ask(&house, &format!("PATCH {USERS}/john.doe"), &body);
        assert_eq!((said.status, &told["username"]), (200, &json!("john.doe")), "{body}");
        assert_eq!(edited(&house), expected);
    }
}

#[test]
fn users_are_shown_by_name_and_as_a_list() {
    let house = Rc::new(House::default());
    let (said, told) = ask(&house, &format!("GET {USERS}/admin"), &Value::Null);
    assert_eq!((said.status, &told["id"]), (200, &json!(ADMIN)));
    assert_eq!(told.get("password_hash"), None);
    let (said, told) = ask(&house, &format!("GET {USERS}?page=2&limit=50"), &Value::Null);
    assert_eq!((said.status, &told["users"][0]["username"], &told["pagination"]["page"]), (200, &json!("admin"), &json!(2)));
}

#[test]
fn refusals_have_their_words() {
    let nothing = Rc::new(House::default());
    let good = json!({"username": "ada", "email": "a@b", "password": "correct horse"});
    let with = |name: &str, value: &str| {
        let mut body = good.clone();
        body[name] = value.into();
        body
    };
    for (house, request, body, status, code) in [
        (&nothing, format!("GET {USERS}/nobody"), json!(null), 404, "USER_NOT_FOUND"),
        (&nothing, format!("PATCH {USERS}/nobody"), json!({"active": true}), 404, "USER_NOT_FOUND"),
        (&nothing, format!("PATCH {USERS}/admin"), json!({"password": "short"}), 400, "VALIDATION_FAILED"),
        (&nothing, format!("PATCH {USERS}/admin"), json!([]), 400, "VALIDATION_FAILED"),
        (&nothing, format!("POST {USERS}"), with("username", "a b"), 400, "VALIDATION_FAILED"),
        (&nothing, format!("POST {USERS}"), with("password", "short"), 400, "VALIDATION_FAILED"),
        (&nothing, format!("POST {USERS}"), json!({"username": "ada"}), 400, "MISSING_REQUIRED_FIELD"),
        (&kept(Kept::Taken), format!("POST {USERS}"), good.clone(), 409, "USER_ALREADY_EXISTS"),
        (&kept(Kept::Missing), format!("PATCH {USERS}/admin"), json!({"active": true}), 404, "USER_NOT_FOUND"),
    ] {
        let (said, told) = ask(house, &request, &body);
        assert_eq!((said.status, told["code"].as_str()), (status, Some(code)), "{request} {body}");
        assert!(told["message"].as_str().is_some_and(|message| !message.is_empty()), "{told}");
    }
    assert!(nothing.asked.borrow().is_empty());
}

#[test]
fn a_store_that_cannot_is_told() {
    let house = Rc::new(House::default());
    house.fault.set(Some(StoreFault::Busy));
    assert_eq!(ask(&house, &format!("GET {USERS}"), &Value::Null).0.status, 503);
}

#[test]
fn no_page_in_a_browser_may_call() {
    let house = Rc::new(House::default());
    let (said, told) = ask(&house, &format!("GET {USERS}\norigin: https://evil.example"), &Value::Null);
    assert_eq!((said.status, &told["code"]), (403, &json!("AUTH_INSUFFICIENT_PERMISSIONS")));
}
