//! What the routes of tasks take and tell, for the document of their listener.
#![allow(dead_code)]

use super::{
    fault::Told,
    shapes::{AgentShape, ExecutionShape, HealthShape, TaskShape, WorkflowShape},
    status::Root,
};
use crate::{
    documents::{Content, Operation, Parameter, Rest, Scheme, list, of_text, shape},
    protocols::tasks::model::{Kind, Priority, Status},
};
use serde_json::{Value, json};
use utoipa::ToSchema;

const USER: &[&str] = &["bearer"];

/// A task as it is wished for. One of `task`, `description` and `title` must be there, and not be blank.
#[derive(ToSchema)]
struct NewTask {
    #[schema(max_length = 200)]
    title: Option<String>,
    #[schema(pattern = r"\S")]
    task: String,
    /// Stands for `task` where that is left away.
    description: Option<String>,
    /// As the agent's name says, where it is left away.
    r#type: Option<Kind>,
    priority: Option<Priority>,
    /// Nobody, where it is left away.
    agent_id: Option<String>,
    /// One of the agent's.
    model_id: Option<String>,
    parameters: Option<Parameters>,
}

/// What an agent is to do.
#[derive(ToSchema)]
struct Execute {
    #[schema(max_length = 200)]
    title: Option<String>,
    #[schema(pattern = r"\S")]
    task: String,
    priority: Option<Priority>,
    /// One of the agent's; its first, where it is left away.
    model_id: Option<String>,
    parameters: Option<Parameters>,
}

/// For the model; at most 64 KiB. Others than these are kept.
#[derive(ToSchema)]
struct Parameters {
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f64>,
}

/// What is to be otherwise.
#[derive(ToSchema)]
struct TaskChange {
    status: Option<Status>,
    #[schema(minimum = 0, maximum = 1)]
    progress: Option<f64>,
    #[schema(max_length = 200)]
    title: Option<String>,
    priority: Option<Priority>,
    r#type: Option<Kind>,
    #[schema(value_type = Option<Object>)]
    result: Option<()>,
    #[schema(max_length = 200)]
    error: Option<String>,
}

/// An execution as it is wished for.
#[derive(ToSchema)]
struct NewExecution {
    workflow_id: String,
    /// At most 64 KiB.
    #[schema(value_type = Option<Object>)]
    input: Option<()>,
}

/// What is told of tasks.
pub fn document() -> Rest {
    Rest {
        name: "tasks",
        about: "Agents' work and workflows.",
        schemes: &[("bearer", Scheme::Bearer, "A JWT of a login of chat, or signed by the configured secret of others")],
        path,
        refusal: |_| Content::Json(shape::<Told<'_>>),
        always: &[413, 500, 503],
        of_credentials: &[401],
        of_query: &[422],
        of_body: &[400, 422],
        headers: Vec::new,
        operations: [status(), tasks(), agents(), orchestration()].concat(),
    }
}

/// Tasks and executions have ids; agents and workflows go by name.
fn path(name: &str) -> Value {
    match name {
        "task" | "execution" => json!({ "type": "string", "format": "uuid" }),
        _ => json!({ "type": "string" }),
    }
}

/// A part of a list, and how long that is.
fn paged(operation: Operation) -> Operation {
    let number = |minimum: u32, maximum: u32| json!({ "type": "integer", "minimum": minimum, "maximum": maximum });
    let statuses = of_text(&["pending", "in_progress", "verifying", "completed", "failed"]);
    operation
        .by(USER)
        .query(Parameter::new("limit", number(1, 100), "As many at most; 10 unless told"))
        .query(Parameter::new("offset", number(0, u32::MAX), "So many are left out"))
        .query(Parameter::new("status", statuses, "Of this status"))
        .header(Parameter::new("X-Total-Count", json!({ "type": "integer", "minimum": 0 }), "How many there are in all"))
}

fn status() -> Vec<Operation> {
    vec![
        Operation::new("GET", "/", "about", "What the server is").answers(200, "Its name and version", shape::<Root>),
        Operation::new("GET", "/health", "health", "How the parts of the system are").answers(
            200,
            "As they are",
            shape::<HealthShape<'_>>,
        ),
        Operation::new("GET", "/ws", "socket", "The socket's path without an upgrade").refuses(&[426]),
    ]
}

fn tasks() -> Vec<Operation> {
    let task = |method, id, summary| Operation::new(method, "/api/v1/tasks/{task}", id, summary).by(USER).refuses(&[404]);
    let told = |operation: Operation| operation.answers(200, "As it is", shape::<TaskShape<'_>>);
    vec![
        told(Operation::new("POST", "/api/v1/tasks", "makeTask", "Makes a task"))
            .also("/api/v1/tasks/")
            .by(USER)
            .takes(shape::<NewTask>)
            .refuses(&[404, 429]),
        paged(Operation::new("GET", "/api/v1/tasks", "listTasks", "The user's tasks")).also("/api/v1/tasks/").answers(
            200,
            "Newest first",
            list::<TaskShape<'_>>,
        ),
        told(task("GET", "showTask", "A task")),
        told(task("PATCH", "changeTask", "Changes a task at which no agent works"))
            .takes(shape::<TaskChange>)
            .refuses(&[400, 409]),
        told(task("DELETE", "removeTask", "Removes a task")).refuses(&[400, 409]),
        told(Operation::new("POST", "/api/v1/tasks/{task}/cancel", "cancelTask", "Cancels a task").by(USER))
            .refuses(&[400, 404, 409]),
    ]
}

fn agents() -> Vec<Operation> {
    vec![
        Operation::new("GET", "/api/v1/agents", "listAgents", "The agents").also("/api/v1/agents/").by(USER).answers(
            200,
            "By name",
            list::<AgentShape<'_>>,
        ),
        Operation::new("GET", "/api/v1/agents/{agent}", "showAgent", "An agent")
            .by(USER)
            .answers(200, "As it is", shape::<AgentShape<'_>>)
            .refuses(&[404]),
        Operation::new("POST", "/api/v1/agents/{agent}/execute", "execute", "Tells an agent to do something")
            .by(USER)
            .takes(shape::<Execute>)
            .answers(200, "The task", shape::<TaskShape<'_>>)
            .refuses(&[404, 429]),
    ]
}

fn orchestration() -> Vec<Operation> {
    let of = |method, path, id, summary| Operation::new(method, path, id, summary).by(USER);
    vec![
        of("GET", "/api/v1/orchestration/workflows", "listWorkflows", "The workflows")
            .also("/api/v1/orchestration/workflows/")
            .answers(200, "By name", list::<WorkflowShape<'_>>),
        of("GET", "/api/v1/orchestration/workflows/{workflow}", "showWorkflow", "A workflow")
            .answers(200, "As it is", shape::<WorkflowShape<'_>>)
            .refuses(&[404]),
        of("POST", "/api/v1/orchestration/executions", "makeExecution", "Begins a workflow")
            .also("/api/v1/orchestration/executions/")
            .takes(shape::<NewExecution>)
            .answers(200, "The execution", shape::<ExecutionShape<'_>>)
            .refuses(&[404, 429]),
        paged(of("GET", "/api/v1/orchestration/executions", "listExecutions", "The user's executions"))
            .also("/api/v1/orchestration/executions/")
            .answers(200, "Newest first", list::<ExecutionShape<'_>>),
        of("GET", "/api/v1/orchestration/executions/{execution}", "showExecution", "An execution")
            .answers(200, "As it is", shape::<ExecutionShape<'_>>)
            .refuses(&[404]),
        of("POST", "/api/v1/orchestration/executions/{execution}/cancel", "cancelExecution", "Cancels an execution")
            .answers(200, "As it is now", shape::<ExecutionShape<'_>>)
            .refuses(&[400, 404, 409]),
    ]
}
