//! Agents.

use super::{
    super::fakes::{House, agent, ask_as, at},
    refuses, refuses_queries,
};
use crate::protocols::labs::{
    asks::{AgentView, Ask, Refused, Reply},
    model::Agent,
};
use serde_json::{Value, json};
use uuid::Uuid;

fn kubernetes() -> AgentView {
    let metadata = json!({"cluster_name": "prod-k8s-cluster", "kubernetes_version": "v1.28.0", "agent_version": "v2.0-beta.1"});
    agent(&metadata, 12)
}

fn docker() -> AgentView {
    let metadata = json!({"docker_version": "24.0.7", "agent_version": "v2.0-beta.1", "ha_backend": "redis", "is_leader": true});
    let view = agent(&metadata, 5);
    let agent = Agent {
        id: Uuid::from_u128(0x660e_8400_e29b_41d4_a716_4466_5544_0001),
        name: "docker-host-01".into(),
        platform: "docker".into(),
        max_sessions: Some(50),
        max_cpu: None,
        max_memory: None,
        created_at: at("2025-11-15T10:00:00Z"),
        updated_at: at("2025-11-22T10:35:02Z"),
        last_heartbeat: Some(at("2025-11-22T10:35:02Z")),
        ..view.agent
    };
    AgentView { agent, connection: Some("conn-def456".into()), ..view }
}

fn named(name: &str, offline: bool, draining: bool) -> AgentView {
    let view = kubernetes();
    let agent = Agent { name: name.into(), draining, ..view.agent };
    AgentView { agent, connection: view.connection.filter(|_| !offline), ..view }
}

fn get(path: &str, agents: Vec<AgentView>) -> (u16, Value) {
    ask_as("admin", &House::replying([Reply::Agents(agents)]), &format!("GET {path}"), "").told()
}

#[test]
fn the_example_of_the_list() {
    let expected = json!({
        "agents": [
            {
                "id": "550e8400-e29b-41d4-a716-446655440000",
                "agent_id": "k8s-prod-us-east-1",
                "platform": "kubernetes",
                "region": "us-east-1",
                "status": "online",
                "capacity": {"max_cpu": 100, "max_memory": 256, "max_sessions": 100, "current_sessions": 12},
                "metadata": {
                    "cluster_name": "prod-k8s-cluster", "kubernetes_version": "v1.28.0", "agent_version": "v2.0-beta.1"
                },
                "websocket_conn_id": "conn-abc123",
                "last_heartbeat": "2025-11-22T10:35:00Z",
                "created_at": "2025-11-01T08:00:00Z",
                "updated_at": "2025-11-22T10:35:00Z"
            },
            {
                "id": "660e8400-e29b-41d4-a716-446655440001",
                "agent_id": "docker-host-01",
                "platform": "docker",
                "region": "us-east-1",
                "status": "online",
                "capacity": {"max_sessions": 50, "current_sessions": 5},
                "metadata": {
                    "docker_version": "24.0.7", "agent_version": "v2.0-beta.1", "ha_backend": "redis", "is_leader": true
                },
                "websocket_conn_id": "conn-def456",
                "last_heartbeat": "2025-11-22T10:35:02Z",
                "created_at": "2025-11-15T10:00:00Z",
                "updated_at": "2025-11-22T10:35:02Z"
            }
        ],
        "pagination": {"page": 1, "limit": 20, "total": 2, "total_pages": 1}
    });
    assert_eq!(get("/agents", vec![docker(), kubernetes()]), (200, expected));
}

fn names(path: &str, agents: Vec<AgentView>) -> Vec<String> {
    let (_, body) = get(path, agents);
    body["agents"].as_array().unwrap().iter().map(|agent| agent["agent_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn filters() {
    let agents = || vec![named("a", false, false), named("b", false, true), named("c", true, true), docker()];
    for (query, expected) in [
        ("", &["a", "b", "c", "docker-host-01"][..]),
        ("?status=online", &["a", "docker-host-01"]),
        ("?status=draining", &["b"]),
        ("?status=offline", &["c"]),
        ("?status=", &["a", "b", "c", "docker-host-01"]),
        ("?platform=docker&status=online", &["docker-host-01"]),
        ("?region=us-east-1&platform=kubernetes", &["a", "b", "c"]),
        ("?region=mars", &[]),
    ] {
        assert_eq!(names(&format!("/agents{query}"), agents()), expected, "{query}");
    }
    refuses_queries("/agents", &[("status=sleepy", "status"), ("platform=a&platform=b", "platform")]);
}

#[test]
fn pages() {
    let agents = || (0..45).map(|n| named(&format!("a{n:02}"), false, false)).collect::<Vec<_>>();
    let pagination = |path: &str| get(path, agents()).1["pagination"].clone();
    assert_eq!(names("/agents?page=3&limit=20", agents()), ["a40", "a41", "a42", "a43", "a44"]);
    assert_eq!(pagination("/agents?page=3&limit=20"), json!({"page": 3, "limit": 20, "total": 45, "total_pages": 3}));
    assert_eq!(pagination("/agents?limit=1000"), json!({"page": 1, "limit": 100, "total": 45, "total_pages": 1}));
    assert_eq!(names("/agents?page=4294967295&limit=100", agents()), [""; 0]);
    assert_eq!(names("/agents?page=99999999999999999999", agents()), [""; 0]);
    let none = get("/agents", Vec::new()).1;
    assert_eq!(none, json!({"agents": [], "pagination": {"page": 1, "limit": 20, "total": 0, "total_pages": 0}}));
    for path in ["/agents", "/sessions", "/templates", "/users"] {
        refuses_queries(
            path,
            &[("page=0", "page"), ("page=x", "page"), ("limit=0", "limit"), ("limit=-1", "limit"), ("limit=1.5", "limit")],
        );
    }
}

#[test]
fn the_example_of_one_agent() {
    let metadata = json!({
        "cluster_name": "prod-k8s-cluster", "kubernetes_version": "v1.28.0", "agent_version": "v2.0-beta.1",
        "ha_enabled": true, "is_leader": true, "lease_name": "k8s-agent-leader"
    });
    let expected = json!({
        "id": "550e8400-e29b-41d4-a716-446655440000",
        "agent_id": "k8s-prod-us-east-1",
        "platform": "kubernetes",
        "region": "us-east-1",
        "status": "online",
        "capacity": {"max_cpu": 100, "max_memory": 256, "max_sessions": 100, "current_sessions": 1},
        "metadata": metadata,
        "websocket_conn_id": "conn-abc123",
        "last_heartbeat": "2025-11-22T10:35:00Z",
        "uptime_seconds": 2_592_000,
        "sessions": [
            {
                "id": "770e8400-e29b-41d4-a716-446655440002",
                "name": "admin-firefox-browser-abc123",
                "user": "admin",
                "template": "firefox-browser",
                "state": "running"
            }
        ],
        "created_at": "2025-11-01T08:00:00Z",
        "updated_at": "2025-11-22T10:35:00Z"
    });
    assert_eq!(get("/agents/k8s-prod-us-east-1", vec![docker(), agent(&metadata, 1)]), (200, expected));
}

#[test]
fn an_agent_that_left_has_neither_connection_nor_uptime() {
    let view = AgentView { connection: None, connected_at: None, ..kubernetes() };
    let (_, body) = get("/agents/k8s-prod-us-east-1", vec![view]);
    assert_eq!(body["status"], "offline");
    assert!(body["websocket_conn_id"].is_null() && body["uptime_seconds"].is_null() && body.as_object().unwrap().len() == 13);
}

#[test]
fn users_see_their_own_sessions_at_an_agent() {
    let house = House::replying([Reply::Agents(vec![kubernetes()])]);
    let (_, body) = ask_as("john", &house, "GET /agents/k8s-prod-us-east-1", "").told();
    let sessions = body["sessions"].as_array().unwrap();
    assert!(sessions.len() == 11 && sessions.iter().all(|session| session["user"] == "john.doe"));
    assert_eq!(body["capacity"]["current_sessions"], 12);
}

#[test]
fn the_example_of_an_agent_that_is_not_there() {
    let house = House::replying([Reply::Agents(vec![kubernetes()])]);
    let (status, body) = ask_as("admin", &house, "GET /agents/invalid-agent-id", "").refused();
    assert_eq!((status, &body["error"], &body["code"]), (404, &json!("Agent not found"), &json!("AGENT_NOT_FOUND")));
    assert_eq!(body["message"], "No agent with ID 'invalid-agent-id' exists");
}

#[test]
fn the_example_of_a_drained_agent() {
    let mut view = named("k8s-prod-us-east-1", false, true);
    view.agent.updated_at = at("2025-11-22T10:40:00Z");
    let house = House::replying([Reply::Agent(Box::new(view))]);
    let said = ask_as("admin", &house, "PATCH /agents/k8s-prod-us-east-1", json!({"status": "draining"}));
    let expected = json!({
        "id": "550e8400-e29b-41d4-a716-446655440000",
        "agent_id": "k8s-prod-us-east-1",
        "status": "draining",
        "updated_at": "2025-11-22T10:40:00Z"
    });
    assert_eq!(said.told(), (200, expected));
    assert_eq!(house.asked.take(), [Ask::Drain { agent: "k8s-prod-us-east-1".into(), draining: true }]);

    let house = House::replying([Reply::Refused(Refused::NoAgent)]);
    let said = ask_as("admin", &house, "PATCH /agents/zzz", json!({"status": "online"}));
    let (status, body) = said.refused();
    assert_eq!((status, &body["message"]), (404, &json!("No agent with ID 'zzz' exists")));
    assert_eq!(house.asked.take(), [Ask::Drain { agent: "zzz".into(), draining: false }]);
}

#[test]
fn an_admin_removes_an_agent() {
    let remove = |reply| ask_as("admin", &House::replying([reply]), "DELETE /agents/k8s-prod-us-east-1", "");
    let house = House::replying([Reply::Agent(Box::new(named("k8s-prod-us-east-1", true, false)))]);
    let said = ask_as("admin", &house, "DELETE /agents/k8s-prod-us-east-1", "");
    assert_eq!((said.status, said.body.as_str(), said.header("x-ratelimit-remaining")), (204, "", Some("99")));
    assert_eq!(house.asked.take(), [Ask::Forget { agent: "k8s-prod-us-east-1".into() }]);
    assert_eq!(remove(Reply::Refused(Refused::AgentInUse)).code(), (409, "AGENT_IN_USE".into()));
    let (status, body) = remove(Reply::Refused(Refused::NoAgent)).refused();
    assert_eq!((status, &body["message"]), (404, &json!("No agent with ID 'k8s-prod-us-east-1' exists")));
    let house = House::replying([]);
    let said = ask_as("john", &house, "DELETE /agents/k8s-prod-us-east-1", "");
    assert_eq!((said.code(), house.asked.take()), ((403, "AUTH_INSUFFICIENT_PERMISSIONS".into()), vec![]));
}

#[test]
fn nobody_is_offline_by_order() {
    refuses(
        "PATCH /agents/a",
        [
            (json!({"status": "offline"}), "VALIDATION_FAILED", "status"),
            (json!({"status": "zzz"}), "VALIDATION_FAILED", "status"),
            (json!({"status": true}), "VALIDATION_FAILED", "status"),
            (json!({}), "MISSING_REQUIRED_FIELD", "status"),
        ],
    );
}

#[test]
fn the_example_of_the_statistics() {
    let sized = |name: &str, platform: &str, draining, most, sessions| {
        let mut view = agent(&json!({}), sessions);
        view.agent = Agent { name: name.into(), platform: platform.into(), draining, max_sessions: Some(most), ..view.agent };
        view
    };
    let agents = vec![
        sized("a", "kubernetes", false, 100, 10),
        sized("b", "kubernetes", true, 50, 5),
        sized("c", "kubernetes", false, 50, 10),
        sized("d", "docker", false, 50, 10),
        sized("e", "docker", false, 50, 10),
    ];
    let expected = json!({
        "total_agents": 5,
        "online_agents": 4,
        "offline_agents": 0,
        "draining_agents": 1,
        "by_platform": {"kubernetes": 3, "docker": 2},
        "total_capacity": {"max_sessions": 300, "current_sessions": 45},
        "utilization": {"percentage": 15.0, "sessions_available": 255}
    });
    assert_eq!(get("/agents/stats", agents), (200, expected));
    let (_, none) = get("/agents/stats", Vec::new());
    assert_eq!(none["utilization"], json!({"percentage": 0.0, "sessions_available": 0}));
    let (_, thirds) = get("/agents/stats", vec![sized("a", "host", false, 3, 1), named("b", true, true)]);
    assert_eq!((&thirds["offline_agents"], &thirds["draining_agents"]), (&json!(1), &json!(0)));
    let (_, third) = get("/agents/stats", vec![sized("a", "host", false, 3, 1)]);
    assert_eq!(third["utilization"]["percentage"], 33.3);
}

#[test]
fn what_the_registry_cannot_do_is_told() {
    for (reply, status, code) in [
        (Reply::Refused(Refused::Store(crate::realtime::StoreFault::Busy)), 503, "SERVICE_UNAVAILABLE"),
        (Reply::Logs(Vec::new()), 500, "INTERNAL_ERROR"),
    ] {
        let said = ask_as("admin", &House::replying([reply]), "GET /agents", "");
        assert_eq!(said.code(), (status, code.into()));
    }
}
