//! What scripts of tasks need: people and guests and their tokens, workflows, what is kept, sockets.

use super::{
    chat::ticket,
    labs::HEAD,
    world::{CHAT_LISTENER, GUEST_SECRET, World},
};
use crate::{
    engine::{Answer, Limits, Question},
    protocols::{
        presence,
        tasks::{
            Ask, Counts, Home, Reply, Workflows,
            model::{Caller, Execution, Status, Step, Task, Workflow},
            record::{Loaded, Record},
        },
    },
    realtime::{ConnId, StoreFault, UnixMicros},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};
use uuid::Uuid;

/// The sockets of tasks are beside those of chat.
pub(super) const TASKS_LISTENER: crate::engine::Listener = CHAT_LISTENER;
/// Takes the built-in agent three seconds, and much is said of it.
pub(super) const LONG: &str = "/count 30 100";
pub(super) const NOT_GIVEN: &str = r#"401 {"detail":"Not authenticated"}"#;
pub(super) const NO_GOOD: &str = r#"401 {"detail":"Could not validate credentials"}"#;

/// `review`: three steps, each behind the other.
pub(super) fn workflows() -> Arc<Workflows> {
    let step = |id: &str, task: &str, needs: &[&str]| Step {
        id: id.into(),
        name: id.into(),
        agent: "tutor".into(),
        task: task.into(),
        needs: needs.iter().map(|needs| (*needs).into()).collect(),
    };
    let steps = vec![
        step("step1", "/count 2 100", &[]),
        step("step2", "/count 3 100", &["step1"]),
        step("step3", "/count 4 100", &["step2"]),
    ];
    let review = Workflow { id: "review".into(), name: "".into(), description: "".into(), steps };
    assert_eq!(review.check(), Ok(()));
    Arc::new([(review.id.clone(), Arc::new(review))].into())
}

/// What was kept of tasks and executions.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) tasks: BTreeMap<Uuid, Task>,
    pub(super) executions: BTreeMap<Uuid, Execution>,
    /// Which task was written in which status, in turn.
    pub(super) writes: Vec<(Uuid, Status)>,
    /// What is answered to whatever is to be written or read.
    pub(super) fault: Option<StoreFault>,
}

impl Shelf {
    pub(super) fn keep(&mut self, record: Record) -> Result<(), StoreFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        match record {
            Record::Task(task) => {
                self.writes.push((task.id, task.status));
                self.tasks.insert(task.id, *task);
            }
            Record::NoTask(task) => drop(self.tasks.remove(&task)),
            Record::Execution(execution) => drop(self.executions.insert(execution.id, *execution)),
        }
        Ok(())
    }

    pub(super) fn task(&self, id: Uuid) -> Result<Option<Box<Task>>, StoreFault> {
        self.fault.map_or(Ok(self.tasks.get(&id).cloned().map(Box::new)), Err)
    }

    pub(super) fn execution(&self, id: Uuid) -> Result<Option<Box<Execution>>, StoreFault> {
        self.fault.map_or(Ok(self.executions.get(&id).cloned().map(Box::new)), Err)
    }

    /// What is not over, whoever wrote it: so it is found out whether somebody takes what another has in memory.
    pub(super) fn abandoned(&self, is_here: impl Fn(Home) -> bool) -> Result<Loaded, StoreFault> {
        self.fault.map_or(Ok(self.unfinished().such(is_here)), Err)
    }

    pub(super) fn counts(&self) -> Result<Counts, StoreFault> {
        let of = |such: &dyn Fn(Status) -> bool| self.statuses().into_iter().filter(|status| such(*status)).count() as u64;
        let counts = Counts {
            active: of(&|status| matches!(status, Status::InProgress | Status::Verifying)),
            pending: of(&|status| status == Status::Pending),
        };
        self.fault.map_or(Ok(counts), Err)
    }

    fn unfinished(&self) -> Loaded {
        Loaded {
            tasks: self.tasks.values().filter(|task| !task.status.is_over()).cloned().collect(),
            executions: self.executions.values().filter(|execution| !execution.status.is_over()).cloned().collect(),
        }
    }

    /// Where all tasks stand, in the order of their ids.
    pub(super) fn statuses(&self) -> Vec<Status> {
        self.tasks.values().map(|task| task.status).collect()
    }
}

/// Claims under the secret of the other service.
pub(super) fn guest_token(claims: &Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(GUEST_SECRET);
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

/// A token of a guest; `admin` is one.
pub(super) fn guest(name: &str) -> String {
    let role = if name == "admin" { "admin" } else { "student" };
    guest_token(&json!({"sub": name, "role": role, "exp": 1_800_000_000}))
}

pub(super) fn as_guest(name: &str) -> Caller {
    Caller { user: name.into(), admin: name == "admin" }
}

/// A task of a guest's that waits for people: no agent does it.
pub(super) fn by_hand(n: u128, name: &str) -> Task {
    Task::new(Uuid::from_u128(n << 64 | n), name.into(), "look after it", UnixMicros(1_700_000_000_000_000))
}

/// An execution of `review` of a guest's.
pub(super) fn review(n: u128, name: &str) -> Execution {
    let at = UnixMicros(1_700_000_000_000_000);
    Execution::new(Uuid::from_u128(n << 64 | n), name.into(), "review".into(), "{}".into(), at)
}

pub(super) fn types(heard: &[Value]) -> Vec<&str> {
    heard.iter().map(|value| value["type"].as_str().or(value.as_str()).unwrap()).collect()
}

/// Status and progress of each.
pub(super) fn series(heard: &[Value]) -> Vec<(String, f64)> {
    let status = |value: &Value| value["data"]["status"].as_str().unwrap_or_default().to_owned();
    heard.iter().map(|value| (status(value), value["data"]["progress"].as_f64().unwrap_or(-1.0))).collect()
}

/// What is said of a request that cannot be fulfilled.
pub(super) fn error(code: &str, message: &str, r#type: &str, data: &Value) -> Value {
    json!({"type": "error", "data": {"code": code, "message": message, "request_type": r#type, "request_data": data}})
}

pub(super) fn with_outbox(shards: u16, bytes: usize) -> World {
    World::with(shards, presence::Settings::default(), Limits { tasks_outbox_bytes: bytes, ..Limits::default() })
}

impl World {
    /// Asks for the socket of tasks; what is heard of it is for the script.
    pub(super) fn tasks_socket(&mut self, shard: usize, query: &str, headers: &str) -> ConnId {
        let conn = self.engines[shard].accepted(TASKS_LISTENER, self.now).unwrap();
        self.bytes(conn, format!("GET /ws{query} HTTP/1.1\r\n{HEAD}{headers}\r\n").as_bytes());
        conn
    }

    /// A guest who has been welcomed.
    pub(super) fn guest(&mut self, shard: usize, name: &str) -> ConnId {
        let conn = self.tasks_socket(shard, &format!("?token={}", guest(name)), "");
        assert_eq!(types(&self.told(conn)), ["101", "connection_established"]);
        conn
    }

    /// One who has signed in here, and has been welcomed.
    pub(super) fn own(&mut self, shard: usize, name: &str) -> ConnId {
        let conn = self.tasks_socket(shard, &format!("?token={}", ticket(name)), "");
        assert_eq!(types(&self.told(conn)), ["101", "connection_established"]);
        conn
    }

    pub(super) fn says(&mut self, conn: ConnId, r#type: &str, data: &Value) {
        let text = json!({"type": r#type, "data": data}).to_string();
        self.text(conn, &text);
    }

    /// What a connection has heard since it was last asked: messages, and all else in words.
    pub(super) fn told(&mut self, conn: ConnId) -> Vec<Value> {
        let heard = self.take_heard(conn).into_iter();
        heard.map(|words| serde_json::from_str(&words).ok().filter(Value::is_object).unwrap_or(words.into())).collect()
    }

    /// Somebody tells an agent what to do; the task's id.
    pub(super) fn execute(&mut self, conn: ConnId, agent: &str, task: &str) -> Uuid {
        let known: Vec<Uuid> = self.tasks.tasks.keys().copied().collect();
        self.says(conn, "execute_agent", &json!({"agent_id": agent, "task": task}));
        *self.tasks.tasks.keys().find(|id| !known.contains(id)).expect("a task that was not there")
    }

    pub(super) fn ask_tasks(&mut self, shard: usize, ask: Ask) -> Reply {
        let number = self.engines[shard].ask_tasks(ask);
        self.run();
        match self.engines[shard].poll_tasks_reply(number, Waker::noop()) {
            Poll::Ready(reply) => reply,
            Poll::Pending => panic!("an answer as soon as letters have travelled"),
        }
    }

    /// The process begins anew, and finds what is on disk.
    pub(super) fn restart_tasks(&mut self) {
        let before = std::mem::replace(self, World::new(self.engines.len() as u16));
        self.tasks = before.tasks;
        self.now.wall = before.now.wall;
        self.begin_tasks();
        self.run();
    }

    /// What was not over is taken up.
    pub(super) fn begin_tasks(&mut self) {
        let (loaded, now) = (self.tasks.unfinished(), self.now);
        self.engines.iter_mut().for_each(|engine| engine.begin_tasks(&loaded, now));
    }

    /// The store answers what homes of tasks ask.
    pub(super) fn answer_of_tasks(&mut self, shard: usize, question: Question) {
        let (id, now) = (self.nodes.shard(shard), self.now);
        let answer = match question {
            Question::KeepTasks { ticket, record } => Answer::TasksKept { ticket, result: self.tasks.keep(record) },
            Question::LoadTask(task) => Answer::TaskLoaded { task, result: self.tasks.task(task) },
            Question::LoadExecution(execution) => Answer::ExecutionLoaded { execution, result: self.tasks.execution(execution) },
            Question::LoadTasks { survey, ring } => {
                let left = self.tasks.abandoned(|home| ring.home(home.place().as_bytes()) == id);
                Answer::TasksLeft { survey, result: left.map(Box::new) }
            }
            Question::CountTasks => Answer::TasksCounted(self.tasks.counts()),
            other => panic!("{other:?} is asked among tasks"),
        };
        self.engines[shard].answer(answer, now);
    }

    /// All leave, and nothing of tasks is left over.
    pub(super) fn leave_tasks(&mut self, conns: &[ConnId]) {
        conns.iter().for_each(|conn| self.eof(*conn));
        self.pass(Duration::from_secs(2));
        for engine in &self.engines {
            let counters = engine.counters();
            let levels = [&counters.tasks_sockets, &counters.tasks_counted, &counters.tasks_known, &counters.tasks_executions];
            assert_eq!(levels.map(|level| level.read()), [0; 4]);
            let levels = [&counters.tasks_running, &counters.tasks_waiting, &counters.tasks_writing];
            assert_eq!(levels.map(|level| level.read()), [0; 3]);
            assert_eq!((counters.models_played.read(), counters.models_asked.read()), (0, 0));
            let ends = [&counters.delivered, &counters.dropped_slow, &counters.dropped_gone, &counters.superseded];
            let ends: u64 = ends.iter().map(|count| count.read()).sum();
            assert_eq!(counters.offered.read(), ends, "news are delivered or dropped");
        }
        self.assert_empty();
    }
}
