//! A house in memory with one of everything in it, and a way to ask its routes.

use super::{
    rooms::{Chance, Credentials, Library, Tasks},
    routes,
};
use crate::{
    http::{
        fakes::{self, Said},
        rooms::Clock,
        table::Table,
    },
    models::{Agent, Catalog, Model, catalog::Backend},
    protocols::tasks::{
        Ask, ExecutionId, Health, Reply, Settings, TaskId, Workflows,
        model::{Caller, Execution, Kind, Status, Step, StepResult, Task, Workflow},
        record::{Filter, Listed},
    },
    realtime::{StoreFault, UnixMicros},
};
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

pub(super) const TASK: Uuid = Uuid::from_u128(0xa1);
pub(super) const EXECUTION: Uuid = Uuid::from_u128(0xa2);
pub(super) const NOW: &str = "2025-03-01T12:00:00Z";

/// A time as the contract writes it.
pub(super) fn at(time: &str) -> UnixMicros {
    UnixMicros(time.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

/// Tokens are `ann`, `bob` and `admin`. Everything asked of it is kept; asks are answered with `replies` in their order.
pub(super) struct House {
    pub(super) settings: Settings,
    pub(super) health: Health,
    pub(super) asked: RefCell<Vec<Ask>>,
    pub(super) replies: RefCell<VecDeque<Reply>>,
    pub(super) filters: RefCell<Vec<Filter>>,
    pub(super) fault: Cell<Option<StoreFault>>,
    catalog: Catalog,
    workflows: Workflows,
}

impl Default for House {
    fn default() -> House {
        House {
            settings: Settings::default(),
            health: Health::default(),
            asked: RefCell::default(),
            replies: RefCell::default(),
            filters: RefCell::default(),
            fault: Cell::default(),
            catalog: catalog(),
            workflows: [("code-review-workflow".into(), Arc::new(workflow()))].into(),
        }
    }
}

impl House {
    /// One that answers the next asks so.
    pub(super) fn replying(replies: impl IntoIterator<Item = Reply>) -> Rc<House> {
        Rc::new(House { replies: RefCell::new(replies.into_iter().collect()), ..House::default() })
    }

    fn read<T>(&self, value: T) -> Result<T, StoreFault> {
        self.fault.get().map_or(Ok(value), Err)
    }
}

fn catalog() -> Catalog {
    let model = |name: &str| {
        let backend = Backend::Builtin { pace: Duration::ZERO };
        Arc::new(Model { name: name.into(), backend, prompt_price: 0.0, completion_price: 0.0 })
    };
    let agent = |name: &str| {
        Arc::new(Agent {
            name: name.into(),
            description: "Writes code".into(),
            instructions: "secret".into(),
            model: model("gpt-4o"),
            others: vec![model("gpt-4o-mini")],
            tools: Vec::new(),
            max_rounds: 1,
            time_limit: Duration::from_secs(60),
            max_tokens: None,
        })
    };
    let agents = ["code-agent", "test-agent"].map(|name| (name.into(), agent(name)));
    Catalog { agents: agents.into(), ..Catalog::default() }
}

fn workflow() -> Workflow {
    let step = |id: &str, needs: &[&str]| Step {
        id: id.into(),
        name: "Look".into(),
        agent: "code-agent".into(),
        task: "Look at {input}".into(),
        needs: needs.iter().map(|id| (*id).into()).collect(),
    };
    Workflow {
        id: "code-review-workflow".into(),
        name: "Code review".into(),
        description: "Reviews code".into(),
        steps: vec![step("step1", &[]), step("step2", &["step1"])],
    }
}

/// The contract's task once it is completed.
pub(super) fn task() -> Task {
    Task {
        kind: Kind::Code,
        agent: Some("code-agent".into()),
        model: Some("gpt-4o".into()),
        parameters: r#"{"temperature": 0.7}"#.into(),
        status: Status::Completed,
        progress: 1.0,
        result: Some(r#"{"language": "javascript"}"#.into()),
        cost: 0.05,
        updated_at: at("2025-03-01T12:05:00Z"),
        completed_at: Some(at("2025-03-01T12:05:00Z")),
        ..Task::new(TASK, "ann".into(), "Generate a React component", at(NOW))
    }
}

/// The contract's execution.
pub(super) fn execution() -> Execution {
    let result = StepResult { step: "step1".into(), output: "fine".into(), cost: 0.01 };
    Execution {
        status: Status::InProgress,
        current_step: Some("step2".into()),
        results: vec![result],
        cost: 0.01,
        updated_at: at("2025-03-01T12:02:30Z"),
        ..Execution::new(EXECUTION, "ann".into(), "code-review-workflow".into(), r#"{"repo": "x"}"#.into(), at(NOW))
    }
}

pub(super) fn caller(user: &str) -> Caller {
    Caller { user: user.into(), admin: user == "admin" }
}

impl Tasks for House {
    async fn ask(&self, ask: Ask) -> Reply {
        self.asked.borrow_mut().push(ask);
        self.replies.borrow_mut().pop_front().expect("nothing was to be asked")
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn workflows(&self) -> &Workflows {
        &self.workflows
    }

    fn health(&self) -> Health {
        self.health.clone()
    }
}

impl Library for House {
    async fn tasks(&self, filter: Filter) -> Result<Listed<Task>, StoreFault> {
        self.filters.borrow_mut().push(filter);
        self.read(Listed { items: vec![task()], total: 42 })
    }

    async fn task(&self, id: TaskId) -> Result<Option<Task>, StoreFault> {
        self.read(Some(task()).filter(|task| task.id == id))
    }

    async fn executions(&self, filter: Filter) -> Result<Listed<Execution>, StoreFault> {
        self.filters.borrow_mut().push(filter);
        self.read(Listed { items: vec![execution()], total: 1 })
    }

    async fn execution(&self, id: ExecutionId) -> Result<Option<Execution>, StoreFault> {
        self.read(Some(execution()).filter(|execution| execution.id == id))
    }
}

impl Credentials for House {
    fn caller(&self, token: &str) -> Option<Caller> {
        matches!(token, "ann" | "bob" | "admin").then(|| caller(token))
    }
}

impl Chance for House {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x77);
    }
}

impl Clock for House {
    fn now(&self) -> UnixMicros {
        at(NOW)
    }
}

/// Asks the routes.
pub(super) fn ask(house: &Rc<House>, request: &str) -> Said {
    fakes::ask(&Table::default().with("", routes(&house.settings)).unwrap(), house, request)
}

/// Asks with a token. `/api/v1` goes before the path.
pub(super) fn ask_as(token: &str, house: &Rc<House>, request: &str, body: impl ToString) -> Said {
    let (method, path) = request.split_once(' ').unwrap();
    ask(house, &format!("{method} /api/v1{path}\nauthorization: Bearer {token}\n\n{}", body.to_string()))
}

impl Said {
    /// Status and body of a good answer.
    pub(super) fn task(&self) -> (u16, Value) {
        assert_eq!((self.kind(), self.header("cache-control")), ("application/json", Some("no-store")), "{}", self.body);
        (self.status, serde_json::from_str(&self.body).unwrap())
    }

    /// Status and text of a refusal.
    pub(super) fn detail(&self) -> (u16, String) {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        (self.status, body["detail"].as_str().unwrap().to_owned())
    }
}
