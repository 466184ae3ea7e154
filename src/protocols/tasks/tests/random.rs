//! Anything in any order over several shards, with a store that fails now and then: what must hold, holds.

use super::{
    school::{SHARDS, School},
    *,
};
use crate::{
    models::{Fault, ToolOutcome},
    protocols::tasks::asks::Edit,
};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides as u64) as usize
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        (!items.is_empty()).then(|| items[self.roll(items.len())])
    }
}

const USERS: [&str; 3] = ["alice", "bob", "admin"];

/// What one socket heard of one thing.
#[derive(Default)]
struct Story {
    rank: u8,
    progress: f64,
    ends: usize,
    news: Vec<Value>,
}

fn rank(text: &Value) -> u8 {
    match text["data"]["status"].as_str() {
        Some("pending") => 0,
        Some("in_progress") => 1,
        Some("verifying") => 2,
        _ => 3,
    }
}

/// Every socket heard what happened in the order in which it did, each news once, and one end.
fn check(heard: &[(Value, bool)], ends: &mut HashMap<String, usize>) {
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    for (place, (text, is_news)) in heard.iter().enumerate() {
        let kind = text["type"].as_str().unwrap();
        assert_eq!(kind == "connection_established", place == 0, "the welcome is first: {text}");
        let data = &text["data"];
        let Some(id) = data["task_id"].as_str().or(data["execution_id"].as_str()) else { continue };
        let story = stories.entry(id.into()).or_default();
        assert!(rank(text) >= story.rank, "{text} after {}", story.rank);
        story.rank = rank(text);
        if let Some(progress) = data["progress"].as_f64() {
            assert!(progress >= story.progress, "{text} after {}", story.progress);
            story.progress = progress;
        }
        if *is_news {
            assert_eq!(story.ends, 0, "nothing comes after the end: {text}");
            story.ends += usize::from(rank(text) == 3);
            assert!(kind == "workflow_execution_update" || !story.news.contains(text), "each once: {text}");
            story.news.push(text.clone());
        }
    }
    for (id, story) in stories {
        *ends.entry(id).or_default() += story.ends;
    }
}

struct World {
    school: School,
    dice: Dice,
    heard: Vec<Vec<(Value, bool)>>,
    numbers: u64,
    /// It hears all, from the beginning to the end.
    watcher: ConnId,
}

impl World {
    fn new(seed: u64) -> World {
        let settings = Settings { max_running: 3, max_waiting: 6, max_connections: 3, ..Settings::default() };
        let mut school = School::new(settings);
        let watcher = school.connect("admin");
        school.calm();
        school.says(watcher, "subscribe", json!({"channel": "tasks"}));
        World { school, dice: Dice(seed), heard: Vec::new(), numbers: 0, watcher }
    }

    /// Anyone but the one that only watches.
    fn conn(&mut self) -> Option<ConnId> {
        let conns: Vec<ConnId> = self.school.clients.keys().copied().filter(|conn| *conn != self.watcher).collect();
        self.dice.of(&conns)
    }

    /// A task that was made, perhaps not on disk yet.
    fn any_task(&mut self) -> Uuid {
        let mut known: Vec<Uuid> = self.school.tasks.keys().copied().collect();
        known.push(id(5));
        self.dice.of(&known).unwrap_or_default()
    }

    fn any_execution(&mut self) -> Uuid {
        let mut known: Vec<Uuid> = self.school.executions.keys().copied().collect();
        known.push(id(6));
        self.dice.of(&known).unwrap_or_default()
    }

    fn gone(&mut self, conn: ConnId) {
        let client = self.school.gone(conn);
        self.heard.extend(client.map(|client| client.heard));
    }

    fn step(&mut self) {
        match self.dice.roll(24) {
            0 if self.school.clients.len() < 12 => {
                let user = USERS[self.dice.roll(3)];
                self.school.connect(user);
            }
            1 if self.dice.roll(5) == 0 => {
                if let Some(conn) = self.conn() {
                    self.gone(conn);
                }
            }
            2..=5 => self.client_says(),
            6 => self.rest_asks(),
            7..=9 => self.store_answers(),
            10..=13 => self.model_says(),
            14 => {
                let tools: Vec<_> = self.school.tools.iter().copied().collect();
                if let Some((piece, call)) = self.dice.of(&tools) {
                    self.school.tools.remove(&(piece, call));
                    let outcome = ToolOutcome::Done("1".into());
                    let shard = self.school.home_of(piece);
                    self.school.act(shard, |homes, now, out| homes.tool(piece, call, outcome, now, out));
                }
            }
            15 => {
                let time = [1, 50, 210, 1_100][self.dice.roll(4)];
                self.school.pass(Duration::from_millis(time));
            }
            _ => {
                if let Some(way) = self.dice.of(&self.school.ways()) {
                    self.school.deliver(way);
                }
            }
        }
        // A socket that was closed is over soon.
        let ended = self.school.clients.iter().find(|(_, client)| client.ended.is_some()).map(|(conn, _)| *conn);
        ended.into_iter().for_each(|conn| self.gone(conn));
    }

    fn client_says(&mut self) {
        let Some(conn) = self.conn() else { return };
        let (task, execution) = (self.any_task(), self.any_execution());
        let subject = match self.dice.roll(6) {
            0 => json!({"channel": "tasks"}),
            1 => json!({"channel": "system_status"}),
            2 => json!({"channel": "workflow_execution", "execution_id": execution}),
            _ => json!({"channel": "task", "task_id": task}),
        };
        match self.dice.roll(8) {
            0 | 1 => self.school.says(conn, "execute_agent", json!({"agent_id": "code-agent", "task": "t"})),
            2 => self.school.says(conn, "cancel_task", json!({"task_id": task})),
            3 => self.school.says(conn, "unsubscribe", subject),
            4 => self.school.says(conn, "pong", json!({})),
            _ => self.school.says(conn, "subscribe", subject),
        }
    }

    fn rest_asks(&mut self) {
        self.numbers += 1;
        let (task, execution, new) = (self.any_task(), self.any_execution(), self.school.new_id());
        let (asker, number) = (ShardId(self.dice.roll(usize::from(SHARDS)) as u16), self.numbers);
        let user = USERS[self.dice.roll(3)];
        let (caller, owner) = (caller(user), Arc::from(user));
        let status = [Status::InProgress, Status::Completed, Status::Failed][self.dice.roll(3)];
        let ask = match self.dice.roll(12) {
            0 => Ask::Create(Box::new(Task::new(new, owner, "t", self.school.now.wall))),
            1 | 2 => Ask::Edit { task, caller, edit: Edit { status: Some(status), ..Edit::default() } },
            3 => Ask::Edit { task, caller, edit: Edit { priority: Some(Default::default()), ..Edit::default() } },
            4 => Ask::Remove { task, caller },
            5 => Ask::Cancel { task, caller },
            6 => Ask::Look { task, caller },
            7..=9 => {
                let workflow = ["review", "wide"][self.dice.roll(2)];
                Ask::Execute(Box::new(Execution::new(new, owner, workflow.into(), "{}".into(), self.school.now.wall)))
            }
            10 => Ask::CancelExecution { execution, caller },
            _ => Ask::LookExecution { execution, caller },
        };
        let is_task = match &ask {
            Ask::Create(_) | Ask::Look { .. } | Ask::Edit { .. } | Ask::Remove { .. } | Ask::Cancel { .. } => true,
            Ask::Execute(_) | Ask::LookExecution { .. } | Ask::CancelExecution { .. } => false,
        };
        let ask = Box::new(ask);
        match is_task {
            true => self.school.post_task(asker.0, ToTask::Ask { asker, number, ask }),
            false => self.school.post_execution(asker.0, ToExecution::Ask { asker, number, ask }),
        }
    }

    fn store_answers(&mut self) {
        let fails = self.dice.roll(10) == 0;
        self.school.write(if fails { Err(StoreFault::Failed) } else { Ok(()) });
    }

    fn model_says(&mut self) {
        let pieces: Vec<Piece> = self.school.models.keys().copied().collect();
        let Some(piece) = self.dice.of(&pieces) else { return };
        let call = |tool: &str| Word::Call(ToolCall { id: "c".into(), tool: tool.into(), arguments: "{}".into() });
        let word = match self.dice.roll(10) {
            0..=4 => Word::Delta("x".repeat(40).into()),
            5 => call("look"),
            6 => call("send"),
            7 | 8 => Word::Ended { stop: Stop::Done, usage: Usage::default() },
            _ => Word::Failed(Fault::Cut),
        };
        self.school.word(piece, word);
    }

    /// Everyone is gone, the store works, models end: nothing is left over.
    fn end(&mut self) {
        for conn in self.school.clients.keys().copied().filter(|conn| *conn != self.watcher).collect::<Vec<_>>() {
            self.gone(conn);
        }
        for _ in 0..100 {
            self.school.calm();
            let pieces: Vec<Piece> = self.school.models.keys().copied().collect();
            for piece in pieces {
                self.school.word(piece, Word::Ended { stop: Stop::Done, usage: Usage::default() });
            }
            self.school.pass(2 * SECOND);
        }
        let (watched, mut ends) = (self.school.heard_so_far(self.watcher), HashMap::new());
        check(&watched, &mut ends);
        for task in self.school.tasks.values() {
            let told = ends.get(&task.id.to_string()).copied().unwrap_or(0);
            assert_eq!(told, usize::from(task.status.is_over()), "{task:?}");
        }
        self.gone(self.watcher);
        self.school.calm();
        self.school.pass(SECOND);
    }

    fn stop(&mut self) {
        (0..SHARDS).for_each(|shard| self.school.act(shard, |homes, now, out| homes.stop(now, out)));
    }

    /// What is on disk, and what everyone was told, fits.
    fn judge(&mut self, stops: bool) -> usize {
        for homes in &self.school.homes {
            assert_eq!((homes.levels(), homes.timers()), (Levels::default(), 0));
        }
        assert!(self.school.models.is_empty());
        assert_eq!(self.school.replies.len() as u64, self.numbers, "each ask is answered once");
        let mut ends = HashMap::new();
        let welcomed = self.heard.iter().filter(|heard| heard.first().is_some_and(|(text, _)| text["type"] != "error"));
        welcomed.for_each(|heard| check(heard, &mut ends));
        for task in self.school.tasks.values() {
            let waits = stops && task.status == Status::Pending;
            assert!(task.status.is_over() || task.agent.is_none() || waits, "{task:?}");
        }
        for execution in self.school.executions.values() {
            assert!(execution.status.is_over() || stops, "{execution:?}");
        }
        let status = |status: Status| self.school.tasks.values().filter(|task| task.status == status).count() as u64;
        let counts = self.school.homes[0].status().counts;
        assert_eq!(counts.pending, status(Status::Pending));
        assert_eq!(counts.active, status(Status::InProgress) + status(Status::Verifying));
        ends.values().sum()
    }
}

#[test]
fn whatever_happens() {
    let (mut ended, mut told) = (HashMap::new(), 0);
    for seed in 0..60 {
        let (mut world, stops) = (World::new(seed), seed % 4 == 0);
        for step in 0..1_500 {
            if stops && step == 1_300 {
                world.stop();
            }
            world.step();
        }
        world.end();
        told += world.judge(stops);
        world.school.tasks.values().for_each(|task| *ended.entry((task.status, task.error.clone())).or_insert(0) += 1);
        world.school.executions.values().for_each(|execution| *ended.entry((execution.status, None)).or_insert(0) += 1);
    }
    assert!(told > 500 && ended.len() > 6, "much was met: {told}, {ended:?}");
}
