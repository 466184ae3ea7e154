//! The world of labs: what may happen in a run, when all must come to rest, and what must then be so. All of it obeys the dice.

use super::{
    agents::{Agent, Manner},
    asks::{LIMITS, Pending, Token, Validity},
    book::Book,
    checks::OWNERS,
    drains::Drain,
    faults::Fault,
    nodes::Nodes,
    roles::Standing,
    socket::Socket,
    store::Outside,
    streams::Streams,
};
use crate::{
    clients::EPOCH,
    dice::Dice,
    world::{house, note},
};
use homeroom::{
    engine::{Birth, Counters, Engine, Entrance, LABS_SOCKETS, Letter, Limits, Rules},
    protocols::labs::{Chunk, ProxyId, SessionId, Settings, asks::Window},
    realtime::{ConnId, HashRing, Moment, Now, ShardId},
    store::{LabsLibrary, Mood},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// What may be on its way to a viewer, or from one: more than twice what an engine tells at a time of what it had to keep unheard.
pub(crate) const WINDOW: usize = 40_000;
/// What is kept for a viewer who is not there yet.
pub(crate) const EARLY: usize = 3_000;
/// A command without a result has failed after this long.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than an agent may be silent, and than any ask waits.
const QUIET: Duration = Duration::from_secs(45);
/// Longer than a session may be on its way to anywhere: a command and the stop that follows it.
const LONG: Duration = Duration::from_secs(200);
/// How often agents that are well are heard of when all is quiet.
const BEAT: Duration = Duration::from_secs(5);
/// The names of the agents.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

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
    weights: [usize; 9],
}

impl Plan {
    fn new(dice: &mut Dice) -> Plan {
        let faulty = dice.percent(40);
        let usual = [80, 50, 50, 10, 16, 3, 30, 40, 1];
        Plan {
            sockets: dice.between(8, 24),
            sessions: dice.between(4, 40) as u128,
            busy: if faulty { dice.below(25) } else { 0 },
            failed: if faulty { dice.below(25) } else { 0 },
            long_turns: *dice.pick(&[0, 20, 60]),
            crashes: *dice.pick(&[0, 0, 0, 1, 4]),
            weights: usual.map(|weight| if dice.percent(20) { weight * 4 } else { weight }),
        }
    }
}

pub(crate) struct Shard {
    pub(crate) engine: Engine,
    pub(crate) counters: Arc<Counters>,
}

/// Everything.
pub(crate) struct Labs {
    pub(crate) dice: Dice,
    /// The last events in words, when somebody wants to read them.
    pub(crate) story: Option<VecDeque<String>>,
    pub(crate) plan: Plan,
    pub(crate) fault: Option<Fault>,
    pub(crate) now: Now,
    ring: Arc<HashRing>,
    /// Where every shard is a node of its own.
    pub(crate) nodes: Option<Nodes>,
    pub(crate) home: usize,
    pub(crate) shards: Vec<Shard>,
    /// Which shards were fed something since their last turn.
    pub(crate) fed: Vec<bool>,
    /// Letters under way from one shard to another, by `from * shards + to`.
    pub(crate) mesh: Vec<VecDeque<Letter>>,
    pub(crate) outside: Outside,
    pub(crate) book: Book,
    pub(crate) sockets: BTreeMap<ConnId, Socket>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) streams: Streams,
    pub(crate) tokens: Vec<Token>,
    /// Whether those who own sessions may sign in.
    pub(crate) barred: [Validity; 2],
    pub(crate) standings: [Standing; OWNERS.len()],
    /// Of each agent.
    pub(crate) drains: [Drain; NAMES.len()],
    pub(crate) asks: Vec<Pending>,
    /// What was answered under each limit, window by window.
    pub(crate) limits: BTreeMap<(u128, u8, i64), Vec<Option<u32>>>,
    /// Bytes that a faulty transport will bring to another tunnel.
    pub(crate) crossed: Option<(ProxyId, Chunk)>,
    pub(crate) sessions: u128,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Sessions whose beginning was told to somebody, or that the process began with.
    pub(crate) acknowledged: BTreeSet<SessionId>,
    /// Asks that were answered from another shard.
    pub(crate) answered: BTreeSet<(usize, u64)>,
    rules: Arc<Rules>,
    pub(crate) seed: u64,
}

impl Labs {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Labs {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&mut dice);
        let nodes = dice.percent(35).then(Nodes::default);
        let shards = if nodes.is_some() { dice.between(2, 3) } else { dice.between(1, 4) };
        let settings = Settings {
            command_timeout: COMMAND_TIMEOUT,
            stop_retry: Duration::from_secs(25),
            forget_agents_after: Duration::from_secs(30),
            tunnel_window: WINDOW,
            early_bytes: EARLY,
            agent_requests_a_minute: LIMITS[2] as u32,
            requests_a_minute: LIMITS[3] as u32,
            ..Settings::default()
        };
        let sockets = LABS_SOCKETS.map(|(path, api)| (path.to_owned(), api)).to_vec();
        let rules = Rules { labs: settings, ..house(vec![Entrance { sockets }]) };
        let ring = Arc::new(HashRing::new(shards as u16));
        let agents: Vec<Agent> =
            NAMES.iter().map(|name| Agent::new(name, Manner::random(&mut dice), dice.between(1, 4))).collect();
        let places = agents.iter().map(|agent| (agent.name, agent.places)).collect();
        let mut world = Labs {
            home: 0,
            ring,
            nodes,
            shards: Vec::new(),
            fed: vec![false; shards],
            mesh: (0..shards * shards).map(|_| VecDeque::new()).collect(),
            outside: Outside::new(shards),
            book: Book { places, ..Book::default() },
            now: Now { moment: Moment(1_000_000), wall: EPOCH },
            story: None,
            sockets: BTreeMap::new(),
            agents,
            streams: Streams::default(),
            tokens: Vec::new(),
            barred: [Validity::Good; 2],
            standings: Standing::first(),
            drains: Default::default(),
            asks: Vec::new(),
            limits: BTreeMap::new(),
            crossed: None,
            sessions: 0,
            counts: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            answered: BTreeSet::new(),
            rules: Arc::new(rules),
            seed,
            dice,
            plan,
            fault,
        };
        world.begin(shards);
        world
    }

    fn begin(&mut self, shards: usize) {
        self.outside.store.be(Mood::Prompt);
        let loaded = self.outside.store.labs().expect("the store can be read");
        let revoked = self.outside.store.revoked(self.now.wall).expect("the store can be read");
        self.outside.hang();
        self.seed = self.seed.wrapping_mul(31).wrapping_add(7);
        let now = self.now;
        if self.nodes.is_some() {
            return self.begin_nodes(shards);
        }
        self.shards = (0..shards).map(|id| self.born(ShardId(id as u16), self.ring.clone())).collect();
        for shard in 0..shards {
            self.feed(shard).begin_labs(&loaded, &revoked, now);
        }
    }

    /// A shard that knows nothing yet.
    pub(crate) fn born(&self, id: ShardId, ring: Arc<HashRing>) -> Shard {
        let birth = Birth { id, start: self.now.moment, seed: self.seed };
        let counters = Arc::new(Counters::default());
        Shard { engine: Engine::new(birth, ring, Limits::default(), self.rules.clone(), counters.clone()), counters }
    }

    /// The process ends without a word, and another begins with what is on disk.
    fn crash(&mut self) {
        note!(self, "the process ends, and begins anew");
        self.count("crashes");
        self.check_disk();
        let pause = Duration::from_millis(self.dice.below(40_000) as u64);
        self.now.moment = self.now.moment + pause;
        self.now.wall.0 += pause.as_micros() as i64;
        self.mesh.iter_mut().for_each(VecDeque::clear);
        self.outside.restart(self.now.wall);
        self.asks.clear();
        self.answered.clear();
        self.limits.clear();
        self.crossed = None;
        for (conn, mut socket) in std::mem::take(&mut self.sockets) {
            socket.has_ended = true;
            self.released(conn, &socket);
        }
        self.tokens_after_crash();
        self.acknowledged.extend(self.book.sessions.keys());
        self.begin(self.shards.len());
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Whether this fault strikes now.
    pub(crate) fn strikes(&mut self, fault: Fault, percent: usize) -> bool {
        self.fault == Some(fault) && self.dice.percent(percent)
    }

    /// What was reached, by name: so that a thousand runs can be asked whether they saw everything.
    pub(crate) fn reached(&self) -> Vec<(String, u64)> {
        self.counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    /// A whole run: anything may happen, now and then all comes to rest, at the end everything stops.
    pub(crate) fn run(&mut self) {
        if self.dice.percent(80) {
            self.set_up();
        }
        let steps = self.dice.between(200, 700);
        for step in 0..steps {
            self.step();
            if self.nodes.is_some() {
                self.a_node_may_die();
            } else if self.dice.below(1_000) < self.plan.crashes {
                self.crash();
            }
            if step % 300 == 299 {
                self.come_to_rest(QUIET);
            }
        }
        self.finale();
    }

    /// Most runs begin with agents that are there, and sessions that run.
    fn set_up(&mut self) {
        self.all_beat();
        self.calm();
        self.all_beat();
        self.calm();
        (0..self.dice.between(2, 6)).for_each(|_| self.create());
        self.calm();
    }

    fn step(&mut self) {
        match self.dice.weighted(&self.plan.weights) {
            0 => (0..self.dice.between(1, 4)).for_each(|_| self.agent_acts()),
            1 => self.deliver_some(),
            2 => self.finish_a_send(),
            3 => self.viewer_comes(),
            4 => self.ask_something(),
            5 => self.let_time_pass(),
            6 => self.move_records(),
            7 => (0..self.dice.between(1, 3)).for_each(|_| self.viewer_acts()),
            _ => self.end_one(),
        }
        let lazy = self.plan.long_turns;
        for shard in 0..self.shards.len() {
            if self.fed[shard] && !self.dice.percent(lazy) {
                self.turn(shard);
            }
        }
        self.release();
        self.check_bytes();
    }

    fn end_one(&mut self) {
        let at = self.dice.below(self.sockets.len());
        if let Some(conn) = self.sockets.keys().nth(at).copied() {
            self.end(conn);
        }
    }

    /// Lets all that is under way arrive, until nothing moves.
    pub(crate) fn calm(&mut self) {
        for _ in 0..10_000 {
            let mut moved = self.views_come();
            for shard in 0..self.shards.len() {
                while self.fed[shard] {
                    self.turn(shard);
                    moved = true;
                }
                for from in 0..self.shards.len() {
                    while self.deliver(from, shard) {
                        moved = true;
                    }
                }
            }
            moved |= self.calm_store();
            let waiting: Vec<ConnId> = self.in_flight().collect();
            for conn in waiting {
                self.finish_send(conn);
                moved = true;
            }
            self.release();
            moved |= self.agents_react();
            if !moved {
                self.agents.iter_mut().for_each(|agent| agent.comings = 0);
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// Lets time pass, in steps no longer than what is due, and all arrive.
    pub(crate) fn pass_quietly(&mut self, time: Duration) {
        let end = self.now.moment + time;
        let mut beat = self.now.moment;
        while self.now.moment < end {
            let due = self.shards.iter().filter_map(|shard| shard.engine.next_deadline()).min().unwrap_or(end);
            let next = due.max(self.now.moment + Duration::from_millis(1)).min(end).min(beat.max(self.now.moment + BEAT / 50));
            if self.now.moment >= beat {
                beat = self.now.moment + BEAT;
                self.all_beat();
            }
            let time = next.since(self.now.moment).max(Duration::from_millis(1));
            self.pass(time);
            self.calm();
        }
    }

    /// Lets time pass until whoever is to be ended is, and checks that what is left adds up exactly.
    fn come_to_rest(&mut self, time: Duration) {
        note!(self, "all comes to rest");
        self.read_well(true);
        self.calm();
        if self.nodes.is_some() {
            // What could not be read is tried again.
            self.pass_quietly(Duration::from_secs(2));
        }
        self.confirm_users();
        self.check_gone();
        self.pass_quietly(time);
        self.check_rest();
        self.check_disk();
        self.read_well(false);
    }

    /// All agents are well, or all are gone; then every session ends.
    fn finale(&mut self) {
        let well = self.dice.percent(60);
        note!(self, "all agents are {}", if well { "well" } else { "gone" });
        for which in 0..self.agents.len() {
            self.agents[which].silent_until = None;
            self.agents[which].is_away = !well;
            if let (false, Some(conn)) = (well, self.agents[which].conn) {
                self.end(conn);
            }
        }
        self.come_to_rest(LONG);
        self.check_settled();
        for which in 0..self.agents.len() {
            self.agents[which].is_away = false;
        }
        self.come_to_rest(QUIET);
        self.end_all_sessions();
        self.come_to_rest(LONG);
        // A stop that failed after its session was over is heard of again when the agent says that it runs.
        self.all_tell();
        self.come_to_rest(QUIET);
        self.check_over();
    }

    /// A session's id.
    pub(crate) fn session(n: u128) -> SessionId {
        Uuid::from_u128(n)
    }

    pub(crate) fn windows() -> [Window; 4] {
        [Window::Login, Window::Create, Window::Agent, Window::Other]
    }

    pub(crate) fn live_viewers(&self) -> BTreeSet<ConnId> {
        self.sockets.iter().filter(|(_, own)| own.is_live() && own.viewer().is_some()).map(|(conn, _)| *conn).collect()
    }
}
