//! The internal routes, asked.

use super::*;
use crate::http::{
    fakes::{self, FULL, House, Said},
    table::Table,
};
use std::rc::Rc;

fn ask(house: &Rc<House>, request: &str) -> Said {
    fakes::ask(&Table::default().with("", routes()).unwrap(), house, request)
}

#[test]
fn no_page_in_a_browser_may_call() {
    let house = Rc::new(House::default());
    let body = r#"{"entity_type":"ban","operation":"created","payload":{}}"#;
    let path = format!("POST /api/v1/classrooms/{FULL}/events");
    for (header, status) in [("", 200), ("\norigin: https://evil.example", 403), ("\norigin: null", 403)] {
        assert_eq!(ask(&house, &format!("{path}{header}\n\n{body}")).status, status, "{header}");
    }
}

#[test]
fn a_session_is_ended_or_not_there() {
    let house = Rc::new(House::default());
    let request =
        |agent| format!(r#"DELETE /api/v1/sessions{}{{"session_key":{{"agent_id":"{agent}","classroom_id":"{FULL}"}}}}"#, "\n\n");
    let said = ask(&house, &request("web.u2.dev"));
    assert_eq!((said.status, said.kind(), said.body.as_str()), (200, "application/json", r#"{"type":"delete_success"}"#));
    let said = ask(&house, &request("web.u7.dev"));
    assert_eq!((said.status, said.body.as_str()), (404, r#"{"type":"delete_failure","payload":"not_found"}"#));
}

#[test]
fn a_session_key_of_the_wrong_shape_is_told_from_no_json() {
    let house = Rc::new(House::default());
    for (body, status) in [("{}", 422), (r#"{"session_key":{"agent_id":"a","classroom_id":"b"}}"#, 422), ("x", 400), ("", 400)] {
        assert_eq!(ask(&house, &format!("DELETE /api/v1/sessions\n\n{body}")).status, status, "{body}");
    }
}

#[test]
fn an_event_goes_on_with_its_payload_untouched() {
    let house = Rc::new(House::default());
    let body = r#"{"entity_type":"ban","operation":"created","payload":{ "z":1.0, "a":"\u00e9", "z":[] },"sequence_id":7,"receiver":"web.u1.dev","more":0}"#;
    let said = ask(&house, &format!("POST /api/v1/classrooms/{FULL}/events\n\n{body}"));
    assert_eq!((said.status, said.body.as_str()), (200, r#"{"sequence_id":7,"members":1}"#));
    let published = house.published.take();
    let expected = Publication {
        entity_type: "ban".into(),
        operation: "created".into(),
        sequence_id: Some(7),
        payload: r#"{ "z":1.0, "a":"\u00e9", "z":[] }"#.into(),
        receiver: Some("web.u1.dev".into()),
        sender: None,
    };
    assert_eq!(published, [(FULL.parse().unwrap(), expected)]);
}

#[test]
fn an_event_needs_only_names_and_an_object() {
    let house = Rc::new(House::default());
    let said = ask(&house, &format!("POST /api/v1/classrooms/{FULL}/events\n\n{}", event("a", "b", "{}")));
    assert_eq!((said.status, said.body.as_str()), (200, r#"{"sequence_id":100,"members":3}"#));
}

fn event(entity_type: &str, operation: &str, payload: &str) -> String {
    format!(r#"{{"entity_type":"{entity_type}","operation":"{operation}","payload":{payload}}}"#)
}

#[test]
fn an_event_of_the_wrong_shape_goes_nowhere() {
    let house = Rc::new(House::default());
    let long = "a".repeat(65);
    for (body, status) in [
        (event("", "b", "{}"), 422),
        (event("Ban", "b", "{}"), 422),
        (event("a", "b-c", "{}"), 422),
        (event("a", &long, "{}"), 422),
        (event("a", "b", "[]"), 422),
        (event("a", "b", "null"), 422),
        (event("a", "b", "{"), 400),
        (event("a", "b", "{\"x\":}"), 400),
        (r#"{"entity_type":"a","operation":"b"}"#.into(), 422),
        (r#"{"entity_type":"a","operation":"b","payload":{},"sequence_id":"1"}"#.into(), 422),
    ] {
        assert_eq!(ask(&house, &format!("POST /api/v1/classrooms/{FULL}/events\n\n{body}")).status, status, "{body}");
    }
    assert_eq!(ask(&house, &format!("POST /api/v1/classrooms/none/events\n\n{}", event("a", "b", "{}"))).status, 400);
    assert!(house.published.take().is_empty());
}

#[test]
fn attendance_asks_for_no_token() {
    let house = Rc::new(House::default());
    let said = ask(&house, &format!("GET /api/v1/classrooms/{FULL}/attendance?format=csv&from=0&to=2026-01-01T00:00:00Z"));
    assert_eq!((said.status, said.kind()), (200, "text/csv; charset=utf-8"));
    assert_eq!(house.range.get(), (0, 1_767_225_600_000_000));
    ask(&house, &format!("GET /api/v1/classrooms/{FULL}/attendance"));
    assert_eq!(house.range.get(), (fakes::NOW.0 - 86_400_000_000, fakes::NOW.0));
}

#[test]
fn operators_see_metrics_life_and_readiness() {
    let house = Rc::new(House::default());
    let said = ask(&house, "GET /metrics");
    assert_eq!((said.status, said.body.as_str()), (200, "# EOF\n"));
    assert_eq!(ask(&house, "GET /livez").status, 200);
    assert_eq!(ask(&house, "GET /readyz").status, 200);
    house.unready.replace(vec!["the store does not answer".into(), "draining".into()]);
    let said = ask(&house, "GET /readyz");
    assert_eq!((said.status, said.body.as_str()), (503, "the store does not answer\ndraining\n"));
    assert_eq!(ask(&house, "GET /livez").status, 200);
}

#[test]
fn a_room_whose_home_does_not_answer_in_time_is_busy() {
    let house = Rc::new(House::default());
    house.is_mute.set(true);
    let event = r#"{"entity_type":"ban","operation":"created","payload":{}}"#;
    let closing = format!(r#"{{"session_key":{{"agent_id":"web.u2.dev","classroom_id":"{FULL}"}}}}"#);
    for request in [format!("POST /api/v1/classrooms/{FULL}/events\n\n{event}"), format!("DELETE /api/v1/sessions\n\n{closing}")]
    {
        let said = ask(&house, &request);
        assert_eq!((said.status, said.error().0.as_str()), (503, "database_connection_acquisition_failed"), "{request}");
    }
}

#[test]
fn pages_get_no_leave() {
    let house = Rc::new(House::default());
    let said = ask(&house, "OPTIONS /api/v1/sessions\norigin: https://a.example\naccess-control-request-method: DELETE");
    assert_eq!((said.status, said.header("allow")), (405, Some("DELETE")));
    assert_eq!(said.header("access-control-allow-origin"), None);
    assert_eq!(ask(&house, "GET /nowhere").header("access-control-allow-origin"), None);
}

#[test]
fn occupied_rooms_are_listed_with_a_bound() {
    let house = Rc::new(House::default());
    let said = ask(&house, "GET /api/v1/classrooms");
    assert_eq!((said.status, said.body), (200, format!(r#"[{{"classroom_id":"{FULL}","members":3}}]"#)));
    assert_eq!(house.limit.get(), 100);
    assert_eq!(ask(&house, "GET /api/v1/classrooms?limit=5000").status, 200);
    assert_eq!(house.limit.get(), 1000);
    assert_eq!(ask(&house, "GET /api/v1/classrooms?limit=-1").status, 400);
}

#[test]
fn a_node_tells_of_itself_and_of_those_beside_it() {
    let said = ask(&Rc::new(House::default()), "GET /api/v1/node");
    let expected = serde_json::json!({
        "version": "1.0", "shards": 2, "started_at": "2026-01-02T03:04:05Z", "phase": "draining",
        "drain": {"elapsed_seconds": 1.5, "limit_seconds": 10.0},
        "keys": [{"name": "presence", "written_at": "2026-01-02T03:04:05Z"}, {"name": "quiz", "written_at": null}],
        "certificates": [{
            "listener": "quiz", "subject": "CN=school", "not_before": "2026-01-02T03:04:05Z", "not_after": "2026-01-02T03:04:05Z",
        }],
        "key_sets": [{
            "api": "quiz", "issuer": "id.example.org", "place": "https://id.example.org/jwks", "read_at": "2026-01-02T03:04:05Z",
            "changed_at": null, "keys": 2, "former": 1, "fault": "answered 500",
        }],
        "nodes": [
            {"name": "a", "slot": 0, "epoch": 7, "version": "1.0", "is_alive": true, "is_self": true},
            {"name": "b", "slot": 1, "epoch": 7, "version": "1.0", "is_alive": false, "is_self": false},
        ],
    });
    assert_eq!((said.status, serde_json::from_str::<serde_json::Value>(&said.body).unwrap()), (200, expected));
}
