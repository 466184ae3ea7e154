//! Agents of the second dialect, by HTTP.

use super::super::fakes::{House, agent, ask};
use crate::{
    http::fakes::Said,
    protocols::labs::{
        asks::{Ask, LimitKey, Refused, Reply, Window},
        letters::{Capacity, Dialect, Hello},
        limits::address,
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::rc::Rc;

const REGISTER: &str = "POST /agents/register";
const HEARTBEAT: &str = "POST /agents/k8s-prod-us-east-1/heartbeat";
const KEY: &str = "the-key-of-this-house";

fn body() -> Value {
    json!({
        "agentId": "k8s-prod-us-east-1", "platform": "kubernetes", "region": "us-east-1",
        "capacity": {"maxSessions": 100, "cpu": "100 cores", "memory": "256Gi", "storage": "1Ti"},
        "metadata": {"kubernetesVersion": "1.28"}
    })
}

fn enrolled(new: bool) -> Reply {
    let agent = Box::new(agent(&json!({"kubernetesVersion": "1.28"}), 0));
    Reply::Enrolled { new, agent }
}

fn says(house: &Rc<House>, request: &str, key: Option<&str>, body: impl ToString) -> Said {
    let header = key.map(|key| format!("\nx-agent-api-key: {key}")).unwrap_or_default();
    ask(house, &format!("{request}{header}\n\n{}", body.to_string()))
}

#[test]
fn new_then_known() {
    for (new, status) in [(true, 201), (false, 200)] {
        let house = House::replying([enrolled(new)]);
        let expected = json!({
            "id": "550e8400-e29b-41d4-a716-446655440000",
            "agentId": "k8s-prod-us-east-1",
            "platform": "kubernetes",
            "region": "us-east-1",
            "status": "online",
            "capacity": {"maxSessions": 100, "cpu": 100, "memory": 256},
            "lastHeartbeat": "2025-11-22T10:35:00Z",
            "metadata": {"kubernetesVersion": "1.28"},
            "createdAt": "2025-11-01T08:00:00Z",
            "updatedAt": "2025-11-22T10:35:00Z"
        });
        assert_eq!(says(&house, REGISTER, None, body()).told(), (status, expected));
        let hello = Hello {
            dialect: Dialect::Field,
            name: "k8s-prod-us-east-1".into(),
            platform: "kubernetes".into(),
            region: "us-east-1".into(),
            capacity: Capacity { max_sessions: Some(100), max_cpu: Some(100.0), max_memory: Some(256.0), current_sessions: None },
            metadata: r#"{"kubernetesVersion":"1.28"}"#.into(),
        };
        assert_eq!(house.asked.take(), [Ask::Enrol(Box::new(hello))]);
    }
}

#[test]
fn a_registration_that_is_none_asks_nothing() {
    let without = |name: &str| {
        let mut body = body();
        body.as_object_mut().unwrap().remove(name);
        body
    };
    for (body, code, field) in [
        (json!([]), "VALIDATION_FAILED", ""),
        (without("agentId"), "MISSING_REQUIRED_FIELD", "agentId"),
        (without("platform"), "MISSING_REQUIRED_FIELD", "platform"),
        (json!({"agentId": "a/b", "platform": "docker"}), "VALIDATION_FAILED", "agentId"),
        (json!({"agentId": "a", "platform": "docker", "capacity": 5}), "VALIDATION_FAILED", "capacity"),
    ] {
        let house = Rc::new(House::default());
        assert_eq!(says(&house, REGISTER, None, &body).about(), (code.into(), field.into()), "{body}");
        assert!(house.asked.take().is_empty());
    }
}

#[test]
fn a_heartbeat() {
    let house = House::replying([Reply::Agent(Box::new(agent(&json!({}), 0)))]);
    let said = says(&house, HEARTBEAT, None, json!({"status": "online", "activeSessions": 3, "capacity": {"maxSessions": 7}}));
    let expected = json!({
        "message": "Heartbeat updated", "agentId": "k8s-prod-us-east-1", "status": "online", "lastHeartbeat": "2025-11-22T10:35:00Z"
    });
    assert_eq!(said.told(), (200, expected));
    let capacity = Capacity { max_sessions: Some(7), current_sessions: Some(3), ..Capacity::default() };
    assert_eq!(house.asked.take(), [Ask::Pulse { agent: "k8s-prod-us-east-1".into(), capacity }]);
    let house = House::replying([Reply::Refused(Refused::NoAgent)]);
    assert_eq!(says(&house, HEARTBEAT, None, "").code(), (404, "AGENT_NOT_FOUND".into()));
    assert_eq!(says(&Rc::default(), HEARTBEAT, None, "no").code(), (400, "VALIDATION_FAILED".into()));
}

#[test]
fn where_a_key_is_set_it_must_be_shown() {
    for request in [REGISTER, HEARTBEAT] {
        for (key, expected) in
            [(None, (401, "AUTH_TOKEN_INVALID")), (Some("another-key-entirely"), (403, "AUTH_INSUFFICIENT_PERMISSIONS"))]
        {
            let house = Rc::new(House::default());
            house.agent_key.set(Some(KEY));
            assert_eq!(says(&house, request, key, body()).code(), (expected.0, expected.1.into()), "{request}");
            assert!(house.asked.take().is_empty());
        }
    }
    let house = House::replying([enrolled(true)]);
    house.agent_key.set(Some(KEY));
    assert_eq!(says(&house, REGISTER, Some(KEY), body()).status, 201);
}

#[test]
fn agents_take_nothing_from_people_at_the_same_address() {
    let house = Rc::new(House::default());
    let key = address(0xffff_c000_0201);
    for (request, window) in [
        (REGISTER, Window::Agent),
        (HEARTBEAT, Window::Agent),
        ("POST /agents/a/heartbeat\nauthorization: Bearer admin", Window::Agent),
        ("GET /agents/a/heartbeat", Window::Other),
        ("POST /agents/a/b/heartbeat", Window::Other),
        ("POST /agents/a", Window::Other),
    ] {
        house.counts.borrow_mut().clear();
        house.agent_key.set(Some(KEY));
        ask(&house, request);
        assert_eq!(house.counts.borrow().keys().collect::<Vec<_>>(), [&(key, window)], "{request}");
    }
    let said = ask(&house, REGISTER);
    assert_eq!((said.header("x-ratelimit-limit"), LimitKey::Address(0xffff_c000_0201)), (Some("6000"), key));
}

#[test]
fn what_the_registry_cannot_do_is_told() {
    for (refused, expected) in
        [(Refused::TooManyAgents, (503, "AGENT_LIMIT_REACHED")), (Refused::Store(StoreFault::Failed), (500, "INTERNAL_ERROR"))]
    {
        let house = House::replying([Reply::Refused(refused)]);
        assert_eq!(says(&house, REGISTER, None, body()).code(), (expected.0, expected.1.into()));
    }
}
