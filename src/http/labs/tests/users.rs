//! Users.

use super::{
    super::fakes::{ADMIN, House, JOHN, NOBODYS, NOW, ask_as, at},
    refuses, refuses_queries,
};
use crate::protocols::labs::{
    asks::{Ask, Reply},
    model::{Role, UserId},
    record::{Kept, Page, Record},
};
use serde_json::{Value, json};
use std::rc::Rc;

#[test]
fn the_example_of_the_list() {
    let house = Rc::new(House::default());
    let expected = json!({
        "users": [
            {
                "id": "550e8400-e29b-41d4-a716-446655440000",
                "username": "admin",
                "email": "admin@example.com",
                "role": "admin",
                "active": true,
                "created_at": "2025-11-01T08:00:00Z",
                "last_login": "2025-11-22T10:00:00Z"
            }
        ],
        "pagination": {"page": 1, "limit": 20, "total": 1, "total_pages": 1}
    });
    assert_eq!(ask_as("admin", &house, "GET /users", "").told(), (200, expected));
    assert_eq!((house.role.get(), house.page.get()), (None, Some(Page { page: 1, limit: 20 })));
    for (query, role) in [("admin", Role::Admin), ("user", Role::User)] {
        ask_as("admin", &house, &format!("GET /users?role={query}"), "");
        assert_eq!(house.role.get(), Some(role));
    }
    refuses_queries("/users", &[("role=operator", "role")]);
}

fn new() -> Value {
    json!({"username": "john.doe", "email": "john.doe@example.com", "password": "secure-password", "role": "user"})
}

#[test]
fn the_example_of_a_new_user() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let (status, mut body) = ask_as("admin", &house, "POST /users", new()).told();
    let Some(Ask::Keep(Record::NewUser { user, password_hash })) = house.asked.take().pop() else { panic!("nobody was kept") };
    assert_eq!(body["id"].take(), json!(user.id));
    let expected = json!({
        "id": null,
        "username": "john.doe",
        "email": "john.doe@example.com",
        "role": "user",
        "active": true,
        "created_at": NOW
    });
    assert_eq!((status, body), (201, expected));
    assert_eq!((password_hash.as_str(), user.created_at, user.last_login), ("hash of secure-password", at(NOW), None));
    assert_eq!(user.id.get_version_num(), 4);
}

#[test]
fn names_are_given_once() {
    let said = ask_as("admin", &House::replying([Reply::Kept(Kept::Taken)]), "POST /users", new());
    assert_eq!(said.code(), (409, "USER_ALREADY_EXISTS".into()));
}

#[test]
fn users_that_are_none() {
    let with = |field: &str, value: Value| {
        let mut body = new();
        body[field] = value;
        body
    };
    let (missing, wrong) = ("MISSING_REQUIRED_FIELD", "VALIDATION_FAILED");
    refuses(
        "POST /users",
        [
            (with("username", Value::Null), missing, "username"),
            (with("email", Value::Null), missing, "email"),
            (with("password", Value::Null), missing, "password"),
            (with("username", json!("a b")), wrong, "username"),
            (with("email", json!("nowhere")), wrong, "email"),
            (with("password", json!("short")), wrong, "password"),
            (with("role", json!("operator")), wrong, "role"),
            (with("role", json!(1)), wrong, "role"),
        ],
    );
}

fn edited(user: UserId, email: Option<&str>, role: Option<Role>, active: Option<bool>, password_hash: Option<&str>) -> Ask {
    let (email, password_hash) = (email.map(str::to_owned), password_hash.map(str::to_owned));
    Ask::Keep(Record::EditedUser { user, email, role, active, password_hash, last_login: None })
}

#[test]
fn admins_change_users() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let said =
        ask_as("admin", &house, &format!("PATCH /users/{JOHN}"), json!({"active": false, "role": "admin", "email": "j@d"}));
    let expected = json!({
        "id": JOHN, "username": "john.doe", "email": "j@d", "role": "admin", "active": false,
        "created_at": "2025-11-22T11:10:00Z", "last_login": null
    });
    assert_eq!(said.told(), (200, expected));
    assert_eq!(house.asked.take(), [edited(JOHN, Some("j@d"), Some(Role::Admin), Some(false), None)]);
    refuses(
        &format!("PATCH /users/{JOHN}"),
        [
            (json!({"active": "no"}), "VALIDATION_FAILED", "active"),
            (json!({"role": "king"}), "VALIDATION_FAILED", "role"),
            (json!({"email": ""}), "VALIDATION_FAILED", "email"),
        ],
    );
    assert_eq!(ask_as("admin", &Rc::default(), &format!("GET /users/{ADMIN}"), "").told().1["username"], "admin");
}

#[test]
fn no_admin_locks_themselves_out() {
    refuses(
        &format!("PATCH /users/{ADMIN}"),
        [(json!({"role": "user"}), "VALIDATION_FAILED", "role"), (json!({"active": false}), "VALIDATION_FAILED", "active")],
    );
    refuses(&format!("DELETE /users/{ADMIN}"), [(json!({}), "VALIDATION_FAILED", "active")]);
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let body = json!({"role": "admin", "active": true});
    assert_eq!(ask_as("admin", &house, &format!("PATCH /users/{ADMIN}"), body).status, 200);
}

#[test]
fn to_delete_is_to_disable() {
    let house = House::replying([Reply::Kept(Kept::Done)]);
    let said = ask_as("admin", &house, &format!("DELETE /users/{JOHN}"), "");
    assert_eq!((said.status, said.body.as_str()), (204, ""));
    assert_eq!(house.asked.take(), [edited(JOHN, None, None, Some(false), None)]);
}

#[test]
fn passwords_are_changed_by_admins_and_by_those_who_know_them() {
    let john = format!("PUT /users/{JOHN}/password");
    for (token, body) in [
        ("admin", json!({"password": "another-password"})),
        ("john", json!({"password": "another-password", "current_password": "password"})),
    ] {
        let house = House::replying([Reply::Kept(Kept::Done)]);
        assert_eq!(ask_as(token, &house, &john, body).status, 204);
        assert_eq!(house.asked.take(), [edited(JOHN, None, None, None, Some("hash of another-password"))]);
    }
    let house = Rc::new(House::default());
    let said = ask_as("john", &house, &john, json!({"password": "another-password", "current_password": "guess"}));
    assert_eq!(said.code(), (401, "AUTH_INVALID_CREDENTIALS".into()));
    assert!(house.asked.take().is_empty());
    refuses(
        &john,
        [(json!({}), "MISSING_REQUIRED_FIELD", "password"), (json!({"password": "short"}), "VALIDATION_FAILED", "password")],
    );
    let own = format!("PUT /users/{ADMIN}/password");
    refuses(&own, [(json!({"password": "another-password"}), "MISSING_REQUIRED_FIELD", "current_password")]);
}

#[test]
fn users_that_are_not_there() {
    let missing = || House::replying([Reply::Kept(Kept::Missing)]);
    for id in [&*NOBODYS.to_string(), "zzz"] {
        for (request, body) in [
            (format!("GET /users/{id}"), json!({})),
            (format!("PATCH /users/{id}"), json!({"active": true})),
            (format!("DELETE /users/{id}"), json!({})),
            (format!("PUT /users/{id}/password"), json!({"password": "another-password"})),
        ] {
            let (status, told) = ask_as("admin", &missing(), &request, body).refused();
            assert_eq!((status, &told["code"]), (404, &json!("USER_NOT_FOUND")), "{request}");
            assert_eq!(told["message"], format!("No user with ID '{id}' exists"));
        }
    }
}
