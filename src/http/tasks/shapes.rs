//! What answers are made of.

use crate::{
    http::{
        answer::{self, Answer},
        iso::Iso,
    },
    models::Agent,
    protocols::tasks::{
        Health,
        messages::raw,
        model::{Execution, Kind, Priority, Status, Step, StepResult, Task, Workflow},
        record::Listed,
    },
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use uuid::Uuid;

/// 200. What users do has no place in anyone's cache.
pub(super) fn done(shape: &impl Serialize) -> Answer {
    let mut answer = answer::json(StatusCode::OK, shape);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// How many there are in all.
const TOTAL: HeaderName = HeaderName::from_static("x-total-count");

/// 200 with a part of a list.
pub(super) fn list<'a, Shape: Serialize + From<&'a T>, T>(listed: &'a Listed<T>) -> Answer {
    let mut answer = done(&listed.items.iter().map(Shape::from).collect::<Vec<_>>());
    answer.headers_mut().insert(TOTAL, listed.total.into());
    answer
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct TaskShape<'a> {
    id: Uuid,
    title: &'a str,
    task: &'a str,
    r#type: Kind,
    priority: Priority,
    status: Status,
    progress: f64,
    agent_id: Option<&'a str>,
    model_id: Option<&'a str>,
    #[schema(value_type = Object)]
    parameters: &'a RawValue,
    #[schema(value_type = Option<Object>)]
    result: Option<&'a RawValue>,
    error: Option<&'a str>,
    cost: f64,
    user_id: &'a str,
    created_at: Iso,
    updated_at: Iso,
    completed_at: Option<Iso>,
}

impl<'a> From<&'a Task> for TaskShape<'a> {
    fn from(task: &'a Task) -> Self {
        TaskShape {
            id: task.id,
            title: &task.title,
            task: &task.task,
            r#type: task.kind,
            priority: task.priority,
            status: task.status,
            progress: task.progress,
            agent_id: task.agent.as_deref(),
            model_id: task.model.as_deref(),
            parameters: raw(&task.parameters),
            result: task.result.as_deref().map(raw),
            error: task.error.as_deref(),
            cost: task.cost,
            user_id: &task.owner,
            created_at: Iso(task.created_at),
            updated_at: Iso(task.updated_at),
            completed_at: task.completed_at.map(Iso),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct AgentShape<'a> {
    id: &'a str,
    description: &'a str,
    /// The one that answers where a request names none, then the others.
    models: Vec<&'a str>,
    tools: Vec<&'a str>,
}

impl<'a> From<&'a Agent> for AgentShape<'a> {
    fn from(agent: &'a Agent) -> Self {
        let models = std::iter::once(&agent.model).chain(&agent.others);
        AgentShape {
            id: &agent.name,
            description: &agent.description,
            models: models.map(|model| &*model.name).collect(),
            tools: agent.tools.iter().map(|tool| &*tool.name).collect(),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct StepShape<'a> {
    id: &'a str,
    name: &'a str,
    agent_id: &'a str,
    task: &'a str,
    #[schema(value_type = Vec<String>)]
    needs: &'a [Arc<str>],
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct WorkflowShape<'a> {
    id: &'a str,
    name: &'a str,
    description: &'a str,
    steps: Vec<StepShape<'a>>,
}

impl<'a> From<&'a Workflow> for WorkflowShape<'a> {
    fn from(workflow: &'a Workflow) -> Self {
        let Workflow { id, name, description, steps } = workflow;
        WorkflowShape { id, name, description, steps: steps.iter().map(StepShape::from).collect() }
    }
}

impl<'a> From<&'a Step> for StepShape<'a> {
    fn from(step: &'a Step) -> Self {
        let Step { id, name, agent, task, needs } = step;
        StepShape { id, name, agent_id: agent, task, needs }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct ResultShape<'a> {
    step_id: &'a str,
    output: &'a str,
    cost: f64,
}

impl<'a> From<&'a StepResult> for ResultShape<'a> {
    fn from(result: &'a StepResult) -> Self {
        ResultShape { step_id: &result.step, output: &result.output, cost: result.cost }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ExecutionShape<'a> {
    id: Uuid,
    workflow_id: &'a str,
    status: Status,
    current_step_id: Option<&'a str>,
    #[schema(value_type = Object)]
    input: &'a RawValue,
    results: Vec<ResultShape<'a>>,
    error: Option<&'a str>,
    cost: f64,
    user_id: &'a str,
    created_at: Iso,
    updated_at: Iso,
    completed_at: Option<Iso>,
}

impl<'a> From<&'a Execution> for ExecutionShape<'a> {
    fn from(execution: &'a Execution) -> Self {
        ExecutionShape {
            id: execution.id,
            workflow_id: &execution.workflow,
            status: execution.status,
            current_step_id: execution.current_step.as_deref(),
            input: raw(&execution.input),
            results: execution.results.iter().map(ResultShape::from).collect(),
            error: execution.error.as_deref(),
            cost: execution.cost,
            user_id: &execution.owner,
            created_at: Iso(execution.created_at),
            updated_at: Iso(execution.updated_at),
            completed_at: execution.completed_at.map(Iso),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct HealthShape<'a> {
    status: &'static str,
    api_status: &'a str,
    database_status: &'a str,
    vector_db_status: &'a str,
    model_service_status: &'a str,
}

impl<'a> From<&'a Health> for HealthShape<'a> {
    fn from(health: &'a Health) -> Self {
        const WELL: &str = "operational";
        let Health { api, database, vector_db, model_service } = health;
        let is_well = [api, database, vector_db, model_service].iter().all(|part| ***part == *WELL);
        HealthShape {
            status: if is_well { "healthy" } else { "degraded" },
            api_status: api,
            database_status: database,
            vector_db_status: vector_db,
            model_service_status: model_service,
        }
    }
}
