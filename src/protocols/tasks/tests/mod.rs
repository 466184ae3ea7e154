//! Scripts of homes: letters, the store's answers and the models' words in; outcomes out.

mod executions;
mod hands;
mod random;
mod scenarios;
mod school;
mod status;
mod work;

use super::{
    asks::{Ask, Refused, Reply},
    homes::{Homes, Levels},
    letters::{FromHome, News, ToExecution, ToTask},
    model::{Caller, Execution, Status, Step, Task, TaskId, Workflow},
    outcome::{Outcome, Piece},
    record::{Loaded, Record},
    settings::Settings,
    workflow::Workflows,
};
use crate::{
    models::{Agent, Backend, Catalog, Model, Schema, Stop, Tool, ToolCall, Usage, Word, catalog::Work},
    realtime::{ConnId, Moment, Now, ShardId, StoreFault, UnixMicros},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(super) fn conn(slot: u32) -> ConnId {
    ConnId { shard: ShardId((slot % 2) as u16), generation: 0, slot }
}

pub(super) fn caller(user: &str) -> Caller {
    Caller { user: user.into(), admin: user == "admin" }
}

/// Of `alice`, for the code agent.
pub(super) fn task(n: u128) -> Task {
    Task { agent: Some("code-agent".into()), ..Task::new(id(n), "alice".into(), "do it", UnixMicros(1_000_000)) }
}

/// Of `alice`, of the workflow `review`.
pub(super) fn execution(n: u128) -> Execution {
    Execution::new(id(n), "alice".into(), "review".into(), r#"{"a":1}"#.into(), UnixMicros(1_000_000))
}

pub(super) fn step(id: &str, needs: &[&str]) -> Step {
    Step {
        id: id.into(),
        name: id.into(),
        agent: "code-agent".into(),
        task: "{input}".into(),
        needs: needs.iter().map(|needs| (*needs).into()).collect(),
    }
}

pub(super) fn workflow(steps: &[(&str, &[&str])]) -> Workflow {
    let steps = steps.iter().map(|(id, needs)| step(id, needs)).collect();
    Workflow { id: "review".into(), name: "".into(), description: "".into(), steps }
}

fn tool(name: &str, needs_approval: bool, work: Work) -> Arc<Tool> {
    let parameters = Schema::new(r#"{"type":"object"}"#).unwrap();
    Arc::new(Tool { name: name.into(), description: "".into(), parameters, needs_approval, work })
}

pub(super) fn catalog() -> Arc<Catalog> {
    let model = |name: &str| {
        let backend = Backend::Remote { model: name.into() };
        Arc::new(Model { name: name.into(), backend, prompt_price: 2.0, completion_price: 8.0 })
    };
    let agent = Agent {
        name: "code-agent".into(),
        description: "".into(),
        instructions: "Write code.".into(),
        model: model("gpt-4o"),
        others: vec![model("gpt-4o-mini")],
        tools: vec![tool("look", false, Work::Http), tool("send", true, Work::Http), tool("calculator", false, Work::Calculator)],
        max_rounds: 10,
        time_limit: 60 * SECOND,
        max_tokens: None,
    };
    let mut catalog = Catalog::default();
    catalog.agents.insert("code-agent".into(), Arc::new(agent));
    Arc::new(catalog)
}

/// `step1` to `step3`, each after the other.
pub(super) fn workflows() -> Arc<Workflows> {
    let review = workflow(&[("step1", &[]), ("step2", &["step1"]), ("step3", &["step2"])]);
    let wide = Workflow { id: "wide".into(), ..workflow(&[("a", &[]), ("b", &[]), ("c", &["a", "b"])]) };
    Arc::new([review, wide].into_iter().map(|workflow| (workflow.id.clone(), Arc::new(workflow))).collect())
}

struct Bench {
    homes: Homes,
    now: Now,
    out: Vec<Outcome>,
    numbers: u64,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(Settings::default())
    }

    fn with(settings: Settings) -> Bench {
        let now = Now { moment: Moment(1_000_000), wall: UnixMicros(1_000_000) };
        Bench { homes: Homes::new(settings, catalog(), workflows(), 7, now.moment), now, out: Vec::new(), numbers: 0 }
    }

    /// What is to be done, but for the counts.
    fn take(&mut self) -> Vec<Outcome> {
        let out = std::mem::take(&mut self.out);
        out.into_iter().filter(|outcome| !matches!(outcome, Outcome::Counts(_))).collect()
    }

    fn letter(&mut self, letter: ToTask) -> Vec<Outcome> {
        self.homes.task(letter, self.now, &mut self.out);
        self.take()
    }

    fn make(&mut self, n: u128) -> Vec<Outcome> {
        self.letter(ToTask::Create { conn: conn(2), task: Box::new(task(n)) })
    }

    fn see(&mut self, n: u128, user: &str) -> Vec<Outcome> {
        self.letter(ToTask::See { conn: conn(2), task: id(n), caller: caller(user) })
    }

    fn cancel(&mut self, n: u128, user: &str) -> Vec<Outcome> {
        self.letter(ToTask::Cancel { conn: conn(3), task: id(n), caller: caller(user) })
    }

    fn ask(&mut self, ask: Ask) -> Vec<Outcome> {
        self.numbers += 1;
        self.letter(ToTask::Ask { asker: ShardId(1), number: self.numbers, ask: Box::new(ask) })
    }

    fn ask_execution(&mut self, ask: Ask) -> Vec<Outcome> {
        self.numbers += 1;
        let letter = ToExecution::Ask { asker: ShardId(1), number: self.numbers, ask: Box::new(ask) };
        self.homes.execution(letter, self.now, &mut self.out);
        self.take()
    }

    /// The store has written what it was asked to.
    fn store(&mut self, ticket: u64) -> Vec<Outcome> {
        self.homes.kept(ticket, Ok(()), self.now, &mut self.out);
        self.take()
    }

    fn fail(&mut self, ticket: u64) -> Vec<Outcome> {
        self.homes.kept(ticket, Err(StoreFault::Failed), self.now, &mut self.out);
        self.take()
    }

    fn read(&mut self, task: Option<Task>, n: u128) -> Vec<Outcome> {
        self.homes.loaded_task(id(n), Ok(task.map(Box::new)), self.now, &mut self.out);
        self.take()
    }

    fn word(&mut self, piece: Piece, word: Word) -> Vec<Outcome> {
        self.homes.word(piece, word, self.now, &mut self.out);
        self.take()
    }

    fn delta(&mut self, n: u128, bytes: usize) -> Vec<Outcome> {
        self.word(Piece::Task(id(n)), Word::Delta("x".repeat(bytes).into()))
    }

    fn says(&mut self, piece: Piece, text: &str) -> Vec<Outcome> {
        self.word(piece, Word::Delta(text.into()));
        self.ended(piece, Stop::Done)
    }

    fn call(&mut self, n: u128, name: &str) -> Vec<Outcome> {
        let call = ToolCall { id: "c".into(), tool: name.into(), arguments: r#"{"expression":"2+2"}"#.into() };
        self.word(Piece::Task(id(n)), Word::Call(call))
    }

    fn ended(&mut self, piece: Piece, stop: Stop) -> Vec<Outcome> {
        self.word(piece, Word::Ended { stop, usage: Usage { prompt_tokens: 5_000, completion_tokens: 5_000 } })
    }

    fn pass(&mut self, time: Duration) -> Vec<Outcome> {
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
        self.homes.turn(self.now, &mut self.out);
        self.take()
    }

    fn stop(&mut self) -> Vec<Outcome> {
        self.homes.stop(self.now, &mut self.out);
        self.take()
    }

    /// A task is made and its agent begins.
    fn begun(&mut self, n: u128) -> Vec<Outcome> {
        let made = self.make(n);
        let taken = self.store(ticket(&made));
        self.store(ticket(&taken))
    }

    fn is_empty(&mut self) -> bool {
        // The throttle of the counts is the last that runs.
        self.pass(SECOND);
        self.homes.levels() == Levels::default() && self.homes.timers() == 0
    }
}

/// The one record that is to be written.
fn kept(outcomes: &[Outcome]) -> (u64, &Record) {
    let mut kept = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Keep { ticket, record } => Some((*ticket, record)),
        _ => None,
    });
    let first = kept.next().unwrap_or_else(|| panic!("nothing is written: {outcomes:?}"));
    assert!(kept.next().is_none(), "one at a time: {outcomes:?}");
    first
}

fn ticket(outcomes: &[Outcome]) -> u64 {
    kept(outcomes).0
}

fn kept_task(outcomes: &[Outcome]) -> &Task {
    match kept(outcomes).1 {
        Record::Task(task) => task,
        other => panic!("{other:?}"),
    }
}

fn kept_execution(outcomes: &[Outcome]) -> &Execution {
    match kept(outcomes).1 {
        Record::Execution(execution) => execution,
        other => panic!("{other:?}"),
    }
}

pub(super) fn text(frame: &[u8]) -> Value {
    let start = frame.iter().position(|byte| *byte == b'{').unwrap();
    serde_json::from_slice(&frame[start..]).unwrap()
}

/// Of one frame after the other.
pub(super) fn texts(mut frames: &[u8]) -> Vec<Value> {
    let mut texts = Vec::new();
    while let [_, length, rest @ ..] = frames {
        let (head, length) = match length {
            126 => (4, usize::from(rest[0]) << 8 | usize::from(rest[1])),
            127 => (10, rest[..8].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))),
            short => (2, usize::from(*short)),
        };
        let (frame, behind) = frames.split_at(head + length);
        texts.push(serde_json::from_slice(&frame[head..]).unwrap());
        frames = behind;
    }
    texts
}

fn news(outcomes: &[Outcome]) -> Vec<&News> {
    let news = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::News { news, .. } => Some(news),
        _ => None,
    });
    news.collect()
}

/// Type, status and progress of what is told.
fn told(outcomes: &[Outcome]) -> Vec<(String, String, f64)> {
    let texts = news(outcomes).into_iter().map(|news| text(&news.frame));
    let told = texts.map(|text| {
        let data = &text["data"];
        let word = |value: &Value| value.as_str().unwrap_or("").to_owned();
        (word(&text["type"]), word(&data["status"]), data["progress"].as_f64().unwrap_or(-1.0))
    });
    told.collect()
}

/// The same, for one.
fn one(r#type: &str, status: &str, progress: f64) -> Vec<(String, String, f64)> {
    vec![(r#type.into(), status.into(), progress)]
}

fn replies(outcomes: &[Outcome]) -> Vec<&Reply> {
    let replies = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Reply { reply, .. } => Some(&**reply),
        _ => None,
    });
    replies.collect()
}

fn refused(outcomes: &[Outcome]) -> Option<Refused> {
    replies(outcomes).iter().find_map(|reply| match reply {
        Reply::Refused(refused) => Some(*refused),
        Reply::Task(_) | Reply::Execution(_) => None,
    })
}

/// Which pieces models are asked for.
fn asked(outcomes: &[Outcome]) -> Vec<Piece> {
    let asked = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Model { piece, .. } => Some(*piece),
        _ => None,
    });
    asked.collect()
}

fn not_cancelled(n: u128, why: Refused) -> Outcome {
    Outcome::Tell(conn(3), FromHome::NotCancelled { task: id(n), why })
}

fn piece(n: u128) -> Piece {
    Piece::Task(id(n))
}

fn by(user: &str, task: TaskId) -> (TaskId, Caller) {
    (task, caller(user))
}

fn look(user: &str, n: u128) -> Ask {
    let (task, caller) = by(user, id(n));
    Ask::Look { task, caller }
}

fn unfinished(tasks: Vec<Task>, executions: Vec<Execution>) -> Loaded {
    Loaded { tasks, executions }
}

fn is_pending(task: &Task) -> bool {
    task.status == Status::Pending
}
