//! The world of chat: what may happen in a run, when all must come to rest, and what must then be so. All of it obeys the dice.

use super::{
    asks::Pending,
    book::Book,
    cast,
    ears::{Ear, Hearing, Pass},
    faults::Fault,
    followers::{self, Follower},
    models::Elsewhere,
    people::Author,
    store::Outside,
};
use crate::{
    dice::Dice,
    stage::Stage,
    world::{house, note},
};
use homeroom::{
    engine::{CHAT_SOCKET, Entrance, Limits, Rules},
    protocols::chat::{ApprovalId, SessionId, Settings},
    realtime::ConnId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Characters of a message.
pub(crate) const MAX_CHARS: usize = 2_000;
/// Messages that may wait in a session.
const WAITING: usize = 3;
/// What may wait for a socket that does not read.
const OUTBOX_BYTES: usize = 1_000;
/// How long the store may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than the built-in agent takes for all that may wait, and than a level is old.
const SHORT: Duration = Duration::from_secs(35);
/// Longer than what could not be written waits to be tried again.
const MOMENT: Duration = Duration::from_millis(1_500);

/// What a few hundred runs must have seen.
const MUST_HAPPEN: [&str; 27] = [
    "Close 1000",
    "Close 1008",
    "Close 1012",
    "Close 1013",
    "answers heard",
    "answers that run while the home moves",
    "answers that wait for leave",
    "approved",
    "cancels",
    "crashes",
    "drains",
    "ends that were not stored at once",
    "error AGENT_TIMEOUT",
    "error RATE_LIMITED",
    "error SESSION_ENDED",
    "error TOOL_APPROVAL_EXPIRED",
    "expired",
    "followed deltas",
    "refused Expired",
    "refused Processed",
    "rejected",
    "requests refused",
    "requests that go",
    "requests that were ended",
    "told that it takes too long",
    "too slow to hear all",
    "words in vain",
];

/// What is drawn once for a run.
pub(crate) struct Plan {
    pub(crate) sockets: usize,
    pub(crate) sessions: u128,
    /// Of a hundred answers of the store: busy, failed.
    pub(crate) busy: usize,
    pub(crate) failed: usize,
    /// Of a hundred turns: how many take in more than one input.
    long_turns: usize,
    /// Of a thousand steps: how many end the process, and a new one begins.
    crashes: usize,
    /// Of a thousand steps: how many bring another view, where there are several nodes.
    views: usize,
    session_expiry: Duration,
    /// From the question for leave to its expiry.
    approval_expiry: Duration,
    weights: [usize; 11],
}

impl Plan {
    /// Longer than all that waits in a session takes, where no model says anything: each waits for its model, or for leave.
    fn long(&self) -> Duration {
        (self.approval_expiry + cast::TIME_LIMIT) * (WAITING as u32 + 1) + SHORT
    }

    fn new(dice: &mut Dice) -> Plan {
        let faulty = dice.percent(35);
        let usual = [60, 50, 50, 8, 14, 8, 3, 70, 28, 50, 2];
        Plan {
            sockets: dice.between(3, 14),
            sessions: dice.between(2, 7) as u128,
            busy: if faulty { dice.below(20) } else { 0 },
            failed: if faulty { dice.below(20) } else { 0 },
            long_turns: *dice.pick(&[0, 20, 60]),
            crashes: *dice.pick(&[0, 0, 0, 1, 4]),
            views: *dice.pick(&[3, 10, 30]),
            session_expiry: Duration::from_secs(*dice.pick(&[60, 3_600, 3_600])),
            approval_expiry: Duration::from_secs(*dice.pick(&[20, 300])),
            weights: usual.map(|weight| if dice.percent(20) { weight * 3 } else { weight }),
        }
    }
}

/// Everything.
pub(crate) struct Chat {
    pub(crate) stage: Stage,
    pub(crate) plan: Plan,
    pub(crate) fault: Option<Fault>,
    pub(crate) outside: Outside,
    pub(crate) book: Book,
    pub(crate) ears: BTreeMap<ConnId, Ear>,
    /// Who said what.
    pub(crate) authors: BTreeMap<String, Author>,
    /// The place of the last message of each socket that is on disk.
    pub(crate) begun: BTreeMap<ConnId, usize>,
    /// What was heard to its end before that was on disk.
    pub(crate) unkept: Vec<Hearing>,
    pub(crate) followers: Vec<Follower>,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) asks: Vec<Pending>,
    /// Asks that were answered from another shard.
    pub(crate) answered: BTreeSet<(usize, u64)>,
    /// Approvals of which somebody was told that he has decided them.
    pub(crate) decided: BTreeSet<ApprovalId>,
    /// Requests that are being counted, and under which row.
    pub(crate) counts_open: Vec<(usize, u64, usize)>,
    /// What was answered under each limit, window by window.
    pub(crate) windows: BTreeMap<(usize, i64), Vec<Option<u32>>>,
    pub(crate) last_session: u128,
    pub(crate) last_words: u64,
    pub(crate) last_reason: u64,
    pub(crate) is_stopping: bool,
    pub(crate) counts: BTreeMap<String, u64>,
}

fn limits() -> Limits {
    Limits { chat_outbox_bytes: OUTBOX_BYTES, ..Limits::default() }
}

impl Chat {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Chat {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&mut dice);
        let shards = dice.between(1, 4);
        let settings = Settings {
            session_expiry: plan.session_expiry,
            approval_expiry: plan.approval_expiry,
            max_waiting: WAITING,
            max_content_chars: MAX_CHARS,
            context_messages: *dice.pick(&[4, 100]),
            max_answer_bytes: *dice.pick(&[700, 1 << 20]),
            messages_a_minute: *dice.pick(&[15, 1_000]),
            keep_timeout: if fault == Some(Fault::LongPatience) { Duration::from_secs(3_600) } else { PATIENCE },
            ..Settings::default()
        };
        let (path, api) = CHAT_SOCKET;
        let entrance = Entrance { sockets: vec![(path.to_owned(), api)] };
        let rules = Rules { chat: settings, catalog: cast::catalog(), ..house(vec![entrance]) };
        let mut stage = Stage::new(seed, dice, shards, rules, limits);
        if shards > 1 && stage.dice.percent(50) {
            // The last have one shard each.
            let mut nodes = vec![1; shards.min(3)];
            nodes[0] += shards.saturating_sub(3) as u8;
            let first = stage.dice.between(1, nodes.len() - 1);
            stage.divide(&nodes, first);
        }
        let mut world = Chat {
            stage,
            plan,
            fault,
            outside: Outside::new(shards),
            book: Book::default(),
            ears: BTreeMap::new(),
            authors: BTreeMap::new(),
            begun: BTreeMap::new(),
            unkept: Vec::new(),
            followers: Vec::new(),
            elsewhere: Elsewhere::default(),
            asks: Vec::new(),
            answered: BTreeSet::new(),
            decided: BTreeSet::new(),
            counts_open: Vec::new(),
            windows: BTreeMap::new(),
            last_session: 0,
            last_words: 0,
            last_reason: 0,
            is_stopping: false,
            counts: MUST_HAPPEN.iter().map(|name| ((*name).to_owned(), 0)).collect(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.is_stopping = false;
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
        self.begun.clear();
        self.unkept.clear();
        self.followers.clear();
        self.elsewhere.forget();
        self.asks.clear();
        self.answered.clear();
        self.counts_open.clear();
        self.windows.clear();
        self.begin();
        self.check_disk();
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

    /// Whether nobody has spoken in a session for so long that it counts as ended.
    pub(crate) fn is_silent(&self, session: SessionId) -> bool {
        let silent = self.book.sessions.get(&session).map_or(0, |row| self.stage.now.wall.0 - row.updated_at.0);
        silent > self.plan.session_expiry.as_micros() as i64
    }

    /// A whole run: anything may happen, now and then all comes to rest, at the end everything stops.
    pub(crate) fn run(&mut self) {
        self.set_up();
        let steps = self.stage.dice.between(200, 600);
        for step in 0..steps {
            self.step();
            if self.stage.dice.below(1_000) < self.plan.crashes {
                self.crash();
            }
            if self.stage.dice.below(1_000) < self.plan.views && self.stage.another_view() {
                let running = self.book.all_running().count();
                *self.counts.entry("answers that run while the home moves".to_owned()).or_default() += running as u64;
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

    /// Runs begin with sessions that somebody hears.
    fn set_up(&mut self) {
        (0..2).for_each(|_| self.create());
        self.calm(false);
        for session in self.book.sessions.keys().copied().collect::<Vec<_>>() {
            let owner = self.owner(session).unwrap_or(0);
            (0..self.stage.dice.between(1, 3)).for_each(|_| self.comes(session, Pass::Good(owner)));
        }
        self.calm(false);
    }

    fn step(&mut self) {
        if self.stage.dice.percent(30) {
            self.stage.view_comes(true);
        }
        match self.stage.dice.weighted(&self.plan.weights) {
            0 => self.socket_acts(),
            1 => self.deliver_some(),
            2 => self.finish_a_send(),
            3 => self.someone_comes(),
            4 => self.ask_something(),
            5 => self.request(),
            6 => self.follower_leaves(),
            7 => self.model_acts(),
            8 => {
                let time = self.stage.some_time();
                self.pass(time);
            }
            9 => self.move_records(),
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
    fn calm(&mut self, with_models: bool) {
        for _ in 0..10_000 {
            let mut moved = self.stage.view_comes(false);
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
            for conn in self.stage.in_flight() {
                self.stage.finish_send(conn, true);
                moved = true;
            }
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

    /// Lets time pass until nothing has happened for longer than a level is old.
    fn settle(&mut self, with_models: bool) {
        for _ in 0..200 {
            let before = (self.book.changes, self.stage.plugs.len(), self.stage.live().len());
            self.pass_quietly(MOMENT, with_models);
            let played = self.stage.level(|counters| counters.models_played.read());
            if before == (self.book.changes, self.stage.plugs.len(), self.stage.live().len()) && played == 0 {
                return;
            }
        }
        panic!("something happens for ever");
    }

    /// Models say their last, or are silent for so long that nobody waits for them any more; then all must add up.
    fn come_to_rest(&mut self) {
        note!(self.stage, "all comes to rest");
        if self.stage.dice.percent(60) {
            self.pass_quietly(SHORT, true);
            self.settle(true);
        } else {
            self.pass_quietly(self.plan.long(), false);
            self.settle(false);
            self.check_over();
        }
        self.check_rest();
        self.check_disk();
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
        for at in 0..self.followers.len() {
            if self.followers[at].stage == followers::Stage::Waiting {
                self.leaves(at);
            }
        }
        let with_models = self.stage.dice.percent(50);
        self.pass_quietly(self.plan.long(), with_models);
        self.settle(with_models);
        self.check_rest();
        self.check_empty();
        self.check_disk();
        self.crash();
        self.check_over();
    }

    /// The process is told to stop: answers are broken off and written, and nothing is begun any more.
    fn drain(&mut self) {
        note!(self.stage, "the process stops");
        self.count("drains");
        self.is_stopping = true;
        let now = self.stage.now;
        for shard in 0..self.stage.shards.len() {
            self.stage.feed(shard).drain(now);
        }
        for _ in 0..self.stage.dice.below(60) {
            self.step();
        }
        self.pass_quietly(Duration::from_secs(3), false);
        self.check_over();
        let now = self.stage.now;
        for shard in 0..self.stage.shards.len() {
            self.stage.feed(shard).close(now);
        }
    }
}
