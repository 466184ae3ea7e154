//! Sessions: listed, shown, moved, deleted.

use super::{
    super::fakes::{House, JOHN, NOBODYS, SESSION, ask_as, at, running, session},
    refuses, refuses_queries,
};
use crate::protocols::labs::{
    asks::{Ask, Caller, Refused, Reply, Target},
    model::{Place, Session, State},
    record::{Page, SessionFilter, SortBy},
};
use serde_json::{Value, json};
use std::rc::Rc;

fn path() -> String {
    format!("/sessions/{SESSION}")
}

fn john() -> Caller {
    Caller { id: JOHN, name: "john.doe".into(), admin: false }
}

#[test]
fn the_example_of_the_list() {
    let house = Rc::new(House::default());
    let expected = json!({
        "sessions": [
            {
                "id": "770e8400-e29b-41d4-a716-446655440002",
                "name": "john-doe-firefox-browser-abc123",
                "user": "john.doe",
                "template": "firefox-browser",
                "platform": "kubernetes",
                "agent_id": "k8s-prod-us-east-1",
                "state": "running",
                "resources": {"memory": "2Gi", "cpu": "1000m"},
                "tags": ["project-alpha"],
                "status": {
                    "phase": "Running",
                    "message": "Session is running",
                    "pod_ip": "10.42.1.5",
                    "vnc_url": "/vnc-viewer/770e8400-e29b-41d4-a716-446655440002"
                },
                "created_at": "2025-11-22T10:45:00Z",
                "updated_at": "2025-11-22T10:45:12Z"
            }
        ],
        "pagination": {"page": 1, "limit": 20, "total": 1, "total_pages": 1}
    });
    assert_eq!(ask_as("admin", &house, "GET /sessions", "").told(), (200, expected));
    assert_eq!(house.filter.take(), Some(SessionFilter { descending: true, ..SessionFilter::default() }));
    assert_eq!(house.page.get(), Some(Page { page: 1, limit: 20 }));
}

fn filter(token: &str, query: &str) -> Option<SessionFilter> {
    let house = Rc::new(House::default());
    assert_eq!(ask_as(token, &house, &format!("GET /sessions?{query}"), "").status, 200, "{query}");
    house.filter.take()
}

#[test]
fn filters_and_sorts() {
    let all = || SessionFilter { descending: true, ..SessionFilter::default() };
    let query = "user=john.doe&template=t&platform=docker&agent_id=a1&tags=project-alpha,%20development,&sort=user&order=asc";
    let expected = SessionFilter {
        user: Some("john.doe".into()),
        template: Some("t".into()),
        platform: Some("docker".into()),
        agent: Some("a1".into()),
        states: Vec::new(),
        tags: vec!["project-alpha".into(), "development".into()],
        sort: SortBy::User,
        descending: false,
    };
    assert_eq!(filter("admin", query), Some(expected));
    for (state, states) in [
        ("pending", &[State::Pending, State::Waking][..]),
        ("running", &[State::Running, State::Hibernating]),
        ("hibernated", &[State::Hibernated]),
        ("terminating", &[State::Terminating]),
        ("terminated", &[State::Terminated]),
        ("failed", &[State::Failed]),
    ] {
        assert!(states.iter().all(|known| known.on_wire() == state));
        assert_eq!(filter("admin", &format!("state={state}")), Some(SessionFilter { states: states.to_vec(), ..all() }));
    }
    for (name, sort) in [("created_at", SortBy::Created), ("updated_at", SortBy::Updated), ("state", SortBy::State)] {
        assert_eq!(filter("admin", &format!("sort={name}&order=desc")), Some(SessionFilter { sort, ..all() }));
    }
    refuses_queries("/sessions", &[("state=hibernating", "state"), ("sort=name", "sort"), ("order=up", "order")]);
}

#[test]
fn users_see_their_own_sessions() {
    let own = SessionFilter { user: Some("john.doe".into()), descending: true, ..SessionFilter::default() };
    assert_eq!(filter("john", ""), Some(own.clone()));
    assert_eq!(filter("john", "user=john.doe"), Some(own));
    let said = ask_as("john", &Rc::default(), "GET /sessions?user=admin", "");
    assert_eq!(said.code(), (403, "AUTH_INSUFFICIENT_PERMISSIONS".into()));
}

#[test]
fn lists_tell_how_long_they_are() {
    let house = Rc::new(House::default());
    house.total.set(45);
    let (_, body) = ask_as("admin", &house, "GET /sessions?page=3&limit=20", "").told();
    assert_eq!(body["pagination"], json!({"page": 3, "limit": 20, "total": 45, "total_pages": 3}));
    ask_as("admin", &house, "GET /sessions?limit=1000", "");
    assert_eq!(house.page.get(), Some(Page { page: 1, limit: 100 }));
}

#[test]
fn the_example_of_one_session() {
    let house = House::replying([Reply::Session(Box::new(running()))]);
    let expected = json!({
        "id": "770e8400-e29b-41d4-a716-446655440002",
        "name": "john-doe-firefox-browser-abc123",
        "namespace": "streamspace",
        "user": "john.doe",
        "template": "firefox-browser",
        "platform": "kubernetes",
        "agent_id": "k8s-prod-us-east-1",
        "state": "running",
        "resources": {"memory": "2Gi", "cpu": "1000m"},
        "persistent_home": true,
        "idle_timeout": "30m",
        "tags": ["project-alpha"],
        "status": {
            "phase": "Running",
            "message": "Session is running",
            "pod_ip": "10.42.1.5",
            "pod_name": "john-doe-firefox-browser-abc123-7c8f9d6b5",
            "vnc_url": "/vnc-viewer/770e8400-e29b-41d4-a716-446655440002",
            "container_id": "abc123def456",
            "started_at": "2025-11-22T10:45:12Z"
        },
        "platform_metadata": {
            "namespace": "streamspace",
            "deployment_name": "john-doe-firefox-browser-abc123",
            "service_name": "john-doe-firefox-browser-abc123",
            "pvc_name": "john-doe-firefox-browser-abc123-home"
        },
        "created_at": "2025-11-22T10:45:00Z",
        "updated_at": "2025-11-22T10:45:12Z",
        "last_activity": "2025-11-22T11:00:00Z"
    });
    assert_eq!(ask_as("john", &house, &format!("GET {}", path()), "").told(), (200, expected));
    assert_eq!(house.asked.take(), [Ask::Look { session: SESSION, caller: john() }]);
}

fn shown(session: Session) -> Value {
    ask_as("john", &House::replying([Reply::Session(Box::new(session))]), &format!("GET {}", path()), "").told().1
}

#[test]
fn a_session_has_a_screen_only_while_it_runs() {
    for (state, wire, phase) in [
        (State::Pending, "pending", "Pending"),
        (State::Hibernating, "running", "Hibernating"),
        (State::Hibernated, "hibernated", "Hibernated"),
        (State::Waking, "pending", "Waking"),
        (State::Terminating, "terminating", "Terminating"),
        (State::Terminated, "terminated", "Terminated"),
        (State::Failed, "failed", "Failed"),
    ] {
        let body = shown(session(state, "words"));
        assert_eq!((&body["state"], &body["status"]["phase"]), (&json!(wire), &json!(phase)));
        assert!(body["status"]["vnc_url"].is_null() && body["status"].as_object().unwrap().len() == 7);
    }
}

#[test]
fn what_is_not_known_is_null() {
    let session = Session { place: Place::default(), agent: None, last_activity: None, ..session(State::Pending, "words") };
    let body = shown(session);
    let status = ["pod_ip", "pod_name", "vnc_url", "container_id", "started_at"].map(|key| body["status"].get(key));
    assert_eq!(status, [Some(&Value::Null); 5]);
    assert_eq!(["agent_id", "platform_metadata", "last_activity"].map(|key| body.get(key)), [Some(&Value::Null); 3]);
}

#[test]
fn what_the_registry_has_forgotten_the_store_still_knows() {
    let ended = session(State::Terminated, "Session terminated");
    let house = |sessions: Vec<Session>| {
        let house = House::replying([Reply::Refused(Refused::NoSession)]);
        house.sessions.replace(sessions);
        house
    };
    let get = format!("GET {}", path());
    assert_eq!(ask_as("john", &house(vec![ended.clone()]), &get, "").told().1["state"], "terminated");
    let others = Session { user: "admin".into(), ..ended.clone() };
    assert_eq!(ask_as("john", &house(vec![others]), &get, "").code(), (403, "AUTH_INSUFFICIENT_PERMISSIONS".into()));
    let (status, body) = ask_as("john", &house(Vec::new()), &get, "").refused();
    assert_eq!((status, &body["error"], &body["code"]), (404, &json!("Session not found"), &json!("SESSION_NOT_FOUND")));
    assert_eq!(body["message"], format!("No session with ID '{SESSION}' exists"));

    assert_eq!(ask_as("john", &house(vec![ended.clone()]), &format!("DELETE {}", path()), "").status, 204);
    assert_eq!(ask_as("john", &house(Vec::new()), &format!("DELETE {}", path()), "").code().0, 404);
    let (status, body) = ask_as("john", &house(vec![ended]), &format!("PATCH {}", path()), json!({"state": "running"})).refused();
    assert_eq!((status, &body["message"]), (400, &json!("Cannot transition from 'terminated' to 'running'")));
}

#[test]
fn what_is_no_id_is_not_there() {
    let simple = SESSION.simple().to_string();
    for id in ["zzz", "770e8400", &simple, &format!("{{{SESSION}}}"), "%20"] {
        for method in ["GET", "PATCH", "DELETE"] {
            let said = ask_as("admin", &Rc::default(), &format!("{method} /sessions/{id}"), "{}");
            assert_eq!(said.code(), (404, "SESSION_NOT_FOUND".into()), "{method} {id}");
        }
    }
    let upper = format!("GET /sessions/{}", SESSION.to_string().to_uppercase());
    let house = House::replying([Reply::Session(Box::new(running()))]);
    assert_eq!(ask_as("admin", &house, &upper, "").status, 200);
}

#[test]
fn the_example_of_a_move() {
    let moved =
        Session { updated_at: at("2025-11-22T11:05:00Z"), ..session(State::Hibernated, "Session hibernated successfully") };
    let house = House::replying([Reply::Session(Box::new(moved))]);
    let expected = json!({
        "id": "770e8400-e29b-41d4-a716-446655440002",
        "state": "hibernated",
        "status": {"phase": "Hibernated", "message": "Session hibernated successfully"},
        "updated_at": "2025-11-22T11:05:00Z"
    });
    let said = ask_as("john", &house, &format!("PATCH {}", path()), json!({"state": "hibernated"}));
    assert_eq!(said.told(), (200, expected));
    assert_eq!(house.asked.take(), [Ask::Move { session: SESSION, caller: john(), to: Target::Hibernated }]);
}

#[test]
fn every_target() {
    for (token, state, to) in [
        ("john", "running", Target::Running),
        ("john", "terminating", Target::Terminating),
        ("admin", "terminated", Target::Terminated),
    ] {
        let house = House::replying([Reply::Session(Box::new(running()))]);
        assert_eq!(ask_as(token, &house, &format!("PATCH {}", path()), json!({"state": state})).status, 200);
        let asked = house.asked.take();
        assert!(matches!(&asked[..], [Ask::Move { to: asked, .. }] if *asked == to), "{state}");
    }
    let said = ask_as("john", &Rc::default(), &format!("PATCH {}", path()), json!({"state": "terminated"}));
    assert_eq!(said.code(), (403, "AUTH_INSUFFICIENT_PERMISSIONS".into()));
    let house = House::replying([Reply::Session(Box::new(running()))]);
    let (status, body) = ask_as("john", &house, &format!("PATCH {}", path()), json!({"state": "pending"})).refused();
    assert_eq!((status, &body["message"]), (400, &json!("Cannot transition from 'running' to 'pending'")));
    refuses(
        &format!("PATCH {}", path()),
        [
            (json!({}), "MISSING_REQUIRED_FIELD", "state"),
            (json!({"state": "zzz"}), "VALIDATION_FAILED", "state"),
            (json!({"state": 1}), "VALIDATION_FAILED", "state"),
        ],
    );
}

#[test]
fn moves_that_are_refused() {
    let ask = |refused| {
        let house = House::replying([Reply::Refused(refused)]);
        ask_as("john", &house, &format!("PATCH {}", path()), json!({"state": "running"})).refused()
    };
    let (status, body) = ask(Refused::NoSuchMove(State::Terminated));
    assert_eq!(
        (status, &body["error"], &body["code"]),
        (400, &json!("Invalid state transition"), &json!("INVALID_STATE_TRANSITION"))
    );
    assert_eq!(body["message"], "Cannot transition from 'terminated' to 'running'");
    for (refused, status, code) in [
        (Refused::NotYours, 403, "AUTH_INSUFFICIENT_PERMISSIONS"),
        (Refused::Terminating, 409, "SESSION_TERMINATING"),
        (Refused::AgentOffline, 503, "AGENT_OFFLINE"),
        (Refused::Full, 503, "AGENT_CAPACITY_EXCEEDED"),
        (Refused::Failed("no".into()), 500, "SESSION_PROVISIONING_FAILED"),
    ] {
        let (told, body) = ask(refused);
        assert_eq!((told, &body["code"]), (status, &json!(code)));
    }
}

#[test]
fn sessions_are_deleted_with_and_without_force() {
    for (query, to) in [
        ("", Target::Terminating),
        ("?force=false", Target::Terminating),
        ("?force=", Target::Terminating),
        ("?force=true", Target::Terminated),
    ] {
        let house = House::replying([Reply::Session(Box::new(running()))]);
        let said = ask_as("john", &house, &format!("DELETE {}{query}", path()), "");
        assert_eq!((said.status, said.body.as_str()), (204, ""));
        assert_eq!(house.asked.take(), [Ask::Move { session: SESSION, caller: john(), to }]);
    }
    let said = ask_as("john", &Rc::default(), &format!("DELETE {}?force=maybe", path()), "");
    assert_eq!(said.about(), ("INVALID_PARAMETER".into(), "force".into()));
    let house = House::replying([Reply::Refused(Refused::NoSession)]);
    assert_eq!(ask_as("john", &house, &format!("DELETE /sessions/{NOBODYS}"), "").code(), (404, "SESSION_NOT_FOUND".into()));
}
