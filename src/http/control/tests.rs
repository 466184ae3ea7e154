//! The routes of operators, asked.

use super::*;
use crate::{
    http::{
        fakes::{self, Said},
        table::Table,
    },
    realtime::{ConnId, ShardId},
};
use serde_json::{Value, json};
use std::{cell::RefCell, rc::Rc};

/// Its one operator has the token `good`; `plain` is a user's.
#[derive(Default)]
struct House {
    for_operators_only: bool,
    is_stopping: bool,
    faults: Vec<String>,
    kicked: RefCell<Vec<Whom>>,
    drained: RefCell<Vec<Option<Paced>>>,
    looked: RefCell<Vec<Most>>,
}

impl Control for House {
    fn is_for_operators_only(&self) -> bool {
        self.for_operators_only
    }

    async fn operator(&self, token: &str) -> Result<Operator, NoOperator> {
        match token {
            "good" => Ok(Operator("ada".into())),
            "plain" => Err(NoOperator::NoAdmin),
            "late" => Err(NoOperator::Store(StoreFault::Busy)),
            _ => Err(NoOperator::Unknown),
        }
    }

    async fn status(&self) -> Status {
        Status {
            version: "1.0",
            started_at: UnixMicros(1_000_000),
            now: UnixMicros(61_500_000),
            phase: "serving",
            drain: None,
            unready: vec!["store: busy".into()],
            shards: 2,
            connections: 7,
            sockets: vec![("presence", 5)],
            rooms: 1,
            members: 5,
            slow_readers: 3,
        }
    }

    async fn kick(&self, whom: Whom) -> (u64, u16) {
        self.kicked.borrow_mut().push(whom);
        (3, 0)
    }

    async fn look(&self, most: Most) -> Load {
        self.looked.borrow_mut().push(most);
        let conn = ConnId { shard: ShardId(0), generation: 3, slot: 12 };
        Load {
            at: UnixMicros(2_500_000),
            shards: vec![ShardLoad { worked: Some(Duration::from_millis(1500)), connections: 7, ..ShardLoad::default() }],
            rooms: vec![RoomSeen { classroom: fakes::FULL.parse().unwrap(), members: 3, rate: None }],
            readers: vec![ReaderSeen { conn, api: "presence", user: Some("bob".into()), waiting: 10, bound: 20 }],
            closed: vec![("1008".into(), 2)],
        }
    }

    async fn reload(&self) -> Result<Changed, Vec<String>> {
        let changed = Changed { settings: vec!["log.level".into()], keys: vec![], waiting: vec!["shards".into()] };
        if self.faults.is_empty() { Ok(changed) } else { Err(self.faults.clone()) }
    }

    async fn drain(&self, pace: Option<Paced>) -> Result<Duration, NoDrain> {
        self.drained.borrow_mut().push(pace);
        if self.is_stopping { Err(NoDrain::Stopping) } else { Ok(Duration::from_secs(10)) }
    }
}

fn ask(house: House, request: &str) -> (Said, Rc<House>) {
    let house = Rc::new(house);
    (fakes::ask(&Table::default().with("", routes()).unwrap(), &house, request), house)
}

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.body).unwrap()
}

#[test]
fn whoever_reaches_the_listener_may_unless_operators_alone_do() {
    const STATUS: &str = "GET /api/v1/control/status";
    for (only, header, status, error) in [
        (false, "", 200, None),
        (false, "\nauthorization: Bearer good", 200, None),
        (false, "\nauthorization: Bearer none", 401, Some("bad_token")),
        (false, "\nauthorization: Bearer plain", 403, Some("no_operator")),
        (false, "\norigin: https://evil.example", 403, Some("no_page")),
        (true, "", 401, Some("no_token")),
        (true, "\nauthorization: Basic YTpi", 401, Some("bad_token")),
        (true, "\nauthorization: Bearer good", 200, None),
        (true, "\nauthorization: Bearer plain", 403, Some("no_operator")),
        (true, "\nauthorization: Bearer late", 503, None),
    ] {
        let (said, _) = ask(House { for_operators_only: only, ..House::default() }, &format!("{STATUS}{header}"));
        assert_eq!(said.status, status, "{header}");
        assert!(error.is_none_or(|error| json_of(&said)["error"] == error), "{header}: {}", said.body);
        assert_eq!(said.header("www-authenticate").is_some(), status == 401);
    }
}

#[test]
fn nothing_is_done_for_one_who_may_not() {
    for what in ["kick", "reload", "drain"] {
        let house = House { for_operators_only: true, ..House::default() };
        let (said, house) = ask(house, &format!("POST /api/v1/control/{what}\n\n{{\"user\":\"x\"}}"));
        assert_eq!(said.status, 401, "{what}");
        assert!(house.kicked.borrow().is_empty());
    }
}

#[test]
fn a_status_tells_why_it_is_not_ready() {
    let (said, _) = ask(House::default(), "GET /api/v1/control/status");
    let expected = json!({
        "version": "1.0", "started_at": "1970-01-01T00:00:01Z", "uptime_seconds": 60.5, "phase": "serving", "drain": null,
        "ready": false, "reasons": ["store: busy"], "shards": 2, "connections": 7, "sockets": {"presence": 5}, "classrooms": 1,
        "members": 5, "slow_readers": 3,
    });
    assert_eq!((said.status, json_of(&said)), (200, expected));
}

#[test]
fn one_kind_of_connections_is_named_and_no_other_shape_goes_through() {
    let conn = ConnId { shard: ShardId(0), generation: 3, slot: 12 };
    for (body, whom) in [
        (r#"{"user":"ada"}"#.to_owned(), Whom::User("ada".into())),
        (format!(r#"{{"classroom":"{}"}}"#, fakes::FULL), Whom::Classroom(fakes::FULL.parse().unwrap())),
        (r#"{"connection":"0:12.3"}"#.to_owned(), Whom::Connection(conn)),
    ] {
        let (said, house) = ask(House::default(), &format!("POST /api/v1/control/kick\n\n{body}"));
        assert_eq!((said.status, json_of(&said)), (200, json!({"closed": 3, "silent_shards": 0})));
        assert_eq!(house.kicked.take(), [whom]);
    }
    for (body, status) in [
        ("{}", 422),
        ("x", 400),
        (r#"{"user":""}"#, 422),
        (r#"{"user":"a","connection":"0:1.2"}"#, 422),
        (r#"{"connection":"12"}"#, 422),
        (r#"{"classroom":"12"}"#, 422),
        (r#"{"users":"a"}"#, 422),
    ] {
        let (said, house) = ask(House::default(), &format!("POST /api/v1/control/kick\n\n{body}"));
        assert_eq!(said.status, status, "{body}");
        assert!(house.kicked.borrow().is_empty());
    }
}

#[test]
fn a_look_is_bounded() {
    let (said, house) = ask(House::default(), "GET /api/v1/control/load?rooms=7&readers=100000");
    assert_eq!(house.looked.take(), [Most { rooms: 7, readers: 500 }]);
    let told = json_of(&said);
    assert_eq!(told["shards"][0]["worked_seconds"], 1.5);
    assert_eq!(told["classrooms"], json!([{"classroom_id": fakes::FULL, "members": 3, "published_a_second": null}]));
    let reader = json!({"connection": "0:12.3", "api": "presence", "user": "bob", "waiting_bytes": 10, "bound_bytes": 20});
    assert_eq!((&told["slow_readers"][0], &told["closed"], &told["at_seconds"]), (&reader, &json!({"1008": 2}), &json!(2.5)));
    assert_eq!(ask(House::default(), "GET /api/v1/control/load?rooms=-1").0.status, 400);
}

#[test]
fn a_reload_and_a_drain_tell_what_came_of_them() {
    let (said, _) = ask(House::default(), "POST /api/v1/control/reload");
    let changed = json!({"changed": ["log.level"], "keys": [], "waiting": ["shards"]});
    assert_eq!((said.status, json_of(&said)), (200, changed));
    let (said, _) = ask(House { faults: vec!["a: b".into()], ..House::default() }, "POST /api/v1/control/reload");
    let refused = json!({"error": "reload_refused", "message": "Nothing was changed", "faults": ["a: b"]});
    assert_eq!((said.status, json_of(&said)), (422, refused));
    let (said, _) = ask(House::default(), "POST /api/v1/control/drain");
    assert_eq!((said.status, json_of(&said)), (202, json!({"at_most_seconds": 10.0})));
    let (said, _) = ask(House { is_stopping: true, ..House::default() }, "POST /api/v1/control/drain");
    assert_eq!((said.status, json_of(&said)["error"].as_str().map(str::to_owned)), (409, Some("stopping".to_owned())));
}

#[test]
fn a_drain_has_a_pace_or_none_and_bounds() {
    let seconds = Duration::from_secs_f64;
    for (body, pace) in [
        ("", None),
        ("{}", None),
        (r#"{"over_seconds":60}"#, Some(Paced { over: seconds(60.0), lead: seconds(5.0) })),
        (r#"{"over_seconds":1.5,"lead_seconds":0}"#, Some(Paced { over: seconds(1.5), lead: Duration::ZERO })),
        (r#"{"over_seconds":86400}"#, Some(Paced { over: seconds(86_400.0), lead: seconds(5.0) })),
    ] {
        let (said, house) = ask(House::default(), &format!("POST /api/v1/control/drain\n\n{body}"));
        assert_eq!((said.status, house.drained.take()), (202, vec![pace]), "{body}");
    }
    for (body, status) in [
        (r#"{"lead_seconds":5}"#, 422),
        (r#"{"over_seconds":-1}"#, 422),
        (r#"{"over_seconds":86401}"#, 422),
        (r#"{"over_seconds":1e300}"#, 422),
        (r#"{"over_seconds":"60s"}"#, 422),
        (r#"{"over_seconds":60,"lead_seconds":-0.1}"#, 422),
        (r#"{"over":60}"#, 422),
        ("60", 422),
        ("60s", 400),
    ] {
        let (said, house) = ask(House::default(), &format!("POST /api/v1/control/drain\n\n{body}"));
        assert_eq!((said.status, house.drained.take()), (status, vec![]), "{body}: {}", said.body);
    }
}
