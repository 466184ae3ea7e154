//! Agents, what is for anybody, tokens, and what is no route.

use super::super::fakes::{EXECUTION, House, TASK, ask, ask_as, task};
use crate::protocols::tasks::{Ask, Reply, model::Kind};
use serde_json::json;
use std::rc::Rc;

#[test]
fn agents_are_listed_and_shown() {
    let agent = |id: &str| json!({"id": id, "description": "Writes code", "models": ["gpt-4o", "gpt-4o-mini"], "tools": []});
    for path in ["/agents", "/agents/"] {
        let expected = json!([agent("code-agent"), agent("test-agent")]);
        assert_eq!(ask_as("ann", &Rc::default(), &format!("GET {path}"), "").task(), (200, expected));
    }
    assert_eq!(ask_as("ann", &Rc::default(), "GET /agents/test-agent", "").task(), (200, agent("test-agent")));
    assert_eq!(ask_as("ann", &Rc::default(), "GET /agents/zzz", "").detail(), (404, "Agent not found".into()));
}

#[test]
fn an_agent_is_told_to_do_something() {
    let house = House::replying([Reply::Task(Box::new(task()))]);
    let body = json!({"task": "Generate a React component", "model_id": "gpt-4o", "parameters": {"temperature": 0.7}});
    let (status, told) = ask_as("ann", &house, "POST /agents/test-agent/execute", body).task();
    assert_eq!((status, &told["id"]), (200, &json!(TASK)));
    let Some(Ask::Create(made)) = house.asked.take().pop() else { panic!("nothing was made") };
    assert_eq!((made.agent.as_deref(), made.model.as_deref(), made.kind), (Some("test-agent"), Some("gpt-4o"), Kind::Test));
    assert_eq!((&*made.task, &*made.parameters), ("Generate a React component", r#"{"temperature":0.7}"#));
    for (path, body, status) in [
        ("/agents/zzz/execute", json!({"task": "x"}), 404),
        ("/agents/code-agent/execute", json!({}), 422),
        ("/agents/code-agent/execute", json!({"task": "x", "model_id": "zzz"}), 400),
    ] {
        assert_eq!(ask_as("ann", &Rc::default(), &format!("POST {path}"), body).detail().0, status, "{path}");
    }
}

#[test]
fn anybody_may_look_how_the_server_is() {
    let (status, root) = ask(&Rc::default(), "GET /").task();
    assert_eq!((status, &root["name"], &root["status"]), (200, &json!("Homeroom"), &json!("running")));
    let mut house = House::default();
    let expected = |status: &str, database: &str| {
        json!({
            "status": status,
            "api_status": "operational",
            "database_status": database,
            "vector_db_status": "operational",
            "model_service_status": "operational"
        })
    };
    house.health.database = "degraded".into();
    assert_eq!(ask(&Rc::default(), "GET /health").task(), (200, expected("healthy", "operational")));
    assert_eq!(ask(&Rc::new(house), "GET /health").task(), (200, expected("degraded", "degraded")));
}

#[test]
fn a_plain_request_for_the_socket_is_told_to_upgrade() {
    let said = ask(&Rc::default(), "GET /ws?token=x");
    assert_eq!(said.detail(), (426, "A WebSocket is here".into()));
    let headers = ["upgrade", "connection", "sec-websocket-version"].map(|name| said.header(name).unwrap_or_default());
    assert_eq!(headers, ["websocket", "Upgrade", "13"]);
    assert_eq!(ask(&Rc::default(), "POST /ws").header("allow"), Some("GET, HEAD"));
}

#[test]
fn every_other_route_wants_a_token() {
    for request in [
        "POST /tasks".to_owned(),
        "GET /tasks".to_owned(),
        format!("GET /tasks/{TASK}"),
        format!("PATCH /tasks/{TASK}"),
        format!("DELETE /tasks/{TASK}"),
        format!("POST /tasks/{TASK}/cancel"),
        "GET /agents".to_owned(),
        "GET /agents/code-agent".to_owned(),
        "POST /agents/code-agent/execute".to_owned(),
        "GET /orchestration/workflows".to_owned(),
        "GET /orchestration/workflows/x".to_owned(),
        "POST /orchestration/executions".to_owned(),
        "GET /orchestration/executions".to_owned(),
        format!("GET /orchestration/executions/{EXECUTION}"),
        format!("POST /orchestration/executions/{EXECUTION}/cancel"),
    ] {
        let said = ask_as("nobody", &Rc::default(), &request, "{}");
        assert_eq!(said.detail(), (401, "Could not validate credentials".into()), "{request}");
        let (method, path) = request.split_once(' ').unwrap();
        let said = ask(&Rc::default(), &format!("{method} /api/v1{path}"));
        assert_eq!((said.detail(), said.header("www-authenticate")), ((401, "Not authenticated".into()), Some("Bearer")));
    }
}

#[test]
fn what_is_no_route_and_what_is_no_method() {
    let said = ask_as("ann", &Rc::default(), "PUT /tasks", "");
    assert_eq!((said.detail(), said.header("allow")), ((405, "Method Not Allowed".into()), Some("POST, GET, HEAD")));
    for path in ["/api/v1/zzz", "/tasks", "/agents", "/api/v1/tasks/a/b"] {
        assert_eq!(ask(&Rc::default(), &format!("GET {path}")).detail(), (404, "Not Found".into()), "{path}");
    }
    let large = json!({"task": "x".repeat(2 << 20)});
    assert_eq!(ask_as("ann", &Rc::default(), "POST /tasks", large).detail(), (413, "The body is too large".into()));
}
