//! Workflows and executions.

use super::super::fakes::{EXECUTION, House, NOW, ask_as, at, caller, execution};
use crate::protocols::tasks::{
    Ask, Reply,
    asks::Refused,
    model::{Execution, Status},
    record::Filter,
};
use serde_json::{Value, json};
use std::rc::Rc;

fn workflow() -> Value {
    let step = |id: &str, needs: Value| json!({"id": id, "name": "Look", "agent_id": "code-agent", "task": "Look at {input}", "needs": needs});
    json!({
        "id": "code-review-workflow",
        "name": "Code review",
        "description": "Reviews code",
        "steps": [step("step1", json!([])), step("step2", json!(["step1"]))]
    })
}

fn shown() -> Value {
    json!({
        "id": EXECUTION,
        "workflow_id": "code-review-workflow",
        "status": "in_progress",
        "current_step_id": "step2",
        "input": {"repo": "x"},
        "results": [{"step_id": "step1", "output": "fine", "cost": 0.01}],
        "error": null,
        "cost": 0.01,
        "user_id": "ann",
        "created_at": NOW,
        "updated_at": "2025-03-01T12:02:30Z",
        "completed_at": null
    })
}

fn found() -> Reply {
    Reply::Execution(Box::new(execution()))
}

#[test]
fn workflows_are_listed_and_shown() {
    for path in ["/orchestration/workflows", "/orchestration/workflows/"] {
        assert_eq!(ask_as("ann", &Rc::default(), &format!("GET {path}"), "").task(), (200, json!([workflow()])));
    }
    let one = |id: &str| ask_as("ann", &Rc::default(), &format!("GET /orchestration/workflows/{id}"), "");
    assert_eq!(one("code-review-workflow").task(), (200, workflow()));
    assert_eq!(one("zzz").detail(), (404, "Workflow not found".into()));
}

#[test]
fn an_execution_begins() {
    for path in ["/orchestration/executions", "/orchestration/executions/"] {
        let house = House::replying([found()]);
        let body = json!({"workflow_id": "code-review-workflow", "input": {"repo": "x"}});
        assert_eq!(ask_as("ann", &house, &format!("POST {path}"), body).task(), (200, shown()));
        let Some(Ask::Execute(begun)) = house.asked.take().pop() else { panic!("nothing began") };
        let input = r#"{"repo":"x"}"#.into();
        assert_eq!(*begun, Execution::new(begun.id, "ann".into(), "code-review-workflow".into(), input, at(NOW)));
    }
    for (body, status, detail) in [
        (json!({}), 422, "workflow_id: required"),
        (json!({"workflow_id": "zzz"}), 404, "Workflow not found"),
        (json!({"workflow_id": "code-review-workflow", "input": []}), 422, "input: expected an object of at most 64 KiB"),
    ] {
        let said = ask_as("ann", &Rc::default(), "POST /orchestration/executions", &body);
        assert_eq!(said.detail(), (status, detail.into()), "{body}");
    }
}

#[test]
fn executions_are_listed_and_shown() {
    let house = Rc::new(House::default());
    let said = ask_as("ann", &house, "GET /orchestration/executions?status=failed&limit=3", "");
    assert_eq!((said.task(), said.header("x-total-count")), ((200, json!([shown()])), Some("1")));
    assert_eq!(house.filters.take(), [Filter { owner: Some("ann".into()), status: Some(Status::Failed), offset: 0, limit: 3 }]);
    let get = format!("GET /orchestration/executions/{EXECUTION}");
    let not_here = || House::replying([Reply::Refused(Refused::NotHere)]);
    for house in [House::replying([found()]), not_here()] {
        assert_eq!(ask_as("ann", &house, &get, "").task(), (200, shown()));
        assert_eq!(house.asked.take(), [Ask::LookExecution { execution: EXECUTION, caller: caller("ann") }]);
    }
    assert_eq!(ask_as("bob", &not_here(), &get, "").detail(), (404, "Execution not found".into()));
    assert_eq!(
        ask_as("ann", &Rc::default(), "GET /orchestration/executions/x", "").detail(),
        (404, "Execution not found".into())
    );
}

#[test]
fn an_execution_is_cancelled_while_it_runs() {
    let house = House::replying([found(), Reply::Refused(Refused::Over)]);
    let cancel = format!("POST /orchestration/executions/{EXECUTION}/cancel");
    assert_eq!(ask_as("ann", &house, &cancel, "").task(), (200, shown()));
    assert_eq!(house.asked.take(), [Ask::CancelExecution { execution: EXECUTION, caller: caller("ann") }]);
    assert_eq!(ask_as("ann", &house, &cancel, "").detail(), (400, "It is over already".into()));
}
