//! What tasks are made of: the words that sockets, routes, homes and the store share.

use crate::realtime::UnixMicros;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

/// A task; the hyphenated UUID (version 4) on the wire.
pub type TaskId = Uuid;
/// An execution of a workflow; the hyphenated UUID (version 4) on the wire.
pub type ExecutionId = Uuid;
/// Of one who has signed in here the id; of a guest the name that the token gives: at most 134 bytes.
pub type UserName = Arc<str>;

/// Who asks, as their token says.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Caller {
    /// Who.
    pub user: UserName,
    /// Whether they see everyone's tasks, and may cancel them.
    pub admin: bool,
}

/// Where a task stands.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for its turn.
    Pending,
    /// Its agent works.
    InProgress,
    /// Its result is looked at.
    Verifying,
    /// It has a result.
    Completed,
    /// It has none, and will not: also one that was cancelled.
    Failed,
}

impl Status {
    /// Whether nothing more will happen to it.
    pub fn is_over(self) -> bool {
        match self {
            Status::Completed | Status::Failed => true,
            Status::Pending | Status::InProgress | Status::Verifying => false,
        }
    }
}

/// What kind of work.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Of a `code-agent`, and where nothing is said.
    #[default]
    Code,
    /// Of a `design-agent`.
    Design,
    /// Of a `test-agent`.
    Test,
    /// Only by REST.
    Security,
    /// Only by REST.
    Analysis,
}

/// Which of those that wait is next.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Last.
    Low,
    /// Where nothing is said.
    #[default]
    Medium,
    /// First.
    High,
}

/// A task as the store has it.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Whose.
    pub owner: UserName,
    /// A line for people; where none was given, the beginning of `task`.
    pub title: Arc<str>,
    /// What is to be done.
    pub task: Arc<str>,
    /// What kind of work.
    pub kind: Kind,
    /// Which of those that wait is next.
    pub priority: Priority,
    /// Who does it; none: nobody yet (made by REST without an agent).
    pub agent: Option<Arc<str>>,
    /// The model that was asked for.
    pub model: Option<Arc<str>>,
    /// `parameters`: a JSON object.
    pub parameters: Arc<str>,
    /// Where it stands.
    pub status: Status,
    /// 0 to 1.
    pub progress: f64,
    /// A JSON object, once completed.
    pub result: Option<Arc<str>>,
    /// For people, once failed.
    pub error: Option<Arc<str>>,
    /// In the currency of the configured prices.
    pub cost: f64,
    /// Made.
    pub created_at: UnixMicros,
    /// Changed.
    pub updated_at: UnixMicros,
    /// Completed.
    pub completed_at: Option<UnixMicros>,
}

impl Task {
    /// A new one that waits: nobody does it yet, and all that can be left out is.
    pub fn new(id: TaskId, owner: UserName, task: &str, now: UnixMicros) -> Task {
        Task {
            id,
            owner,
            title: title(task),
            task: task.into(),
            kind: Kind::default(),
            priority: Priority::default(),
            agent: None,
            model: None,
            parameters: "{}".into(),
            status: Status::Pending,
            progress: 0.0,
            result: None,
            error: None,
            cost: 0.0,
            created_at: now,
            updated_at: now,
            completed_at: None,
        }
    }
}

impl Kind {
    /// What an agent of this name does: of `design-agent` it is `design`; of one that does not say so, `code`.
    pub fn of(agent: &str) -> Kind {
        match agent.strip_suffix("-agent") {
            Some("design") => Kind::Design,
            Some("test") => Kind::Test,
            Some("security") => Kind::Security,
            Some("analysis") => Kind::Analysis,
            Some(_) | None => Kind::Code,
        }
    }
}

/// Characters of a task that become its title.
const TITLE_CHARS: usize = 50;

/// The beginning of a task.
fn title(task: &str) -> Arc<str> {
    let line = task.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]).into(),
        None => line.into(),
    }
}

impl Execution {
    /// A new one, with nothing done. `input` is a JSON object.
    pub fn new(id: ExecutionId, owner: UserName, workflow: Arc<str>, input: Arc<str>, now: UnixMicros) -> Execution {
        Execution {
            id,
            owner,
            workflow,
            input,
            status: Status::Pending,
            current_step: None,
            results: Vec::new(),
            error: None,
            cost: 0.0,
            created_at: now,
            updated_at: now,
            completed_at: None,
        }
    }
}

/// A workflow as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct Workflow {
    /// Its id, such as `code-review-workflow`.
    pub id: Arc<str>,
    /// For people.
    pub name: Arc<str>,
    /// For people.
    pub description: Arc<str>,
    /// In the order in which they are listed; a step begins when all that it needs are done.
    pub steps: Vec<Step>,
}

/// A step of a workflow.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Its id, such as `step1`; unique in its workflow.
    pub id: Arc<str>,
    /// For people.
    pub name: Arc<str>,
    /// Who does it.
    pub agent: Arc<str>,
    /// What is to be done. `{input}` stands for the execution's input, `{step1}` for the result of that step.
    pub task: Arc<str>,
    /// Steps that must be done before; known, and without a circle.
    pub needs: Vec<Arc<str>>,
}

/// An execution of a workflow as the store has it. Its status is never [`Status::Verifying`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Execution {
    /// Its id.
    pub id: ExecutionId,
    /// Whose.
    pub owner: UserName,
    /// Of which workflow.
    pub workflow: Arc<str>,
    /// What it was given: a JSON object.
    pub input: Arc<str>,
    /// Where it stands.
    pub status: Status,
    /// The step that runs; of several the first listed. The last one once completed.
    pub current_step: Option<Arc<str>>,
    /// What steps gave, in the order in which they were done. A step that is here is not run again after a restart.
    pub results: Vec<StepResult>,
    /// For people, once failed.
    pub error: Option<Arc<str>>,
    /// The sum over its steps.
    pub cost: f64,
    /// Made.
    pub created_at: UnixMicros,
    /// Changed.
    pub updated_at: UnixMicros,
    /// Completed.
    pub completed_at: Option<UnixMicros>,
}

/// What a step gave.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct StepResult {
    /// Which.
    pub step: Arc<str>,
    /// Its text.
    pub output: Arc<str>,
    /// In the currency of the configured prices.
    pub cost: f64,
}
