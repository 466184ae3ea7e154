//! Tasks.

use super::super::fakes::{House, NOW, TASK, ask_as, at, caller, task};
use crate::{
    protocols::tasks::{
        Ask, Reply,
        asks::{Edit, Refused},
        model::{Kind, Priority, Status, Task},
        record::Filter,
    },
    realtime::StoreFault,
};
use serde_json::{Value, json};
use std::rc::Rc;

fn shown() -> Value {
    json!({
        "id": TASK,
        "title": "Generate a React component",
        "task": "Generate a React component",
        "type": "code",
        "priority": "medium",
        "status": "completed",
        "progress": 1.0,
        "agent_id": "code-agent",
        "model_id": "gpt-4o",
        "parameters": {"temperature": 0.7},
        "result": {"language": "javascript"},
        "error": null,
        "cost": 0.05,
        "user_id": "ann",
        "created_at": NOW,
        "updated_at": "2025-03-01T12:05:00Z",
        "completed_at": "2025-03-01T12:05:00Z"
    })
}

fn found() -> Reply {
    Reply::Task(Box::new(task()))
}

fn made(house: &House) -> Task {
    let Some(Ask::Create(task)) = house.asked.take().pop() else { panic!("nothing was made") };
    *task
}

#[test]
fn a_task_is_made() {
    for path in ["/tasks", "/tasks/"] {
        let house = House::replying([found()]);
        let body = json!({
            "title": "A component", "task": "Generate a React component", "type": "security", "priority": "high",
            "agent_id": "code-agent", "model_id": "gpt-4o-mini", "parameters": {"temperature": 0.70}
        });
        assert_eq!(ask_as("ann", &house, &format!("POST {path}"), body).task(), (200, shown()));
        let made = made(&house);
        let expected = Task {
            title: "A component".into(),
            kind: Kind::Security,
            priority: Priority::High,
            agent: Some("code-agent".into()),
            model: Some("gpt-4o-mini".into()),
            parameters: made.parameters.clone(),
            ..Task::new(made.id, "ann".into(), "Generate a React component", at(NOW))
        };
        assert_eq!((&made, made.id.get_version_num()), (&expected, 4));
    }
}

#[test]
fn most_of_a_task_may_be_left_away() {
    for (body, title, text, kind, agent) in [
        (json!({"task": "do  it"}), "do it", "do  it", Kind::Code, None),
        (json!({"description": "do it", "priority": null, "type": null}), "do it", "do it", Kind::Code, None),
        (json!({"title": "T"}), "T", "T", Kind::Code, None),
        (json!({"title": "T", "description": "D", "agent_id": "test-agent"}), "T", "D", Kind::Test, Some("test-agent")),
    ] {
        let house = House::replying([found()]);
        assert_eq!(ask_as("ann", &house, "POST /tasks", &body).status, 200, "{body}");
        let made = made(&house);
        assert_eq!((&*made.title, &*made.task, made.kind, made.agent.as_deref()), (title, text, kind, agent));
        assert_eq!((made.priority, &*made.parameters, made.model), (Priority::Medium, "{}", None));
    }
}

#[test]
fn tasks_that_are_none() {
    for (body, status, detail) in [
        (json!({}), 422, "task: required"),
        (json!({"task": 1}), 422, "task: expected a text"),
        (json!({"task": " "}), 422, "task: empty, or too long"),
        (json!({"task": "x".repeat(70_000)}), 422, "task: empty, or too long"),
        (json!({"task": "x", "title": "x".repeat(201)}), 422, "title: expected at most 200 characters"),
        (json!({"task": "x", "type": "cooking"}), 422, "type: expected code, design, test, security or analysis"),
        (json!({"task": "x", "priority": 1}), 422, "priority: expected low, medium or high"),
        (json!({"task": "x", "parameters": []}), 422, "parameters: expected an object of at most 64 KiB"),
        (json!({"task": "x", "parameters": {"temperature": 3}}), 422, "parameters: the temperature must be between 0 and 2"),
        (json!({"task": "x", "agent_id": "nobody"}), 404, "Agent not found"),
        (json!({"task": "x", "agent_id": "code-agent", "model_id": "nothing"}), 400, "The agent has no such model"),
        (json!({"task": "x", "model_id": "gpt-4o"}), 400, "The agent has no such model"),
        (json!([]), 422, "The body must be a JSON object"),
    ] {
        let house = Rc::new(House::default());
        assert_eq!(ask_as("ann", &house, "POST /tasks", &body).detail(), (status, detail.into()), "{body}");
        assert!(house.asked.take().is_empty());
    }
    assert_eq!(ask_as("ann", &Rc::default(), "POST /tasks", "{").detail(), (400, "The body is not JSON".into()));
}

#[test]
fn tasks_are_listed() {
    for path in ["/tasks", "/tasks/"] {
        let house = Rc::new(House::default());
        let said = ask_as("ann", &house, &format!("GET {path}"), "");
        assert_eq!((said.task(), said.header("x-total-count")), ((200, json!([shown()])), Some("42")));
        assert_eq!(house.filters.take(), [Filter { owner: Some("ann".into()), status: None, offset: 0, limit: 10 }]);
        ask_as("admin", &house, &format!("GET {path}?limit=100&offset=7&status=in_progress"), "");
        assert_eq!(house.filters.take(), [Filter { owner: None, status: Some(Status::InProgress), offset: 7, limit: 100 }]);
    }
    for query in ["limit=0", "limit=101", "limit=x", "offset=-1", "status=done", "limit=1&limit=1"] {
        let said = ask_as("ann", &Rc::default(), &format!("GET /tasks?{query}"), "");
        assert_eq!(said.detail().0, 422, "{query}");
    }
    for (fault, status) in [(StoreFault::Busy, 503), (StoreFault::Failed, 500)] {
        let house = Rc::new(House::default());
        house.fault.set(Some(fault));
        assert_eq!(ask_as("ann", &house, "GET /tasks", "").detail().0, status);
    }
}

fn no() -> (u16, String) {
    (404, "Task not found".into())
}

#[test]
fn a_task_is_shown_from_its_home_or_the_store() {
    let get = format!("GET /tasks/{TASK}");
    let not_here = || House::replying([Reply::Refused(Refused::NotHere)]);
    let house = House::replying([found()]);
    assert_eq!(ask_as("ann", &house, &get, "").task(), (200, shown()));
    assert_eq!(house.asked.take(), [Ask::Look { task: TASK, caller: caller("ann") }]);
    assert_eq!(ask_as("ann", &not_here(), &get, "").task(), (200, shown()));
    assert_eq!(ask_as("admin", &not_here(), &get, "").status, 200);
    assert_eq!(ask_as("bob", &not_here(), &get, "").detail(), no());
    assert_eq!(ask_as("bob", &House::replying([Reply::Refused(Refused::NotFound)]), &get, "").detail(), no());
    assert_eq!(ask_as("ann", &not_here(), "GET /tasks/00000000-0000-4000-8000-000000000000", "").detail(), no());
    assert_eq!(ask_as("ann", &Rc::default(), "GET /tasks/task-123", "").detail(), no());
}

#[test]
fn a_task_is_changed() {
    let house = House::replying([found()]);
    let body = json!({
        "status": "verifying", "progress": 0.5, "title": "T", "priority": "low", "type": "analysis", "result": {"a": 1}, "error": null
    });
    assert_eq!(ask_as("ann", &house, &format!("PATCH /tasks/{TASK}"), body).task(), (200, shown()));
    let edit = Edit {
        status: Some(Status::Verifying),
        progress: Some(0.5),
        title: Some("T".into()),
        priority: Some(Priority::Low),
        kind: Some(Kind::Analysis),
        result: Some(r#"{"a":1}"#.into()),
        error: None,
    };
    assert_eq!(house.asked.take(), [Ask::Edit { task: TASK, caller: caller("ann"), edit }]);
    for body in [json!({"progress": 1.1}), json!({"progress": "x"}), json!({"status": "cancelled"}), json!({"result": 1})] {
        assert_eq!(ask_as("ann", &Rc::default(), &format!("PATCH /tasks/{TASK}"), &body).detail().0, 422, "{body}");
    }
}

#[test]
fn a_task_is_removed_and_cancelled() {
    let house = House::replying([found(), found()]);
    assert_eq!(ask_as("ann", &house, &format!("DELETE /tasks/{TASK}"), "").task(), (200, shown()));
    assert_eq!(ask_as("ann", &house, &format!("POST /tasks/{TASK}/cancel"), "").task(), (200, shown()));
    let caller = || caller("ann");
    assert_eq!(house.asked.take(), [Ask::Remove { task: TASK, caller: caller() }, Ask::Cancel { task: TASK, caller: caller() }]);
}

#[test]
fn refusals() {
    for request in ["PATCH", "DELETE", "POST"] {
        let path = format!("{request} /tasks/{TASK}{}", if request == "POST" { "/cancel" } else { "" });
        for (why, status) in [
            (Refused::NotFound, 404),
            (Refused::Over, 400),
            (Refused::AtWork, 409),
            (Refused::NoSuchMove, 400),
            (Refused::Crowded, 503),
            (Refused::TooMany, 429),
            (Refused::Stopping, 503),
            (Refused::Store(StoreFault::Failed), 500),
        ] {
            let house = House::replying([Reply::Refused(why)]);
            assert_eq!(ask_as("ann", &house, &path, "{}").detail().0, status, "{path} {why:?}");
        }
    }
}
