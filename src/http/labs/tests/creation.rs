//! New sessions.

use super::{
    super::fakes::{House, SESSION, ask_as, session, template},
    refuses,
};
use crate::{
    http::fakes::Said,
    protocols::labs::{
        asks::{Ask, Creation, Refused, Reply},
        model::{Place, Resources, Session, State},
    },
};
use serde_json::{Value, json};
use std::rc::Rc;

const POST: &str = "POST /sessions";

fn pending() -> Session {
    Session {
        tags: vec!["project-alpha".into(), "development".into()],
        place: Place::default(),
        updated_at: session(State::Pending, "").created_at,
        last_activity: None,
        ..session(State::Pending, "Session provisioning in progress...")
    }
}

fn whole() -> Value {
    json!({
        "user": "john.doe",
        "template": "firefox-browser",
        "platform": "kubernetes",
        "state": "running",
        "resources": {"memory": "2Gi", "cpu": "1000m"},
        "persistent_home": true,
        "idle_timeout": "30m",
        "tags": ["project-alpha", "development"]
    })
}

/// The one creation that was asked for.
fn created(house: &House) -> Creation {
    let Some(Ask::Create(creation)) = house.asked.take().pop() else { panic!("no session was asked for") };
    *creation
}

#[test]
fn the_example() {
    let house = House::replying([Reply::Session(Box::new(pending()))]);
    let expected = json!({
        "id": "770e8400-e29b-41d4-a716-446655440002",
        "name": "john-doe-firefox-browser-abc123",
        "namespace": "streamspace",
        "user": "john.doe",
        "template": "firefox-browser",
        "platform": "kubernetes",
        "agent_id": "k8s-prod-us-east-1",
        "state": "pending",
        "resources": {"memory": "2Gi", "cpu": "1000m"},
        "persistent_home": true,
        "idle_timeout": "30m",
        "tags": ["project-alpha", "development"],
        "status": {
            "phase": "Pending",
            "message": "Session provisioning in progress...",
            "pod_ip": null,
            "vnc_url": null
        },
        "created_at": "2025-11-22T10:45:00Z",
        "updated_at": "2025-11-22T10:45:00Z"
    });
    assert_eq!(ask_as("admin", &house, POST, whole()).told(), (202, expected));
    let creation = created(&house);
    assert!(creation.session.get_version_num() == 4 && creation.session != SESSION);
    let mut suffixes = creation.suffixes.to_vec();
    suffixes.dedup();
    assert_eq!(suffixes.len(), 4);
    let expected = Creation {
        session: creation.session,
        suffixes: creation.suffixes,
        user: "john.doe".into(),
        template: Box::new(template()),
        platform: Some("kubernetes".into()),
        region: None,
        hibernated: false,
        resources: Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None },
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec!["project-alpha".into(), "development".into()],
    };
    assert_eq!(creation, expected);
}

#[test]
fn what_is_not_wished_for_is_as_the_template_has_it() {
    let house = House::replying([Reply::Session(Box::new(pending()))]);
    let body =
        json!({"user": "john.doe", "template": "firefox-browser", "resources": {"memory": "4Gi"}, "tags": null, "more": 1});
    assert_eq!(ask_as("john", &house, POST, body).status, 202);
    let creation = created(&house);
    assert_eq!(creation.resources, Resources { memory: "4Gi".into(), cpu: "1000m".into(), storage: None });
    assert_eq!((creation.platform, creation.idle_timeout.as_str(), creation.persistent_home), (None, "30m", true));
    assert!(creation.tags.is_empty() && !creation.hibernated);
}

#[test]
fn all_wishes_are_passed_on() {
    let house = House::replying([Reply::Session(Box::new(pending()))]);
    let body = json!({"user": "someone.new", "template": "firefox-browser", "platform": "host", "region": "lab-2",
        "state": "hibernated", "resources": {"cpu": "0.5"}, "persistent_home": false, "idle_timeout": "1h30m"});
    assert_eq!(ask_as("admin", &house, POST, body).status, 202);
    let creation = created(&house);
    assert!(creation.hibernated && !creation.persistent_home);
    assert_eq!((&*creation.user, &*creation.resources.cpu, &*creation.idle_timeout), ("someone.new", "0.5", "1h30m"));
    assert_eq!((creation.platform.as_deref(), creation.region.as_deref()), (Some("host"), Some("lab-2")));
}

#[test]
fn users_create_for_themselves() {
    let house = Rc::new(House::default());
    let body = json!({"user": "admin", "template": "firefox-browser"});
    assert_eq!(ask_as("john", &house, POST, body).code(), (403, "AUTH_INSUFFICIENT_PERMISSIONS".into()));
    assert!(house.asked.take().is_empty());
}

#[test]
fn bodies_that_are_none() {
    let with = |field: &str, value: Value| {
        let mut body = whole();
        body[field] = value;
        body
    };
    let missing = "MISSING_REQUIRED_FIELD";
    let wrong = "VALIDATION_FAILED";
    refuses(
        POST,
        [
            (json!({"template": "a"}), missing, "user"),
            (json!({"user": "a"}), missing, "template"),
            (with("user", json!(null)), missing, "user"),
            (with("user", json!(7)), wrong, "user"),
            (with("user", json!("a b")), wrong, "user"),
            (with("template", json!([])), wrong, "template"),
            (with("platform", json!("a/b")), wrong, "platform"),
            (with("state", json!("terminated")), wrong, "state"),
            (with("resources", json!("2Gi")), wrong, "resources"),
            (with("resources", json!({"memory": "lots"})), wrong, "resources.memory"),
            (with("resources", json!({"cpu": 2})), wrong, "resources.cpu"),
            (with("persistent_home", json!("yes")), wrong, "persistent_home"),
            (with("idle_timeout", json!("soon")), wrong, "idle_timeout"),
            (with("tags", json!("a,b")), wrong, "tags"),
            (with("tags", json!(["a,b"])), wrong, "tags"),
            (with("tags", json!([1])), wrong, "tags"),
            (json!("text"), wrong, ""),
        ],
    );
    for body in ["", "nonsense", "{", "\"\u{0}"] {
        let said = ask_as("admin", &Rc::default(), POST, body);
        assert_eq!(said.about(), (wrong.into(), String::new()), "{body}");
    }
}

#[test]
fn the_example_of_an_unknown_template() {
    for name in ["invalid-template", "a b/c", ""] {
        let said = ask_as("admin", &Rc::default(), POST, json!({"user": "john.doe", "template": name}));
        let (status, body) = said.refused();
        assert_eq!((status, &body["error"], &body["code"]), (400, &json!("Invalid request"), &json!("TEMPLATE_NOT_FOUND")));
        assert_eq!(body["message"], format!("Template '{name}' does not exist"));
    }
}

fn refused(refused: Refused, body: Value) -> Said {
    ask_as("admin", &House::replying([Reply::Refused(refused)]), POST, body)
}

#[test]
fn the_example_without_an_agent() {
    let (status, body) = refused(Refused::NoAgents, whole()).refused();
    assert_eq!((status, &body["error"], &body["code"]), (503, &json!("No agents available"), &json!("NO_AGENTS_AVAILABLE")));
    assert_eq!(body["message"], "No online agents available for platform 'kubernetes'");
    let (_, body) = refused(Refused::NoAgents, json!({"user": "a", "template": "firefox-browser"})).refused();
    assert_eq!(body["message"], "No online agents available");
}

#[test]
fn what_else_can_be_in_the_way() {
    for (why, status, code) in [
        (Refused::Full, 503, "AGENT_CAPACITY_EXCEEDED"),
        (Refused::Taken, 409, "SESSION_ALREADY_EXISTS"),
        (Refused::Failed("no room on the disk".into()), 500, "SESSION_PROVISIONING_FAILED"),
    ] {
        assert_eq!(refused(why, whole()).code(), (status, code.into()));
    }
}
