//! Sessions.

use super::super::fakes::{ADMIN, House, NOW, SESS, SESSION, USER, ask_as, at, caller, session};
use crate::{
    protocols::chat::{
        Ask, Reply,
        asks::Refused,
        model::{Session, Status},
        record::{Page, SessionFilter},
    },
    realtime::{StoreFault, UnixMicros},
};
use serde_json::{Value, json};
use std::{rc::Rc, time::Duration};

fn found(session: Session) -> Reply {
    Reply::Session(Box::new(session))
}

fn example() -> Value {
    json!({
        "title": "Customer Support Session",
        "agent_id": "support-agent-v1",
        "metadata": {"customer_id": "C12345", "priority": "high"}
    })
}

fn asked(house: &House) -> Session {
    let Some(Ask::Create(session)) = house.asked.take().pop() else { panic!("nothing was made") };
    *session
}

#[test]
fn the_example_of_a_new_session() {
    for path in ["/sessions", "/sessions/"] {
        let metadata = r#"{"customer_id":"C12345","priority":"high"}"#.into();
        let house = House::replying([found(Session { metadata, created_at: at("2025-12-24T10:00:00Z"), ..session() })]);
        let expected = json!({
            "id": SESS,
            "title": "Customer Support Session",
            "status": "active",
            "agent_id": "support-agent-v1",
            "created_at": "2025-12-24T10:00:00Z",
            "metadata": {"customer_id": "C12345", "priority": "high"}
        });
        assert_eq!(ask_as("user", &house, &format!("POST {path}"), example()).chat(), (201, expected));
        let made = asked(&house);
        assert_eq!((made.owner, made.created_at, made.updated_at, made.ended_at), (USER, at(NOW), at(NOW), None));
        assert_eq!((&*made.title, made.agent.as_deref()), ("Customer Support Session", Some("support-agent-v1")));
        assert_eq!((made.status, made.require_approval, made.message_count), (Status::Active, false, 0));
        assert_eq!(
            (made.id.get_version_num(), serde_json::from_str(&made.metadata).ok()),
            (4, Some(example()["metadata"].clone()))
        );
    }
}

#[test]
fn everything_of_a_new_session_may_be_left_away() {
    for body in ["", "{}", r#"{"title": null, "agent_id": null, "metadata": null, "require_approval": null, "other": 1}"#] {
        let house = House::replying([found(Session { title: "".into(), agent: None, ..session() })]);
        let (status, told) = ask_as("user", &house, "POST /sessions/", body).chat();
        assert_eq!(
            (status, &told["title"], &told["agent_id"], &told["metadata"]),
            (201, &json!("New Session"), &json!(null), &json!({}))
        );
        let made = asked(&house);
        assert_eq!((&*made.title, made.agent, &*made.metadata, made.require_approval), ("", None, "{}", false));
    }
    let house = House::replying([found(session())]);
    ask_as("user", &house, "POST /sessions/", json!({"require_approval": true}));
    assert!(asked(&house).require_approval);
}

#[test]
fn metadata_stay_as_they_were_sent() {
    let metadata = r#"{"b": {"n": 1.500, "big": 123456789012345678901234567890}, "a": [null, "é"]}"#;
    let house = House::replying([found(Session { metadata: metadata.into(), ..session() })]);
    let said = ask_as("user", &house, "POST /sessions/", format!(r#"{{"metadata": {metadata}}}"#));
    assert_eq!(&*asked(&house).metadata, metadata);
    assert!(said.body.contains(metadata), "{}", said.body);
}

#[test]
fn sessions_that_are_none() {
    for (body, field) in [
        (json!({"title": 1}), "title"),
        (json!({"title": "x".repeat(201)}), "title"),
        (json!({"agent_id": []}), "agent_id"),
        (json!({"metadata": []}), "metadata"),
        (json!({"metadata": "x"}), "metadata"),
        (json!({"metadata": {"x": "x".repeat(70_000)}}), "metadata"),
        (json!({"require_approval": "yes"}), "require_approval"),
        (json!([]), "the body"),
    ] {
        let said = ask_as("user", &Rc::default(), "POST /sessions/", &body);
        assert_eq!(said.flat(), (422, "VALIDATION_ERROR".into()), "{body}");
        assert!(said.chat().1["message"].as_str().unwrap().starts_with(field), "{}", said.body);
    }
    assert_eq!(ask_as("user", &Rc::default(), "POST /sessions/", "{\"title\":").flat(), (400, "MESSAGE_INVALID".into()));
}

#[test]
fn an_agent_that_is_not_there() {
    let mut house = House::default();
    house.settings.any_agent = false;
    let house = Rc::new(house);
    assert_eq!(ask_as("user", &house, "POST /sessions/", example()).flat(), (404, "AGENT_NOT_FOUND".into()));
    house.replies.borrow_mut().push_back(found(session()));
    assert_eq!(ask_as("user", &house, "POST /sessions/", json!({"agent_id": "tutor"})).status, 201);
}

#[test]
fn what_is_not_stored_was_not_made() {
    for fault in [StoreFault::Busy, StoreFault::Failed] {
        let house = House::replying([Reply::Refused(Refused::Store(fault))]);
        assert_eq!(ask_as("user", &house, "POST /sessions/", "{}").flat(), (500, "SESSION_CREATE_FAILED".into()));
    }
    let house = House::replying([Reply::Refused(Refused::Stopping)]);
    assert_eq!(ask_as("user", &house, "POST /sessions/", "{}").flat(), (503, "AGENT_UNAVAILABLE".into()));
}

fn shown() -> Value {
    json!({
        "id": SESS,
        "title": "Customer Support Session",
        "status": "active",
        "agent_id": "support-agent-v1",
        "created_at": "2025-12-24T10:00:00Z",
        "updated_at": "2025-12-24T10:05:00Z",
        "message_count": 5,
        "metadata": {}
    })
}

fn not_here() -> Reply {
    Reply::Refused(Refused::NotHere)
}

#[test]
fn the_example_of_a_session_from_its_home_and_from_the_store() {
    for reply in [found(session()), not_here()] {
        let house = House::replying([reply]);
        assert_eq!(ask_as("user", &house, &format!("GET /sessions/{SESS}"), "").chat(), (200, shown()));
        assert_eq!(house.asked.take(), [Ask::Look { session: SESSION, caller: caller(USER) }]);
    }
}

#[test]
fn a_session_is_seen_by_its_owner_and_by_admins() {
    let get = format!("GET /sessions/{SESS}");
    assert_eq!(ask_as("admin", &House::replying([not_here()]), &get, "").status, 200);
    let missing = (404, "SESSION_NOT_FOUND".to_owned());
    assert_eq!(ask_as("stranger", &House::replying([not_here()]), &get, "").flat(), missing);
    assert_eq!(ask_as("stranger", &House::replying([Reply::Refused(Refused::NoSession)]), &get, "").flat(), missing);
    let house = House::replying([not_here()]);
    house.stored.borrow_mut().clear();
    assert_eq!(ask_as("user", &house, &get, "").flat(), missing);
    for id in ["sess_1", "zzz", "0000000000000000000000000000abc1", &SESS.to_uppercase()] {
        assert_eq!(ask_as("user", &Rc::default(), &format!("GET /sessions/{id}"), "").flat(), missing, "{id}");
    }
}

#[test]
fn a_session_that_nobody_spoke_in_has_ended_unless_its_home_knows_better() {
    let silent = || Session { updated_at: UnixMicros(at(NOW).0 - 3_600_000_001), ..session() };
    let status = |reply| {
        let house = House::replying([reply]);
        house.stored.replace(vec![silent()]);
        ask_as("user", &house, &format!("GET /sessions/{SESS}"), "").chat().1["status"].clone()
    };
    assert_eq!((status(not_here()), status(found(silent()))), (json!("ended"), json!("active")));
    assert_eq!(status(found(Session { status: Status::Ended, ..silent() })), "ended");
}

#[test]
fn a_session_whose_agent_is_gone_is_suspended() {
    let mut house = House::default();
    house.settings.any_agent = false;
    house.replies.borrow_mut().push_back(not_here());
    let said = ask_as("user", &Rc::new(house), &format!("GET /sessions/{SESS}"), "");
    assert_eq!(said.chat().1["status"], "suspended");
}

#[test]
fn the_example_of_an_end() {
    let ended = Session { status: Status::Ended, ended_at: Some(at("2025-12-24T11:00:00Z")), ..session() };
    let house = House::replying([found(ended), Reply::Refused(Refused::Ended)]);
    let end = format!("POST /sessions/{SESS}/end");
    let expected = json!({"id": SESS, "status": "ended", "ended_at": "2025-12-24T11:00:00Z"});
    assert_eq!(ask_as("user", &house, &end, "").chat(), (200, expected));
    assert_eq!(ask_as("user", &house, &end, "").flat(), (409, "SESSION_ENDED".into()));
    assert_eq!(house.asked.take()[0], Ask::End { session: SESSION, caller: caller(USER) });
    for (why, status, code) in [
        (Refused::NoSession, 404, "SESSION_NOT_FOUND"),
        (Refused::Store(StoreFault::Failed), 500, "SESSION_UPDATE_FAILED"),
        (Refused::Crowded, 429, "RATE_LIMITED"),
    ] {
        assert_eq!(ask_as("user", &House::replying([Reply::Refused(why)]), &end, "").flat(), (status, code.into()));
    }
}

#[test]
fn the_example_of_the_list() {
    for path in ["/sessions", "/sessions/"] {
        let house = Rc::new(House::default());
        let expected = json!({
            "data": [
                {"id": SESS, "title": "Customer Support Session", "status": "active", "created_at": "2025-12-24T10:00:00Z"}
            ],
            "total": 42,
            "page": 1,
            "page_size": 20,
            "has_more": true
        });
        assert_eq!(ask_as("user", &house, &format!("GET {path}"), "").chat(), (200, expected));
        let expired_before = UnixMicros(at(NOW).0 - 3_600_000_000);
        let filter = SessionFilter { owner: USER, status: None, agent: None, expired_before };
        assert_eq!(house.listed.take(), [(filter, Page { page: 1, size: 20 })]);
    }
}

#[test]
fn a_list_has_pages_and_filters() {
    let house = Rc::new(House::default());
    let more = |query: &str| ask_as("user", &house, &format!("GET /sessions/?{query}"), "").chat().1["has_more"].clone();
    assert_eq!(
        (more("page=2&page_size=21"), more("page=2&page_size=20"), more("page_size=100")),
        (json!(false), json!(true), json!(false))
    );
    house.listed.take();
    ask_as("admin", &house, "GET /sessions/?status=ended&agent_id=support-agent-v1&page=3&page_size=7", "");
    let (filter, page) = house.listed.take().pop().unwrap();
    assert_eq!((filter.owner, filter.status, filter.agent.as_deref()), (ADMIN, Some(Status::Ended), Some("support-agent-v1")));
    assert_eq!(page, Page { page: 3, size: 7 });
    ask_as("user", &house, "GET /sessions/?status=active", "");
    assert_eq!(house.listed.take()[0].0.status, Some(Status::Active));
    let (_, none) = ask_as("user", &house, "GET /sessions/?status=suspended", "").chat();
    assert_eq!((&none["data"], &none["total"], house.listed.take().len()), (&json!([]), &json!(0), 0));
}

#[test]
fn where_sessions_can_be_suspended_they_are_told_apart() {
    let mut house = House::default();
    house.settings.any_agent = false;
    house.stored.replace(vec![session(), Session { agent: None, title: "Mine".into(), ..session() }]);
    let house = Rc::new(house);
    let listed = |status| ask_as("user", &house, &format!("GET /sessions/?status={status}&page_size=1"), "").chat().1;
    let (active, suspended) = (listed("active"), listed("suspended"));
    assert_eq!(
        (&active["total"], &active["data"][0]["title"], &active["data"][0]["status"]),
        (&json!(1), &json!("Mine"), &json!("active"))
    );
    assert_eq!((&suspended["total"], &suspended["data"][0]["status"]), (&json!(1), &json!("suspended")));
    assert_eq!(house.listed.take()[0].1, Page { page: 1, size: 100 });
}

#[test]
fn a_list_that_is_none() {
    for query in ["page=0", "page=x", "page_size=0", "page_size=101", "page_size=-1", "status=created", "page=1&page=2"] {
        let said = ask_as("user", &Rc::default(), &format!("GET /sessions/?{query}"), "");
        assert_eq!(said.flat(), (422, "VALIDATION_ERROR".into()), "{query}");
    }
    assert_eq!(ask_as("user", &Rc::default(), "GET /sessions/?page=&status=&other=1", "").status, 200);
    let house = Rc::new(House::default());
    house.fault.set(Some(StoreFault::Busy));
    assert_eq!(ask_as("user", &house, "GET /sessions/", "").flat(), (503, "SERVICE_UNAVAILABLE".into()));
    assert_eq!(house.settings.session_expiry, Duration::from_secs(3600));
}
