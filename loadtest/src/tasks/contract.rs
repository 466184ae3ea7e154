//! The contract of tasks as its clients see it: what they say, and of what they hear the parts that are held against each other.

use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use std::borrow::Cow;
use uuid::Uuid;

/// Sockets of one user: "Rate Limiting".
pub(crate) const SOCKETS_A_USER: u32 = 10;
/// Messages of one socket in a minute, pongs not counted.
pub(crate) const MESSAGES_A_MINUTE: usize = 100;
/// Subscriptions of one socket.
pub(crate) const SUBSCRIPTIONS_A_SOCKET: u32 = 50;
/// The most rows of a list.
pub(crate) const PAGE: usize = 100;
/// What the error says of a task that was cancelled.
pub(crate) const CANCELLED: &str = "Cancelled by user";

/// `type` of a server's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    TaskUpdate,
    TaskCompletion,
    TaskError,
    WorkflowExecutionUpdate,
    ConnectionEstablished,
    ConnectionClosed,
    Ping,
    Pong,
    Error,
    #[serde(other)]
    Other,
}

/// Where a task or an execution stands, in the order in which it goes through them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Pending,
    InProgress,
    Verifying,
    Completed,
    Failed,
}

impl Status {
    /// Whether nothing more happens.
    pub(crate) fn is_over(self) -> bool {
        match self {
            Status::Completed | Status::Failed => true,
            Status::Pending | Status::InProgress | Status::Verifying => false,
        }
    }
}

/// A message of the socket.
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) r#type: Kind,
    #[serde(borrow, default)]
    pub(crate) data: Data<'a>,
}

/// `data` of any message. What a type does not have is absent.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Data<'a> {
    pub(crate) task_id: Option<Uuid>,
    pub(crate) execution_id: Option<Uuid>,
    pub(crate) status: Option<Status>,
    pub(crate) progress: Option<f64>,
    #[serde(borrow)]
    pub(crate) result: Option<&'a RawValue>,
    pub(crate) cost: Option<f64>,
    #[serde(borrow)]
    pub(crate) error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) current_step_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) request_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) request_data: Option<&'a RawValue>,
}

/// `request_data` of an error about one task.
#[derive(Debug, Deserialize)]
pub(crate) struct AboutTask {
    pub(crate) task_id: Uuid,
}

/// To all tasks.
pub(crate) fn subscribe_all() -> String {
    json!({ "type": "subscribe", "data": { "channel": "tasks" } }).to_string()
}

/// To one task.
pub(crate) fn subscribe_task(task: Uuid) -> String {
    json!({ "type": "subscribe", "data": { "channel": "task", "task_id": task } }).to_string()
}

/// To one execution.
pub(crate) fn subscribe_execution(execution: Uuid) -> String {
    json!({ "type": "subscribe", "data": { "channel": "workflow_execution", "execution_id": execution } }).to_string()
}

/// A task no longer.
pub(crate) fn cancel(task: Uuid) -> String {
    json!({ "type": "cancel_task", "data": { "task_id": task } }).to_string()
}

/// To a ping.
pub(crate) fn pong(timestamp: Option<&RawValue>) -> String {
    json!({ "type": "pong", "data": { "timestamp": timestamp } }).to_string()
}

/// An agent over a socket.
pub(crate) fn execute(agent: &str, model: Option<&str>, task: &str) -> String {
    json!({ "type": "execute_agent", "data": Work { agent_id: Some(agent), task, model_id: model } }).to_string()
}

/// The body of an agent by REST.
pub(crate) fn execute_body(model: Option<&str>, task: &str) -> String {
    json!(Work { agent_id: None, task, model_id: model }).to_string()
}

/// The body of an execution.
pub(crate) fn execution_body(workflow: &str, name: &str) -> String {
    json!({ "workflow_id": workflow, "input": { NAME: name } }).to_string()
}

#[derive(Serialize)]
struct Work<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    task: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'a str>,
}

/// Where an execution has its name.
const NAME: &str = "load";

/// What a task or an execution of this run is called: nothing that the built-in agent would take for arithmetic.
pub(crate) fn name(run: u64, number: u64) -> String {
    format!("load_{run:016x}_{number}")
}

/// Which one of this run it is; none: one of another run, or of somebody else.
pub(crate) fn number(run: u64, name: &str) -> Option<u64> {
    name.strip_prefix(&format!("load_{run:016x}_"))?.parse().ok()
}

/// A task with its name, which is its last word.
pub(crate) fn named(task: &str, name: &str) -> String {
    format!("{task} {name}")
}

/// Something with an id; what else it has is not looked at.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Made {
    pub(crate) id: Uuid,
}

/// A task by REST.
#[derive(Debug, Deserialize)]
pub(crate) struct TaskRow<'a> {
    pub(crate) id: Uuid,
    #[serde(borrow)]
    pub(crate) task: Cow<'a, str>,
    pub(crate) status: Status,
    pub(crate) progress: f64,
    #[serde(borrow)]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) error: Option<Cow<'a, str>>,
    pub(crate) cost: f64,
}

impl TaskRow<'_> {
    /// Which ask of this run it is.
    pub(crate) fn number(&self, run: u64) -> Option<u64> {
        number(run, self.task.rsplit(' ').next()?)
    }
}

/// An execution by REST.
#[derive(Debug, Deserialize)]
pub(crate) struct ExecutionRow<'a> {
    pub(crate) id: Uuid,
    #[serde(borrow)]
    pub(crate) input: &'a RawValue,
    pub(crate) status: Status,
    #[serde(borrow)]
    pub(crate) current_step_id: Option<Cow<'a, str>>,
    pub(crate) results: Vec<StepRow>,
    pub(crate) cost: f64,
}

/// What a step gave.
#[derive(Debug, Deserialize)]
pub(crate) struct StepRow {
    pub(crate) step_id: String,
    pub(crate) cost: f64,
}

impl ExecutionRow<'_> {
    /// Which ask of this run it is.
    pub(crate) fn number(&self, run: u64) -> Option<u64> {
        let input: serde_json::Value = serde_json::from_str(self.input.get()).ok()?;
        number(run, input.get(NAME)?.as_str()?)
    }
}

/// A workflow by REST.
#[derive(Debug, Deserialize)]
pub(crate) struct Workflow {
    pub(crate) steps: Vec<Step>,
}

/// One of its steps.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) needs: Vec<String>,
}

impl Workflow {
    /// Whether its steps are done one after the other.
    pub(crate) fn is_chain(&self) -> bool {
        self.steps.windows(2).all(|pair| pair[1].needs.contains(&pair[0].id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(0x123);

    fn read(text: &str) -> Message<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_messages_of_the_contract_are_read() {
        let text = format!(
            r#"{{ "type": "task_update", "data": {{ "task_id": "{ID}", "status": "in_progress", "progress": 0.5,
            "updated_at": "2025-03-01T12:02:30Z" }} }}"#
        );
        let Message { r#type: Kind::TaskUpdate, data } = read(&text) else { panic!("{text}") };
        assert_eq!((data.task_id, data.status, data.progress), (Some(ID), Some(Status::InProgress), Some(0.5)));
        let text = format!(
            r#"{{"type":"task_completion","data":{{"task_id":"{ID}","status":"completed","progress":1.0,
            "result":{{"code":"a \"b\""}},"cost":0.05,"completed_at":"2025-03-01T12:05:00Z"}}}}"#
        );
        let data = read(&text).data;
        assert_eq!((data.result.unwrap().get(), data.cost), (r#"{"code":"a \"b\""}"#, Some(0.05)));
        let text = r#"{"type":"error","data":{"code":"invalid_subscription","message":"Cannot subscribe to \"it\"",
            "request_type":"subscribe","request_data":{"channel":"task","task_id":"non-existent-task"}}}"#;
        let data = read(text).data;
        assert_eq!((data.code.as_deref(), data.request_type.as_deref()), (Some("invalid_subscription"), Some("subscribe")));
        assert!(serde_json::from_str::<AboutTask>(data.request_data.unwrap().get()).is_err());
        assert_eq!(read(r#"{"type":"ping","data":{"timestamp":"2025-03-01T12:01:00Z"}}"#).r#type, Kind::Ping);
        assert_eq!(read(r#"{"type":"news"}"#).r#type, Kind::Other);
    }

    #[test]
    fn what_is_said_is_what_the_contract_shows() {
        let said = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
        assert_eq!(said(subscribe_all()), json!({"type":"subscribe","data":{"channel":"tasks"}}));
        assert_eq!(said(subscribe_task(ID)), json!({"type":"subscribe","data":{"channel":"task","task_id":ID}}));
        assert_eq!(said(cancel(ID)), json!({"type":"cancel_task","data":{"task_id":ID}}));
        let execute = said(execute("code-agent", Some("gpt-4o"), "Do"));
        assert_eq!(execute, json!({"type":"execute_agent","data":{"agent_id":"code-agent","task":"Do","model_id":"gpt-4o"}}));
        let timestamp = serde_json::from_str(r#""2025-03-01T12:01:00Z""#).unwrap();
        assert_eq!(said(pong(Some(timestamp))), json!({"type":"pong","data":{"timestamp":"2025-03-01T12:01:00Z"}}));
    }

    #[test]
    fn tasks_are_found_again_by_their_names() {
        let task = named("/count 10 20", &name(7, 12));
        let row =
            TaskRow { id: ID, task: task.into(), status: Status::Pending, progress: 0.0, result: None, error: None, cost: 0.0 };
        assert_eq!((row.number(7), row.number(8)), (Some(12), None));
        let body = execution_body("review", &name(7, 3));
        let input = said_input(&body);
        let row = ExecutionRow {
            id: ID,
            input: serde_json::from_str(&input).unwrap(),
            status: Status::Pending,
            current_step_id: None,
            results: Vec::new(),
            cost: 0.0,
        };
        assert_eq!(row.number(7), Some(3));
    }

    fn said_input(body: &str) -> String {
        serde_json::from_str::<serde_json::Value>(body).unwrap()["input"].to_string()
    }

    #[test]
    fn steps_that_need_each_other_are_a_chain() {
        let workflow = |text| serde_json::from_str::<Workflow>(text).unwrap();
        assert!(workflow(r#"{"steps":[{"id":"a"},{"id":"b","needs":["a"]},{"id":"c","needs":["a","b"]}]}"#).is_chain());
        assert!(!workflow(r#"{"steps":[{"id":"a"},{"id":"b"}]}"#).is_chain());
    }
}
