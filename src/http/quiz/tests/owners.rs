//! Signing in, accounts, API keys.

use super::{NO_OBJECTS, refuses};
use crate::{
    auth::api_key,
    http::{
        fakes::NOW,
        quiz::{
            fakes::{House, KEY, TEACHER, ask, teacher},
            internal_routes,
        },
        table::Table,
    },
    protocols::quiz::{
        asks::{Ask, Reply},
        model::Role,
        record::{Kept, Page, Record},
    },
    realtime::StoreFault,
};
use serde_json::json;
use std::rc::Rc;

const SIGN_IN: &str = "POST /api/v1/auth/sign-in";

#[test]
fn a_name_and_its_password_become_a_token() {
    let said = ask(&Rc::default(), &format!("{SIGN_IN}\n\n{}", r#"{"name":"teacher","password":"password"}"#));
    let token = json!({"access_token": "good", "token_type": "Bearer", "expires_in": 43_200});
    assert_eq!(said.good(), (200, token));
}

#[test]
fn who_is_not_known_is_not_told_why() {
    for (name, password) in
        [("teacher", "password2"), ("nobody", "password"), ("Teacher", "password"), ("teacher", "short"), ("", "")]
    {
        let said = ask(&Rc::default(), &format!("{SIGN_IN}\n\n{}", json!({"name": name, "password": password})));
        assert_eq!(said.refusal(), (401, "AUTH-001".into()), "{name} {password}");
    }
    refuses(SIGN_IN, NO_OBJECTS);
    refuses(SIGN_IN, [r#"{"name":"zzz"}"#, r#"{"name":"zzz","password":1}"#]);
}

#[test]
fn a_store_that_cannot_lets_nobody_in() {
    for (fault, refusal) in [(StoreFault::Busy, (503, "SRV-001")), (StoreFault::Failed, (500, "SRV-002"))] {
        let house = Rc::new(House::default());
        house.fault.set(Some(fault));
        let said = ask(&house, &format!("{SIGN_IN}\n\n{}", r#"{"name":"teacher","password":"password"}"#));
        assert_eq!(said.refusal(), (refusal.0, refusal.1.into()));
    }
}

#[test]
fn where_other_issuers_are_there_is_no_sign_in() {
    let house = Rc::new(House::default());
    house.no_sign_in.set(true);
    let said = ask(&house, &format!("{SIGN_IN}\n\n{}", r#"{"name":"teacher","password":"password"}"#));
    assert_eq!(said.refusal(), (404, "NF-001".into()));
    assert_eq!(make_account(&house, r#"{"name":"teacher","password":"password"}"#).refusal(), (404, "NF-001".into()));
}

fn make_account(house: &Rc<House>, body: &str) -> crate::http::fakes::Said {
    let table = Table::default().with("", internal_routes()).unwrap();
    crate::http::fakes::ask(&table, house, &format!("POST /api/v1/owners\n\n{body}"))
}

#[test]
fn operators_make_accounts() {
    let house = Rc::new(House::default());
    let said = make_account(&house, r#"{"name":"a.b_c-d@1","password":"päss wör"}"#);
    assert_eq!(said.good(), (201, json!({"name": "a.b_c-d@1"})));
    assert_eq!(house.accounts.take(), [("a.b_c-d@1".to_owned(), "päss wör".to_owned())]);
    let long = |text: &str, times| text.repeat(times);
    for (name, password) in [
        (String::new(), long("x", 8)),
        (long("x", 101), long("x", 8)),
        ("Teacher".into(), long("x", 8)),
        ("a/b".into(), long("x", 8)),
        ("ä".into(), long("x", 8)),
        ("a".into(), long("ä", 7)),
        ("a".into(), long("x", 201)),
    ] {
        let said = make_account(&house, &json!({"name": name, "password": password}).to_string());
        assert_eq!(said.refusal(), (400, "VAL-001".into()), "{name} {password}");
    }
    assert_eq!(make_account(&house, "{}").refusal().1, "VAL-001");
    assert!(house.accounts.take().is_empty());
    house.fault.set(Some(StoreFault::Busy));
    assert_eq!(make_account(&house, r#"{"name":"a","password":"password"}"#).refusal(), (503, "SRV-001".into()));
}

#[test]
fn a_key_is_shown_once_and_kept_as_its_hash() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let said = teacher(&house, "POST /api/v1/apikeys", r#"{"label":"school's own","role":"user"}"#);
    let (status, mut data) = said.good();
    let key = data["key"].take();
    let key = key.as_str().unwrap();
    let Ask::Keep(Record::Key(kept)) = house.asked.take().remove(0) else { panic!("no key was kept") };
    assert!(api_key::looks_like_a_key(key));
    assert_eq!((kept.hash, &*kept.owner, kept.role, kept.created_at), (api_key::hash(key), TEACHER, Role::User, NOW));
    assert!(key.ends_with(&kept.hint) && kept.hint.len() == 4 && kept.id.get_version_num() == 7);
    let expected = json!({"id": kept.id, "label": "school's own", "role": "user", "hint": kept.hint,
        "created_at": "2026-01-02T03:04:05+00:00", "key": null});
    assert_eq!((status, data), (201, expected));
}

#[test]
fn a_key_needs_a_label_and_a_role() {
    refuses("POST /api/v1/apikeys", NO_OBJECTS);
    let long = json!({"label": "x".repeat(101), "role": "user"}).to_string();
    refuses(
        "POST /api/v1/apikeys",
        [r#"{"label":"","role":"user"}"#, &long, r#"{"label":"a","role":"zzz"}"#, r#"{"label":"a"}"#],
    );
}

#[test]
fn keys_are_listed_and_revoked() {
    let house = Rc::new(House::default());
    let said = teacher(&house, "GET /api/v1/apikeys?offset=3&limit=7", "");
    let key = json!({"id": KEY, "label": "school's own", "role": "user", "hint": "wxyz",
        "created_at": "2026-01-02T03:04:05+00:00", "revoked_at": "2026-01-02T03:04:14+00:00"});
    assert_eq!(said.good(), (200, json!({"items": [key], "total": 1})));
    assert_eq!(house.page.get(), Some(Page { offset: 3, limit: 7 }));

    let house = House::replying([Reply::Kept(Kept::Done), Reply::Kept(Kept::Missing)]);
    let request = format!("DELETE /api/v1/apikeys/{KEY}");
    assert_eq!(teacher(&house, &request, "").good(), (200, json!({})));
    assert_eq!(house.asked.take(), [Ask::Keep(Record::Revoked { owner: TEACHER.into(), key: KEY, at: NOW })]);
    assert_eq!(teacher(&house, &request, "").refusal(), (404, "NF-001".into()));
    assert_eq!(teacher(&house, "DELETE /api/v1/apikeys/zzz", "").refusal(), (404, "NF-001".into()));
}
