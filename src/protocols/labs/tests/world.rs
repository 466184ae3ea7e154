//! A registry, two clocks, and a store that answers when it is told to.

use super::shelf::Shelf;
use crate::{
    protocols::labs::{
        FromRegistry, Outcome, Registry, SessionId, Settings, ToRegistry,
        asks::{AgentView, Ask, Caller, Creation, Refused, Reply, Target},
        letters::{AgentWord, Capacity, Dialect, Hello},
        model::{Place, Resources, Session, State, Template, Vnc},
        record::{Kept, Record},
    },
    realtime::{ConnId, Frame, Moment, Now, ShardId, StoreFault, UnixMicros},
};
use serde_json::Value;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use uuid::Uuid;

/// When the worlds begin.
pub(super) const START: UnixMicros = UnixMicros(1_700_000_000_000_000);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What the registry did that somebody sees.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    Told(ConnId, FromRegistry),
    Sent(ConnId, Value),
    Replied(u64, Reply),
}

pub(super) struct World {
    pub(super) registry: Registry,
    pub(super) now: Now,
    pub(super) shelf: Shelf,
    pub(super) pending: VecDeque<(u64, Record)>,
    pub(super) said: Vec<Said>,
    /// Whether the store answers by itself.
    pub(super) prompt: bool,
    asked: u64,
}

pub(super) fn conn(slot: u32) -> ConnId {
    ConnId { shard: ShardId((slot % 3) as u16), generation: 1, slot }
}

pub(super) fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(super) fn json(frame: &Frame) -> Value {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    serde_json::from_slice(&frame[header..]).unwrap()
}

pub(super) fn ann() -> Caller {
    Caller { id: id(0xA), name: "ann".into(), admin: false }
}

pub(super) fn bob() -> Caller {
    Caller { id: id(0xB), name: "bob".into(), admin: false }
}

pub(super) fn root() -> Caller {
    Caller { id: id(0xC), name: "root".into(), admin: true }
}

pub(super) fn template() -> Template {
    Template {
        id: id(0x880),
        name: "firefox-browser".into(),
        display_name: "Firefox Web Browser".into(),
        category: "Web Browsers".into(),
        description: String::new(),
        base_image: "lscr.io/linuxserver/firefox:latest".into(),
        default_resources: Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: Some("10Gi".into()) },
        vnc: Vnc { enabled: true, port: 3000, resolution: Some("1920x1080".into()), color_depth: Some(24) },
        environment: [("PUID", "1000"), ("PGID", "1000")].map(|(name, value)| (name.into(), value.into())).into(),
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec![],
        icon_url: None,
        created_at: START,
        updated_at: START,
    }
}

/// A session of ann's.
pub(super) fn creation(session: u128) -> Creation {
    let n = session as u8;
    Creation {
        session: id(session),
        suffixes: [[0, 0, n], [0, 1, n], [0, 2, n], [0, 3, n]],
        user: "ann".into(),
        template: Box::new(template()),
        platform: None,
        region: None,
        hibernated: false,
        resources: Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None },
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: vec!["project-alpha".into()],
    }
}

pub(super) fn hello(name: &str, max_sessions: u32) -> Hello {
    Hello {
        dialect: Dialect::Contract,
        name: name.into(),
        platform: "kubernetes".into(),
        region: "us-east-1".into(),
        capacity: Capacity { max_sessions: Some(max_sessions), ..Capacity::default() },
        metadata: "{}".into(),
    }
}

pub(super) fn place() -> Place {
    Place {
        pod_ip: Some("10.42.1.5".into()),
        pod_name: Some("pod-1".into()),
        vnc_port: Some(5900),
        started_at: Some("2025-11-22T10:45:12Z".into()),
        ..Place::default()
    }
}

impl World {
    pub(super) fn new() -> World {
        World::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> World {
        let now = Now { moment: Moment(1_000_000), wall: START };
        World {
            registry: Registry::new(settings, 7, now.moment),
            now,
            shelf: Shelf::default(),
            pending: VecDeque::new(),
            said: Vec::new(),
            prompt: true,
            asked: 0,
        }
    }

    /// With an agent `a` on connection 1.
    pub(super) fn with_agent(max_sessions: u32) -> World {
        let mut world = World::new();
        world.register(1, hello("a", max_sessions));
        world.said.clear();
        world
    }

    /// With an agent `a` on connection 1 that runs a session 1 of ann's.
    pub(super) fn running() -> World {
        let mut world = World::with_agent(3);
        world.start(1);
        world.said.clear();
        world
    }

    pub(super) fn act(&mut self, act: impl FnOnce(&mut Registry, Now, &mut Vec<Outcome>)) {
        let mut out = Vec::new();
        act(&mut self.registry, self.now, &mut out);
        for outcome in out {
            match outcome {
                Outcome::Tell(conn, word) => self.said.push(Said::Told(conn, word)),
                Outcome::Deliver(conn, frame) => self.said.push(Said::Sent(conn, json(&frame))),
                Outcome::Keep { ticket, record } => self.pending.push_back((ticket, record)),
                Outcome::Reply { number, reply, .. } => self.said.push(Said::Replied(number, *reply)),
            }
        }
        while self.prompt && self.store() {}
    }

    /// The store fulfils what it was asked first. False: it was asked nothing.
    pub(super) fn store(&mut self) -> bool {
        let Some((ticket, record)) = self.pending.pop_front() else { return false };
        let kept = self.shelf.keep(&record);
        self.act(|registry, now, out| registry.kept(ticket, Ok(kept), now, out));
        true
    }

    /// The store fails at what it was asked first.
    pub(super) fn store_fails(&mut self, fault: StoreFault) {
        let (ticket, _) = self.pending.pop_front().unwrap();
        self.act(|registry, now, out| registry.kept(ticket, Err(fault), now, out));
    }

    /// The store says of what it was asked first that the name is another's.
    pub(super) fn store_has_the_name(&mut self) {
        let (ticket, _) = self.pending.pop_front().unwrap();
        self.act(|registry, now, out| registry.kept(ticket, Ok(Kept::Taken), now, out));
    }

    pub(super) fn letter(&mut self, letter: ToRegistry) {
        self.act(|registry, now, out| registry.letter(letter, now, out));
    }

    /// Time passes, timer for timer.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now.moment + time;
        while let Some(next) = self.registry.next_deadline().filter(|next| *next <= until) {
            self.set(next);
            self.act(Registry::turn);
        }
        self.set(until);
    }

    pub(super) fn set(&mut self, moment: Moment) {
        let micros = moment.since(self.now.moment).as_micros() as i64;
        self.now = Now { moment: self.now.moment.max(moment), wall: UnixMicros(self.now.wall.0 + micros) };
    }

    /// As [`World::pass`], while agents `names` live.
    pub(super) fn pass_with(&mut self, time: Duration, agents: &[(u32, &str)]) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(5 * SECOND);
            for (slot, name) in agents {
                self.say(*slot, name, AgentWord::Heartbeat(Capacity::default()));
            }
            self.pass(step);
            left -= step;
        }
    }

    /// The process ends and begins again, with what is on disk.
    pub(super) fn restart(&mut self) {
        self.pending.clear();
        self.said.clear();
        self.registry = Registry::new(Settings::default(), self.now.wall.0 as u64 ^ 0x5555, self.now.moment);
        let loaded = self.shelf.loaded();
        self.act(|registry, now, out| registry.begin(loaded, now, out));
    }

    pub(super) fn register(&mut self, slot: u32, hello: Hello) {
        self.register_since(slot, self.now.wall, hello);
    }

    /// On a connection that came then.
    pub(super) fn register_since(&mut self, slot: u32, since: UnixMicros, hello: Hello) {
        self.letter(ToRegistry::Register { conn: conn(slot), since, hello: Box::new(hello) });
    }

    pub(super) fn gone(&mut self, slot: u32, name: &str) {
        self.letter(ToRegistry::AgentGone { conn: conn(slot), agent: name.into() });
    }

    pub(super) fn say(&mut self, slot: u32, name: &str, word: AgentWord) {
        self.letter(ToRegistry::Said { conn: conn(slot), agent: name.into(), word });
    }

    pub(super) fn view(&mut self, slot: u32, session: u128, caller: &Caller) {
        let (user, admin) = (Arc::clone(&caller.name), caller.admin);
        self.letter(ToRegistry::View { conn: conn(slot), session: id(session), user, admin });
    }

    /// Asks, and says under which number.
    pub(super) fn ask(&mut self, ask: Ask) -> u64 {
        self.asked += 1;
        let number = self.asked;
        self.letter(ToRegistry::Ask { asker: ShardId(2), number, ask: Box::new(ask) });
        number
    }

    pub(super) fn create(&mut self, session: u128) -> u64 {
        self.ask(Ask::Create(Box::new(creation(session))))
    }

    pub(super) fn ask_move(&mut self, session: u128, to: Target) -> u64 {
        self.ask(Ask::Move { session: id(session), caller: ann(), to })
    }

    /// The answer to what was asked, which is there once.
    pub(super) fn answer(&self, number: u64) -> Option<&Reply> {
        let mut answers = self.said.iter().filter_map(|said| match said {
            Said::Replied(other, reply) if *other == number => Some(reply),
            Said::Replied(..) | Said::Told(..) | Said::Sent(..) => None,
        });
        let first = answers.next();
        assert!(answers.next().is_none(), "answered twice");
        first
    }

    pub(super) fn refusal(&self, number: u64) -> Refused {
        match self.answer(number) {
            Some(Reply::Refused(refused)) => refused.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn session_in(&self, number: u64) -> &Session {
        match self.answer(number) {
            Some(Reply::Session(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    /// How a session is.
    pub(super) fn look(&mut self, session: u128) -> Session {
        let number = self.ask(Ask::Look { session: id(session), caller: root() });
        self.session_in(number).clone()
    }

    pub(super) fn state(&mut self, session: u128) -> State {
        self.look(session).state
    }

    pub(super) fn agents(&mut self) -> Vec<AgentView> {
        let number = self.ask(Ask::Agents);
        match self.answer(number) {
            Some(Reply::Agents(views)) => views.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn agent(&mut self, name: &str) -> AgentView {
        self.agents().into_iter().find(|view| *view.agent.name == *name).unwrap()
    }

    /// The commands that were sent on a connection: type, session, id.
    pub(super) fn commands(&self, slot: u32) -> Vec<(String, SessionId, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let sent = self.said.iter().filter_map(|said| match said {
            Said::Sent(to, frame) if *to == conn(slot) && frame["type"] == "command" => Some(frame),
            Said::Sent(..) | Said::Told(..) | Said::Replied(..) => None,
        });
        let of = |frame: &Value| {
            (text(&frame["command_type"]), text(&frame["session_id"]).parse().unwrap(), text(&frame["command_id"]))
        };
        sent.map(of).collect()
    }

    /// The id of the last command on a connection, which is of this type.
    pub(super) fn last_command(&self, slot: u32, kind: &str) -> String {
        let (last, _, command) = self.commands(slot).pop().expect("no command was sent");
        assert_eq!(last, kind);
        command
    }

    /// Agent `a` on connection 1 has done a command.
    pub(super) fn done(&mut self, command: String) {
        self.say(1, "a", AgentWord::Completed { command, place: Box::new(place()) });
    }

    /// Agent `a` on connection 1 has not done a command.
    pub(super) fn not_done(&mut self, command: String, error: &str) {
        self.say(1, "a", AgentWord::Failed { command, error: error.into() });
    }

    /// Starts a session of ann's at agent `a` on connection 1.
    pub(super) fn start(&mut self, session: u128) {
        let number = self.create(session);
        assert_eq!(self.session_in(number).state, State::Pending);
        let command = self.last_command(1, "start_session");
        self.done(command);
        assert_eq!(self.state(session), State::Running);
    }

    /// What was said to a connection, without frames.
    pub(super) fn told(&self, slot: u32) -> Vec<FromRegistry> {
        let told = self.said.iter().filter_map(|said| match said {
            Said::Told(to, word) if *to == conn(slot) => Some(word.clone()),
            Said::Told(..) | Said::Sent(..) | Said::Replied(..) => None,
        });
        told.collect()
    }
}
