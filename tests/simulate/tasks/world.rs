//! The world of tasks: what may happen in a run, when all must come to rest, and what must then be so. All of it obeys the dice.

use super::{asks::Pending, book::Book, ears::Ear, faults::Fault, models::Elsewhere, store::Outside};
use crate::{
    chat::cast,
    dice::Dice,
    stage::Stage,
    world::{house, note},
};
use homeroom::{
    engine::{Entrance, Limits, Rules, TASKS_SOCKET},
    protocols::tasks::{
        Settings, TaskId, Workflows,
        model::{Status, Step, Task, Workflow},
    },
    realtime::ConnId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What may wait for a socket that does not read.
const OUTBOX_BYTES: usize = 2_000;
/// Longer than the built-in agent takes for what may wait, and than a level is old.
const QUIET: Duration = Duration::from_secs(45);
/// Longer than what could not be written waits to be tried again.
const MOMENT: Duration = Duration::from_millis(1_500);
/// Messages of one socket in a minute.
const MESSAGES: usize = 60;

/// What a few hundred runs must have seen.
const MUST_HAPPEN: [&str; 21] = [
    "Close 1000",
    "Close 1008",
    "Close 1012",
    "Close 1013",
    "calls of tools",
    "cancelled by request",
    "cancels",
    "changed by hand",
    "crashes",
    "drains",
    "executions cancelled",
    "executions completed",
    "executions failed",
    "news of executions",
    "news of tasks",
    "one too many",
    "refused Crowded",
    "refused TooMany",
    "tasks completed",
    "tasks removed",
    "updates of the system",
];

/// More of one user's than there are.
pub(crate) const ANY_NUMBER: usize = 1_000;

/// What is drawn once for a run.
pub(crate) struct Plan {
    pub(crate) sockets: usize,
    /// Tasks and executions by request.
    pub(crate) most: u64,
    /// Of a hundred answers of the store: busy, failed.
    pub(crate) busy: usize,
    pub(crate) failed: usize,
    long_turns: usize,
    /// Of a thousand steps: how many end the process, and a new one begins.
    crashes: usize,
    /// Sockets that a user may have.
    pub(crate) places: usize,
    /// Messages of one socket in all: more than that may be too much.
    pub(crate) messages: usize,
    pub(crate) subscriptions: usize,
    /// How many work at a time on one shard.
    pub(crate) running: usize,
    /// Whether few may wait.
    pub(crate) is_narrow: bool,
    /// How many of one user's may wait on one shard.
    pub(crate) of_user: usize,
    weights: [usize; 9],
}

impl Plan {
    fn new(dice: &mut Dice) -> Plan {
        let faulty = dice.percent(35);
        let usual = [70, 50, 50, 10, 16, 80, 28, 50, 2];
        Plan {
            sockets: dice.between(3, 14),
            most: dice.between(4, 40) as u64,
            busy: if faulty { dice.below(20) } else { 0 },
            failed: if faulty { dice.below(20) } else { 0 },
            long_turns: *dice.pick(&[0, 20, 60]),
            crashes: *dice.pick(&[0, 0, 0, 1, 4]),
            places: *dice.pick(&[2, 3, 10]),
            messages: MESSAGES,
            subscriptions: *dice.pick(&[6, 50]),
            running: *dice.pick(&[1, 2, 1_000]),
            is_narrow: dice.percent(25),
            of_user: *dice.pick(&[1, 3, ANY_NUMBER]),
            weights: usual.map(|weight| if dice.percent(20) { weight * 3 } else { weight }),
        }
    }

    fn settings(&self, dice: &mut Dice) -> Settings {
        Settings {
            max_connections: self.places as u32,
            messages_a_minute: MESSAGES as u32,
            max_subscriptions: self.subscriptions,
            inactivity_timeout: Duration::from_secs(*dice.pick(&[100, 1_800])),
            max_running: self.running,
            max_waiting: if self.is_narrow { 2 } else { 10_000 },
            max_waiting_of_user: self.of_user,
            ..Settings::default()
        }
    }
}

/// Everything.
pub(crate) struct Tasks {
    pub(crate) stage: Stage,
    pub(crate) plan: Plan,
    pub(crate) fault: Option<Fault>,
    pub(crate) outside: Outside,
    pub(crate) book: Book,
    pub(crate) ears: BTreeMap<ConnId, Ear>,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) asks: Vec<Pending>,
    /// Asks that were answered from another shard.
    pub(crate) answered: BTreeSet<(usize, u64)>,
    /// Tasks that somebody wanted no more.
    pub(crate) cancelled: BTreeSet<TaskId>,
    /// All that anybody ever wanted no more, whether they may or not.
    pub(crate) unwanted: BTreeSet<TaskId>,
    pub(crate) last_id: u64,
    pub(crate) last_words: u64,
    pub(crate) is_stopping: bool,
    pub(crate) counts: BTreeMap<String, u64>,
}

fn limits() -> Limits {
    Limits { tasks_outbox_bytes: OUTBOX_BYTES, ..Limits::default() }
}

/// One after the other; and two beside each other before a third. Whoever does a step is told which it is, the input, and what was given
/// before.
fn workflows() -> Arc<Workflows> {
    let step = |id: &str, needs: &[&str]| {
        let given: String = needs.iter().map(|needs| format!(" {{{needs}}}")).collect();
        Step {
            id: id.into(),
            name: id.into(),
            agent: "far".into(),
            task: format!("step {id} {{input}}{given}").into(),
            needs: needs.iter().map(|needs| (*needs).into()).collect(),
        }
    };
    let workflow = |id: &str, steps: Vec<Step>| {
        let workflow = Workflow { id: id.into(), name: id.into(), description: "".into(), steps };
        workflow.check().expect("it can be done");
        (workflow.id.clone(), Arc::new(workflow))
    };
    let chain = workflow("chain", vec![step("one", &[]), step("two", &["one"]), step("three", &["two"])]);
    let wide = workflow("wide", vec![step("left", &[]), step("right", &[]), step("both", &["left", "right"])]);
    Arc::new([chain, wide].into_iter().collect())
}

impl Tasks {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Tasks {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&mut dice);
        let shards = dice.between(1, 4);
        let (path, api) = TASKS_SOCKET;
        let entrance = Entrance { sockets: vec![(path.to_owned(), api)] };
        let (tasks, workflows) = (plan.settings(&mut dice), workflows());
        let rules = Rules { tasks, workflows: workflows.clone(), catalog: cast::catalog(), ..house(vec![entrance]) };
        let mut world = Tasks {
            stage: Stage::new(seed, dice, shards, rules, limits),
            plan,
            fault,
            outside: Outside::new(shards),
            book: Book::new(workflows),
            ears: BTreeMap::new(),
            elsewhere: Elsewhere::default(),
            asks: Vec::new(),
            answered: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            unwanted: BTreeSet::new(),
            last_id: 0,
            last_words: 0,
            is_stopping: false,
            counts: MUST_HAPPEN.iter().map(|name| ((*name).to_owned(), 0)).collect(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.is_stopping = false;
        self.book.all_told();
        self.stage.begin();
        self.open_store();
    }

    /// The process ends without a word, and another begins with what is on disk.
    fn crash(&mut self) {
        note!(self.stage, "the process ends, and begins anew");
        self.count("crashes");
        self.check_disk();
        let pause = Duration::from_millis(self.stage.dice.below(40_000) as u64);
        self.stage.advance(pause);
        self.ears.clear();
        self.elsewhere.forget();
        self.asks.clear();
        self.answered.clear();
        self.cancelled.clear();
        self.begin();
    }

    pub(crate) fn count(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => _ = self.counts.insert(what.to_owned(), 1),
        }
    }

    /// What was reached, by name: so that a thousand runs can be asked whether they saw everything.
    pub(crate) fn reached(&self) -> Vec<(String, u64)> {
        self.counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
    }

    /// A whole run: anything may happen, now and then all comes to rest, at the end everything stops.
    pub(crate) fn run(&mut self) {
        (0..self.stage.dice.between(1, 4)).for_each(|_| self.someone_comes());
        let steps = self.stage.dice.between(200, 600);
        for step in 0..steps {
            self.step();
            self.check_crowds();
            if self.stage.dice.below(1_000) < self.plan.crashes {
                self.crash();
            }
            if step % 250 == 249 {
                self.come_to_rest();
            } else if step % 50 == 49 {
                self.pass_quietly(MOMENT, false);
                self.check_prompt();
            }
        }
        self.finale();
    }

    fn step(&mut self) {
        match self.stage.dice.weighted(&self.plan.weights) {
            0 => self.socket_acts(),
            1 => self.deliver_some(),
            2 => self.finish_a_send(),
            3 => self.someone_comes(),
            4 => self.ask_something(),
            5 => self.model_acts(),
            6 => {
                let time = self.stage.some_time();
                self.pass(time);
            }
            7 => self.move_records(),
            _ => self.end_one(),
        }
        let lazy = self.plan.long_turns;
        for shard in 0..self.stage.shards.len() {
            if self.stage.fed[shard] && !self.stage.dice.percent(lazy) {
                self.turn(shard);
            }
        }
        self.release();
    }

    fn end_one(&mut self) {
        if let Some(conn) = self.stage.someone() {
            self.stage.end(conn);
        }
    }

    /// Lets all that is under way arrive, until nothing moves. `with_models`: they say their last too.
    pub(crate) fn calm(&mut self, with_models: bool) {
        for _ in 0..10_000 {
            let mut moved = false;
            for shard in 0..self.stage.shards.len() {
                while self.stage.fed[shard] {
                    self.turn(shard);
                    moved = true;
                }
                for from in 0..self.stage.shards.len() {
                    while self.deliver(from, shard) {
                        moved = true;
                    }
                }
            }
            moved |= self.calm_store();
            moved |= self.finish_sends();
            self.release();
            moved |= with_models && self.calm_models();
            if !moved {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// Lets time pass, in steps no longer than what is due, and all arrive.
    fn pass_quietly(&mut self, time: Duration, with_models: bool) {
        let end = self.stage.now.moment + time;
        self.calm(with_models);
        while self.stage.now.moment < end {
            let time = self.stage.until_due(end);
            self.pass(time);
            self.calm(with_models);
        }
        // So that levels are drawn.
        (0..self.stage.shards.len()).for_each(|shard| self.turn(shard));
    }

    /// All say their last, and then nothing happens for longer than a level is old.
    fn rest(&mut self) {
        self.pass_quietly(QUIET, true);
        for _ in 0..200 {
            let before = (self.book.changes, self.stage.plugs.len(), self.stage.live().len());
            self.pass_quietly(MOMENT, true);
            let played = self.stage.level(|counters| counters.models_played.read());
            if before == (self.book.changes, self.stage.plugs.len(), self.stage.live().len()) && played == 0 {
                return;
            }
        }
        panic!("something happens for ever");
    }

    /// Models fall silent for so long that nobody waits for them any more, or say their last; then all must add up.
    fn come_to_rest(&mut self) {
        note!(self.stage, "all comes to rest");
        if self.stage.dice.percent(40) {
            let time = self.stage.dice.between(1, 60);
            self.pass_quietly(Duration::from_secs(time as u64), false);
        }
        self.rest();
        self.check_rest();
        self.check_disk();
        if self.stage.dice.percent(50) {
            self.check_admission();
        }
    }

    /// All go, in one order or another; then nothing is left of anything.
    fn finale(&mut self) {
        match self.stage.dice.below(4) {
            0 => self.drain(),
            1 => self.come_to_rest(),
            _ => {}
        }
        note!(self.stage, "all go");
        self.all_leave();
        self.rest();
        self.check_rest();
        self.check_empty();
        self.check_disk();
        self.crash();
        self.rest();
        self.check_rest();
    }

    /// The process is told to stop: tasks that run fail, and nothing is begun any more.
    fn drain(&mut self) {
        note!(self.stage, "the process stops");
        self.count("drains");
        self.is_stopping = true;
        (0..self.stage.shards.len()).for_each(|shard| self.turn(shard));
        let is_untouched = |task: &Task| task.status == Status::Pending && !self.outside.is_asked(task.id);
        let is_waiting = |task: &&Task| task.agent.is_some() && is_untouched(task);
        let waiting: Vec<TaskId> = self.book.tasks.values().filter(is_waiting).map(|task| task.id).collect();
        let now = self.stage.now;
        for shard in 0..self.stage.shards.len() {
            self.stage.feed(shard).drain(now);
        }
        for _ in 0..self.stage.dice.below(60) {
            self.step();
        }
        self.pass_quietly(Duration::from_secs(3), false);
        assert_eq!(self.elsewhere.live(), 0, "something works, and the process stops");
        for task in waiting.iter().filter_map(|id| self.book.tasks.get(id)) {
            let is_cancelled = task.error.as_deref() == Some("Cancelled by user");
            assert!(task.status == Status::Pending || is_cancelled, "what had not begun is for the next process: {task:?}");
        }
        let now = self.stage.now;
        for shard in 0..self.stage.shards.len() {
            self.stage.feed(shard).close(now);
        }
    }
}
