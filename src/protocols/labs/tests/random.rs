//! Anything in any order: agents that fail, stall, die and return, a store that is slow and fails, and a process that stops.

use super::{
    shelf::is_open,
    world::{Said, World, ann, bob, conn, creation, hello, id, root},
};
use crate::{
    protocols::labs::{
        FromRegistry, Registry, SessionId, Settings, ToRegistry,
        asks::{Ask, Creation, Target},
        letters::{AgentWord, Capacity},
        model::{Place, State},
        record::{Kept, Record},
    },
    realtime::{ConnId, StoreFault},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

const NAMES: [&str; 3] = ["a", "b", "c"];
const PLACES: [u32; 3] = [1, 2, 4];
const TARGETS: [Target; 4] = [Target::Running, Target::Hibernated, Target::Terminating, Target::Terminated];

/// Steele, Lea and Flood's SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }
}

/// An agent that does a command of one name once, whatever becomes of its connection.
#[derive(Default)]
struct Agent {
    slot: Option<u32>,
    registered: bool,
    inbox: VecDeque<(String, SessionId, String)>,
    outbox: VecDeque<AgentWord>,
    done: BTreeMap<String, bool>,
    running: BTreeSet<SessionId>,
}

struct Run {
    dice: Dice,
    world: World,
    /// Decided by the store, and on its way back.
    decided: VecDeque<(u64, Result<Kept, StoreFault>)>,
    agents: [Agent; 3],
    /// Connections that are over, and of which the registry was not told yet.
    ended: Vec<(u32, usize)>,
    asks: BTreeSet<u64>,
    /// Viewers that were not refused and have not gone; with the agent's connection: they see.
    viewers: BTreeMap<u32, (SessionId, Option<ConnId>)>,
    /// The command that was sent last about a session, and those before it.
    sent: BTreeMap<SessionId, String>,
    outdated: BTreeSet<String>,
    slots: u32,
    sessions: u128,
    heard: usize,
}

fn settings() -> Settings {
    Settings {
        command_timeout: Duration::from_secs(60),
        stop_retry: Duration::from_secs(25),
        forget_agents_after: Duration::from_secs(15),
        ..Settings::default()
    }
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut world = World::with(settings());
        world.prompt = false;
        Run {
            dice: Dice(seed),
            world,
            decided: VecDeque::new(),
            agents: Default::default(),
            ended: Vec::new(),
            asks: BTreeSet::new(),
            viewers: BTreeMap::new(),
            sent: BTreeMap::new(),
            outdated: BTreeSet::new(),
            slots: 0,
            sessions: 0,
            heard: 0,
        }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..20 => self.decide(),
            20..40 => self.tell_decided(),
            40..66 => self.agent(),
            66..70 => self.pass(),
            70..74 => self.create(),
            74..86 => self.ask_move(),
            86..92 => self.view(),
            92..96 => self.other_ask(),
            96..97 => self.disconnect(),
            97..99 => self.agent_ended(),
            _ if self.dice.one_in(12) => self.crash(),
            _ => {}
        }
        self.listen();
        self.check();
    }

    fn decide(&mut self) {
        let Some((ticket, record)) = self.world.pending.pop_front() else { return };
        let result = match self.dice.below(12) {
            0 => Err(StoreFault::Busy),
            1 => Err(StoreFault::Failed),
            _ => Ok(self.keep(&record)),
        };
        self.decided.push_back((ticket, result));
    }

    fn keep(&mut self, record: &Record) -> Kept {
        let is_new = |change: &crate::protocols::labs::record::Change| {
            change.session.as_ref().is_some_and(|session| !self.world.shelf.sessions.contains_key(&session.id))
        };
        if matches!(record, Record::Change(change) if is_new(change)) && self.dice.one_in(6) {
            return Kept::Taken;
        }
        self.world.shelf.keep(record)
    }

    fn tell_decided(&mut self) {
        let Some((ticket, result)) = self.decided.pop_front() else { return };
        self.world.act(|registry, now, out| registry.kept(ticket, result, now, out));
    }

    fn new_slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots
    }

    /// One agent connects, works, or speaks.
    fn agent(&mut self) {
        let which = self.dice.below(3) as usize;
        let Some(slot) = self.agents[which].slot else { return self.connect(which) };
        if !self.agents[which].registered {
            return;
        }
        if self.dice.one_in(2)
            && let Some((kind, session, command)) = self.agents[which].inbox.pop_front()
        {
            let fails = self.dice.one_in(6);
            self.agents[which].work(&kind, session, command, fails);
        }
        let agent = &mut self.agents[which];
        if let Some(word) = agent.outbox.pop_front() {
            if self.dice.one_in(5) {
                agent.outbox.push_back(word.clone());
            }
            self.world.say(slot, NAMES[which], word);
        } else {
            self.world.say(slot, NAMES[which], AgentWord::Heartbeat(Capacity::default()));
        }
    }

    fn connect(&mut self, which: usize) {
        let slot = self.new_slot();
        let agent = &mut self.agents[which];
        (agent.slot, agent.registered) = (Some(slot), false);
        agent.inbox.clear();
        agent.outbox.clear();
        if self.dice.one_in(4) {
            // It began anew, and nothing survived.
            let died = std::mem::take(&mut agent.running);
            agent.outbox.extend(died.into_iter().map(|session| status(session, false)));
        }
        agent.outbox.extend(agent.running.iter().map(|session| status(*session, true)));
        self.world.register(slot, hello(NAMES[which], PLACES[which]));
    }

    fn disconnect(&mut self) {
        let which = self.dice.below(3) as usize;
        if let Some(slot) = self.agents[which].slot.take() {
            self.ended.push((slot, which));
        }
    }

    /// The registry is told that a connection is over.
    fn agent_ended(&mut self) {
        let Some((slot, which)) = self.ended.pop() else { return };
        self.world.gone(slot, NAMES[which]);
        self.listen();
        let is_left = self.viewers.values().any(|(_, agent)| *agent == Some(conn(slot)));
        assert!(!is_left, "somebody watches through a connection that is over");
    }

    fn pass(&mut self) {
        let longest = if self.dice.one_in(20) { 40_000 } else { 2_000 };
        let time = Duration::from_millis(self.dice.below(longest));
        self.world.pass(time);
    }

    fn create(&mut self) {
        self.sessions += 1;
        let timeouts = ["20s", "1m30s", "1h"];
        let creation = Creation {
            hibernated: self.dice.one_in(5),
            idle_timeout: timeouts[self.dice.below(3) as usize].into(),
            suffixes: creation(self.dice.below(9) as u128).suffixes,
            ..creation(self.sessions)
        };
        let number = self.world.ask(Ask::Create(Box::new(creation)));
        self.asks.insert(number);
    }

    fn some_session(&mut self) -> SessionId {
        let live = self.world.shelf.sessions.values().filter(|session| session.state != State::Terminated);
        let live: Vec<_> = live.map(|session| session.id).collect();
        if !live.is_empty() && !self.dice.one_in(6) {
            return live[self.dice.below(live.len() as u64) as usize];
        }
        id(1 + u128::from(self.dice.below(8)) + self.sessions.saturating_sub(7))
    }

    fn ask_move(&mut self) {
        let to = TARGETS[[0, 0, 0, 0, 1, 1, 1, 1, 2, 3][self.dice.below(10) as usize]];
        let caller = if self.dice.one_in(9) { bob() } else { ann() };
        let session = self.some_session();
        let number = self.world.ask(Ask::Move { session, caller, to });
        self.asks.insert(number);
    }

    fn other_ask(&mut self) {
        let (session, caller) = (self.some_session(), root());
        let which = self.dice.below(3) as usize;
        let ask = match self.dice.below(5) {
            0 => Ask::Look { session, caller },
            1 => Ask::Logs { session, caller, tail: 3 },
            2 => Ask::Drain { agent: NAMES[which].into(), draining: self.dice.one_in(4) },
            3 => Ask::Forget { agent: NAMES[which].into() },
            _ => Ask::Enrol(Box::new(hello(NAMES[which], PLACES[which]))),
        };
        let number = self.world.ask(ask);
        self.asks.insert(number);
    }

    fn view(&mut self) {
        if self.dice.one_in(3)
            && let Some((&slot, &(session, Some(_)))) = self.viewers.iter().next()
        {
            self.viewers.remove(&slot);
            return self.world.letter(ToRegistry::ViewerGone { conn: conn(slot), session });
        }
        let (slot, session) = (self.new_slot(), self.some_session());
        self.viewers.insert(slot, (session, None));
        if self.dice.one_in(2) {
            self.world.letter(ToRegistry::Activity { session });
        }
        let user = ann().name;
        self.world.letter(ToRegistry::View { conn: conn(slot), session, user, admin: false });
    }

    /// The process dies: what is not decided is lost, and so is every answer.
    fn crash(&mut self) {
        self.listen();
        self.decided.clear();
        self.world.pending.clear();
        self.asks.clear();
        self.viewers.clear();
        self.ended.clear();
        for agent in &mut self.agents {
            agent.slot = None;
        }
        let loaded = self.world.shelf.loaded();
        let now = self.world.now;
        self.world.registry = Registry::new(settings(), self.dice.below(u64::MAX), now.moment);
        self.world.act(|registry, now, out| registry.begin(loaded, now, out));
    }

    /// Everybody hears what was said to them.
    fn listen(&mut self) {
        let said: Vec<_> = std::mem::take(&mut self.world.said);
        self.heard += said.len();
        for said in said {
            match said {
                Said::Replied(number, _) => assert!(self.asks.remove(&number), "{number} is answered, and nobody asked"),
                Said::Sent(to, frame) => self.hear(to.slot, &frame),
                Said::Told(to, word) => self.told(to.slot, word),
            }
        }
    }

    fn hear(&mut self, slot: u32, frame: &Value) {
        if frame["type"] != "command" {
            return;
        }
        let text = |name: &str| frame[name].as_str().unwrap().to_owned();
        let (kind, session, command) = (text("command_type"), text("session_id").parse().unwrap(), text("command_id"));
        if kind != "get_logs" {
            assert!(!self.outdated.contains(&command), "{kind} is sent again after another command");
            if let Some(before) = self.sent.insert(session, command.clone()).filter(|before| *before != command) {
                self.outdated.insert(before);
            }
        }
        if let Some(agent) = self.agents.iter_mut().find(|agent| agent.slot == Some(slot)) {
            let request = frame["data"]["request"].as_u64().unwrap_or_default();
            match &*kind {
                "get_logs" => agent.outbox.push_back(AgentWord::Logs { request, lines: vec!["line".into(); 5] }),
                _ => agent.inbox.push_back((kind, session, command)),
            }
        }
    }

    fn told(&mut self, slot: u32, word: FromRegistry) {
        let which = self.agents.iter().position(|agent| agent.slot == Some(slot));
        match word {
            FromRegistry::Registered => which.into_iter().for_each(|which| self.agents[which].registered = true),
            FromRegistry::Unknown | FromRegistry::Full | FromRegistry::Unkept => {
                which.into_iter().for_each(|which| self.agents[which].slot = None)
            }
            FromRegistry::Displaced => assert!(which.is_none(), "the newest is displaced"),
            FromRegistry::View { agent, .. } => {
                let viewer = self.viewers.get_mut(&slot).expect("it asked");
                assert_eq!(viewer.1.replace(agent), None, "shown twice");
            }
            FromRegistry::Refused(_) => {
                assert_eq!(self.viewers.remove(&slot).map(|viewer| viewer.1), Some(None), "refused after it was shown");
            }
            FromRegistry::ViewOver(_) => {
                assert!(self.viewers.remove(&slot).is_some_and(|viewer| viewer.1.is_some()), "over before it was shown");
            }
            FromRegistry::Proxy { .. } | FromRegistry::Following | FromRegistry::Lines(_) => {}
            FromRegistry::Noted | FromRegistry::LogOver => {}
        }
    }

    fn check(&mut self) {
        let levels = self.world.registry.levels();
        assert_eq!(levels.waiting, self.asks.len(), "every ask that has no answer waits");
        assert_eq!(levels.writing, self.world.pending.len() + self.decided.len());
        assert_eq!(levels.viewers, self.viewers.len());
        assert!(levels.places <= PLACES.iter().sum::<u32>() as usize);
        let views = self.world.agents();
        self.world.said.clear();
        for view in &views {
            let which = NAMES.iter().position(|name| *name == &*view.agent.name).unwrap();
            assert!(view.sessions.len() <= PLACES[which] as usize, "more sessions than places");
            let rows: BTreeMap<_, _> = view.sessions.iter().map(|session| (session.0, session.4)).collect();
            let runs = self.agents[which].running.iter().filter(|session| rows.contains_key(session)).count();
            assert!(runs <= PLACES[which] as usize);
            if levels.writing == 0 {
                let on_disk = rows.keys().map(|session| (*session, self.world.shelf.sessions[session].state)).collect();
                assert_eq!(rows, on_disk, "what is shown is not what is on disk");
            }
        }
    }

    /// The store and the agents are well from now on, and time passes.
    fn heal(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            self.world.pass(Duration::from_secs(5));
            for _ in 0..60 {
                while let Some((ticket, record)) = self.world.pending.pop_front() {
                    let kept = self.world.shelf.keep(&record);
                    self.decided.push_back((ticket, Ok(kept)));
                    self.tell_decided();
                }
                self.tell_decided();
                self.agent_ended();
                self.listen();
                for which in 0..3 {
                    self.agent_is_well(which);
                }
            }
            self.listen();
            self.check();
            left -= Duration::from_secs(5);
        }
    }

    fn agent_is_well(&mut self, which: usize) {
        let Some(slot) = self.agents[which].slot else { return self.connect(which) };
        if !self.agents[which].registered {
            return;
        }
        let agent = &mut self.agents[which];
        if let Some((kind, session, command)) = agent.inbox.pop_front() {
            agent.work(&kind, session, command, false);
        }
        let word = agent.outbox.pop_front().unwrap_or(AgentWord::Heartbeat(Capacity::default()));
        self.world.say(slot, NAMES[which], word);
    }

    /// All is well, everything is ended: nothing is left.
    fn end(&mut self) {
        // Longer than a failed stop waits, shorter than a command may take: what is open is sent again, not given up.
        self.heal(Duration::from_secs(45));
        let states: Vec<_> = self.world.shelf.sessions.values().map(|session| session.state).collect();
        let is_settled = |state: &State| matches!(state, State::Running | State::Hibernated | State::Failed | State::Terminated);
        assert!(states.iter().all(is_settled), "stuck: {states:?}");
        let levels = self.world.registry.levels();
        assert_eq!((levels.waiting, levels.writing, levels.commands), (0, 0, 0));
        assert!(!self.world.shelf.commands.values().any(is_open));
        let placed: Vec<_> = self.world.agents().into_iter().flat_map(|view| view.sessions).map(|session| session.4).collect();
        assert!(placed.iter().all(|state| *state == State::Running), "a place for nothing: {placed:?}");
        assert_eq!(levels.places, placed.len());
        self.world.said.clear();
        for session in 1..=self.sessions {
            let to = if self.dice.one_in(2) { Target::Terminating } else { Target::Terminated };
            let number = self.world.ask(Ask::Move { session: id(session), caller: root(), to });
            self.asks.insert(number);
        }
        self.heal(Duration::from_secs(120));
        for agent in &mut self.agents {
            // What the registry gave up on long ago, it learns from agents that return.
            agent.slot = None;
        }
        self.heal(Duration::from_secs(60));
        assert!(self.world.shelf.sessions.values().all(|session| session.state == State::Terminated));
        assert!(self.agents.iter().all(|agent| agent.running.is_empty()), "an agent runs what nobody knows");
        self.viewers.clear();
        let levels = self.world.registry.levels();
        assert_eq!((levels.sessions, levels.places, levels.commands, levels.viewers), (0, 0, 0, 0));
        assert_eq!((levels.waiting, levels.writing), (0, 0));
        assert_eq!((levels.online, levels.timers), (3, 3), "only agents are watched");
        assert!(self.asks.is_empty());
    }
}

impl Agent {
    fn work(&mut self, kind: &str, session: SessionId, command: String, fails: bool) {
        self.outbox.push_back(AgentWord::Acknowledged { command: command.clone() });
        let is_new = !self.done.contains_key(&command);
        let is_done = *self.done.entry(command.clone()).or_insert(!fails);
        if is_done && is_new {
            match kind {
                "start_session" | "wake_session" => _ = self.running.insert(session),
                "hibernate_session" | "stop_session" => _ = self.running.remove(&session),
                other => panic!("{other}"),
            }
        }
        self.outbox.push_back(if is_done {
            AgentWord::Completed { command, place: Box::new(Place { vnc_port: Some(5900), ..Place::default() }) }
        } else {
            AgentWord::Failed { command, error: "no".into() }
        });
    }
}

fn status(session: SessionId, running: bool) -> AgentWord {
    AgentWord::Status { session, running, place: Box::default() }
}

#[test]
fn nothing_is_stuck_doubled_or_left() {
    let (mut said, mut sessions) = (0, 0);
    for seed in 0..150 {
        let mut run = Run::new(seed);
        for _ in 0..1500 {
            run.step();
        }
        run.end();
        said += run.heard;
        sessions += run.world.shelf.sessions.len();
    }
    assert!(said > 80_000 && sessions > 1_500, "too little happened: {said} {sessions}");
}
