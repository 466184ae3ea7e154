//! Some shards, a store, and clients who write down what they hear. Time stands still unless a script moves it.

use super::{
    heard::words,
    quizzes::{Library, session_key},
};
use crate::{
    auth::{
        AgentKey, Algorithm, Authority, CallerKey, Claims, GuestKey, Issuer, Permissions, Rule, Secret, ServiceId, SigningKey,
        UserKey,
    },
    engine::{
        Answer, Birth, CHAT_SOCKET, Counters, Engine, Entrance, LABS_SOCKETS, Letter, Limits, Listener, Output, Question, Rules,
        RunId, SocketApi, TASKS_SOCKET,
    },
    protocols::{
        chat, labs,
        presence::{Settings, asks::Reply, record::StoreFault},
        quiz, tasks,
    },
    realtime::{ClassroomId, ConnId, Moment, Now, ShardId, UnixMicros, hash_ring::HashRing},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

pub(super) const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";
pub(super) const GUEST_SECRET: &[u8] = b"another secret of thirty-two bytes";
pub(super) const LISTENER: Listener = Listener(0);
pub(super) const QUIZ_LISTENER: Listener = Listener(1);
pub(super) const LABS_LISTENER: Listener = Listener(2);
pub(super) const CHAT_LISTENER: Listener = Listener(3);

/// What a client hears, in words: "101", another status and its JSON,
/// the text of a frame, "BINARY" with its length (the bytes are in [`World::streams`]), "PING",
/// "PONG", "CLOSE 1012", "CLOSE", "FIN", "END".
pub(super) type Heard = (ConnId, String);

pub(super) struct World {
    pub(super) engines: Vec<Engine>,
    pub(super) now: Now,
    pub(super) heard: Vec<Heard>,
    pub(super) questions: VecDeque<(usize, Question)>,
    pub(super) store: Store,
    pub(super) library: Library,
    /// Sockets that take nothing: their sends stay in flight.
    pub(super) stalled: Vec<ConnId>,
    pub(super) in_flight: Vec<(ConnId, Vec<u8>)>,
    /// A shard whose letters wait, and they.
    pub(super) held: Option<(ShardId, Vec<(ShardId, Letter)>)>,
    unread: HashMap<ConnId, Vec<u8>>,
    /// What came in binary frames, put together.
    pub(super) streams: HashMap<ConnId, Vec<u8>>,
    /// The first bytes that each connection heard: its head.
    pub(super) heads: HashMap<ConnId, String>,
    /// From whom nothing is received.
    pub(super) paused: Vec<ConnId>,
    /// What labs had written.
    pub(super) labs: Vec<labs::record::Record>,
    /// What they would read.
    pub(super) labs_shelf: super::labs::Shelf,
    /// What the store answers to that.
    pub(super) labs_fault: Option<StoreFault>,
    /// What chat had written.
    pub(super) sessions: super::chat::Shelf,
    /// What tasks had written.
    pub(super) tasks: super::tasks::Shelf,
    /// Models and tools behind HTTP that were asked, and which of these were stopped.
    pub(super) runs: Vec<(usize, RunId)>,
    pub(super) stopped: Vec<RunId>,
    /// Of several nodes: how many shards each has, and which are dead.
    pub(super) nodes: super::cluster::Nodes,
}

#[derive(Default)]
pub(super) struct Store {
    pub(super) rows: Vec<(i64, String)>,
    pub(super) history: Vec<i64>,
    last: i64,
    /// Whether answers wait until the script lets them go.
    pub(super) held: bool,
    pub(super) fault: Option<StoreFault>,
}

pub(super) fn room(n: u128) -> ClassroomId {
    ClassroomId::from_u128(n)
}

pub(super) fn token(subject: &str) -> String {
    token_for("school", subject)
}

pub(super) fn token_for(audience: &str, subject: &str) -> String {
    let key = SigningKey::new(Algorithm::HS256, &Secret::new(SECRET)).unwrap();
    let claims = Claims { issuer: "issuer", audience, subject, lifetime: None };
    key.issue(&claims, UnixMicros(1_700_000_000_000_000)).unwrap()
}

pub(super) fn connect_request(label: &str, classroom: ClassroomId, token: &str) -> String {
    format!(
        r#"{{"type":"connect_request","payload":{{"agent_label":"{label}","classroom_id":"{classroom}","token":"{token}"}}}}"#
    )
}

pub(super) fn failure(name: &str, title: &str, status: u16) -> String {
    let payload = format!(r#"{{"type":"{name}","title":"{title}","status":{status}}}"#);
    format!(r#"{{"type":"unrecoverable_session_error","payload":{payload}}}"#)
}

pub(super) fn change(operation: &str, agent_id: &str, session: i64) -> String {
    let id = format!(r#"{{"entity_type":"agent","operation":"{operation}","sequence_id":{session}}}"#);
    let payload = format!(r#"{{"version":"v1","entity_type":"agent","label":"{operation}","agent_id":"{agent_id}"}}"#);
    format!(r#"{{"id":{id},"payload":{payload}}}"#)
}

pub(super) const SUCCESS: &str = r#"{"type":"connect_success"}"#;

/// A frame from a client, masked with zeros.
pub(super) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

impl World {
    pub(super) fn new(shards: u16) -> World {
        World::with(shards, Settings::default(), Limits::default())
    }

    pub(super) fn with(shards: u16, presence: Settings, limits: Limits) -> World {
        World::with_agent_key(shards, presence, limits, None)
    }

    pub(super) fn with_agent_key(shards: u16, presence: Settings, limits: Limits, labs_agents: Option<AgentKey>) -> World {
        let issuer = Issuer {
            name: "issuer".into(),
            audiences: vec!["school".into(), "asked".into(), "closed".into()],
            algorithm: Algorithm::HS256,
            key: Secret::new(SECRET),
        };
        let rules = Arc::new(Rules {
            entrances: vec![
                Entrance { sockets: vec![("/ws".into(), SocketApi::Presence), ("/echo".into(), SocketApi::Echo)] },
                Entrance { sockets: vec![("/ws".into(), SocketApi::Quiz)] },
                Entrance { sockets: LABS_SOCKETS.map(|(path, api)| (path.to_owned(), api)).to_vec() },
                Entrance { sockets: [CHAT_SOCKET, TASKS_SOCKET].map(|(path, api)| (path.to_owned(), api)).to_vec() },
            ],
            authority: Authority::new([issuer.clone()]).unwrap(),
            permissions: Permissions::new([
                ("school".to_owned(), Rule::None),
                ("asked".to_owned(), Rule::Http { service: ServiceId(0) }),
            ]),
            presence,
            quiz_authority: Authority::new([issuer]).unwrap(),
            quiz_session: session_key(),
            quiz: quiz::Settings::default(),
            labs_users: UserKey::new(&Secret::new(SECRET)).unwrap(),
            labs_agents,
            labs: labs::Settings::default(),
            callers: CallerKey::new(&Secret::new(SECRET)).unwrap(),
            catalog: super::chat::catalog(),
            chat: chat::Settings::default(),
            tasks: tasks::Settings::default(),
            workflows: super::tasks::workflows(),
            guests: Some(GuestKey::new(&Secret::new(GUEST_SECRET)).unwrap()),
            show_shard: false,
        });
        let ring = Arc::new(HashRing::new(shards));
        let now = Now { moment: Moment(0), wall: UnixMicros(1_700_000_000_000_000) };
        let engine = |id| {
            let birth = Birth { id: ShardId(id), start: Moment(0), seed: 7 };
            let mut engine = Engine::new(birth, ring.clone(), limits.clone(), rules.clone(), Arc::new(Counters::default()));
            engine.begin_labs(&super::labs::begun(), &[], now);
            engine
        };
        World {
            engines: (0..shards).map(engine).collect(),
            now,
            heard: Vec::new(),
            questions: VecDeque::new(),
            store: Store::default(),
            library: Library::default(),
            stalled: Vec::new(),
            in_flight: Vec::new(),
            held: None,
            unread: HashMap::new(),
            streams: HashMap::new(),
            heads: HashMap::new(),
            paused: Vec::new(),
            labs: Vec::new(),
            labs_shelf: super::labs::Shelf::default(),
            labs_fault: None,
            sessions: super::chat::Shelf::default(),
            tasks: super::tasks::Shelf::default(),
            runs: Vec::new(),
            stopped: Vec::new(),
            nodes: super::cluster::Nodes::new(shards, rules, limits),
        }
    }

    /// The process begins anew: sockets and what was in memory are gone, what is on disk is there.
    pub(super) fn restart(&mut self) {
        self.forget_quizzes();
        self.begin();
    }

    /// As [`World::restart`], but nobody tells the shards which attempts run: a home reads its quiz when it is asked for it.
    pub(super) fn forget_quizzes(&mut self) {
        let before = std::mem::replace(self, World::new(self.engines.len() as u16));
        self.library = before.library;
        self.now.wall = before.now.wall;
    }

    /// A socket that has sent nothing yet.
    pub(super) fn socket(&mut self, shard: usize) -> ConnId {
        self.engines[shard].accepted(LISTENER, self.now).unwrap()
    }

    /// A WebSocket to `path`, upgraded.
    pub(super) fn websocket(&mut self, shard: usize, path: &str) -> ConnId {
        let conn = self.socket(shard);
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.bytes(conn, head.as_bytes());
        assert_eq!(self.take_heard(conn), ["101"]);
        conn
    }

    /// A signed-in session.
    pub(super) fn session(&mut self, shard: usize, label: &str, subject: &str, classroom: ClassroomId) -> ConnId {
        let conn = self.websocket(shard, "/ws");
        self.text(conn, &connect_request(label, classroom, &token(subject)));
        assert_eq!(self.take_heard(conn), [SUCCESS, "PING"]);
        self.frame(conn, 10, b"");
        conn
    }

    pub(super) fn bytes(&mut self, conn: ConnId, bytes: &[u8]) {
        let now = self.now;
        let place = self.nodes.place(conn.shard);
        self.engines[place].received(conn, bytes, now);
        self.run();
    }

    pub(super) fn frame(&mut self, conn: ConnId, opcode: u8, payload: &[u8]) {
        self.bytes(conn, &masked(opcode, payload));
    }

    pub(super) fn text(&mut self, conn: ConnId, text: &str) {
        self.frame(conn, 1, text.as_bytes());
    }

    /// The peer's end of the stream.
    pub(super) fn eof(&mut self, conn: ConnId) {
        let now = self.now;
        let place = self.nodes.place(conn.shard);
        self.engines[place].ended(conn, now);
        self.run();
    }

    /// Moves both clocks, in steps no longer than the next deadline.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.moment + time;
        while self.now.moment < end {
            let due = self.engines.iter().filter_map(Engine::next_deadline).min().unwrap_or(end);
            let next = due.max(self.now.moment + Duration::from_millis(1)).min(end);
            self.now.wall.0 += next.since(self.now.moment).as_micros() as i64;
            self.now.moment = next;
            let now = self.now;
            self.engines.iter_mut().for_each(|engine| engine.tick(now));
            self.run();
        }
    }

    pub(super) fn drain(&mut self) {
        let now = self.now;
        self.engines.iter_mut().for_each(|engine| engine.drain(now));
        self.run();
    }

    pub(super) fn close(&mut self) {
        let now = self.now;
        self.engines.iter_mut().for_each(|engine| engine.close(now));
        self.run();
    }

    /// What a connection has heard since it was last asked.
    pub(super) fn take_heard(&mut self, conn: ConnId) -> Vec<String> {
        let (own, others) = std::mem::take(&mut self.heard).into_iter().partition(|(to, _)| *to == conn);
        self.heard = others;
        let own: Vec<Heard> = own;
        own.into_iter().map(|(_, words)| words).collect()
    }

    /// Asks a home as REST does.
    pub(super) fn ask(&mut self, shard: usize, ask: crate::protocols::presence::asks::Ask) -> Reply {
        let number = self.engines[shard].ask(ask);
        self.run();
        match self.engines[shard].poll_reply(number, Waker::noop()) {
            Poll::Ready(reply) => reply,
            Poll::Pending => panic!("a home answers as soon as letters have travelled"),
        }
    }

    /// Turns until nothing moves.
    pub(super) fn run(&mut self) {
        loop {
            let mut moved = false;
            for shard in 0..self.engines.len() {
                moved |= self.turn(shard);
            }
            moved |= !self.store.held && self.answer_all();
            if !moved {
                return;
            }
        }
    }

    pub(super) fn turn(&mut self, shard: usize) -> bool {
        let now = self.now;
        let mut out = Output::default();
        self.engines[shard].finish(now, &mut out);
        let mut moved = !(out.sends.is_empty() && out.half_closes.is_empty() && out.closes.is_empty());
        for conn in out.pauses {
            assert!(!self.paused.contains(&conn), "paused twice");
            self.paused.push(conn);
        }
        for conn in out.resumes {
            assert!(self.paused.contains(&conn), "resumed, and not paused");
            self.paused.retain(|own| *own != conn);
        }
        for send in out.sends {
            let bytes: Vec<u8> =
                std::iter::once(&send.segment).chain(&send.more).flat_map(|part| part.bytes().to_vec()).collect();
            if self.stalled.contains(&send.conn) {
                self.in_flight.push((send.conn, bytes));
            } else {
                self.hear(send.conn, &bytes);
                self.engines[shard].sent(send.conn, true, now);
            }
        }
        self.engines[shard].submitted(now.moment);
        for conn in out.half_closes {
            self.heard.push((conn, "FIN".into()));
        }
        for conn in out.closes {
            let before = self.in_flight.len();
            self.in_flight.retain(|(stalled, _)| *stalled != conn);
            if self.in_flight.len() < before {
                self.engines[shard].sent(conn, false, now);
            }
            self.heard.push((conn, "END".into()));
            self.paused.retain(|own| *own != conn);
            self.engines[shard].released(conn);
        }
        for handoff in out.handoffs {
            let words = match handoff.refused {
                Some(denial) => format!("{} {}", denial.status(), denial.code()),
                None => format!("HTTP {}", handoff.head.len()),
            };
            self.heard.push((handoff.conn, words));
            self.engines[shard].released(handoff.conn);
        }
        let from = self.nodes.shard(shard);
        for (to, letter) in std::mem::take(self.engines[shard].letters()) {
            moved = true;
            match &mut self.held {
                Some((held, letters)) if *held == to => letters.push((from, letter)),
                Some(_) | None => self.carry(from, to, letter),
            }
        }
        let questions = std::mem::take(self.engines[shard].questions());
        self.questions.extend(questions.into_iter().map(|question| (shard, question)));
        moved
    }

    /// Lets the store answer all it was asked.
    pub(super) fn answer_all(&mut self) -> bool {
        let mut moved = false;
        for _ in 0..self.questions.len() {
            let Some((shard, question)) = self.questions.pop_front() else { break };
            match question {
                Question::Enter { ticket, entering } => {
                    moved = true;
                    let result = self.store.enter(entering.agent_id.to_string(), entering.session);
                    let now = self.now;
                    self.engines[shard].answer(Answer::Entered { ticket, result }, now);
                }
                Question::Leave(leaving) => {
                    self.store.rows.retain(|(session, _)| *session != leaving.session);
                    self.store.history.push(leaving.session);
                }
                Question::Keep { ticket, record } => {
                    moved = true;
                    let result = self.library.keep(record);
                    let now = self.now;
                    self.engines[shard].answer(Answer::Kept { ticket, result }, now);
                }
                Question::Load(_) | Question::LoadKeys | Question::Running { .. } => {
                    moved = true;
                    let (answer, now) = (self.library.read(&question), self.now);
                    self.engines[shard].answer(answer, now);
                }
                question @ (Question::KeepLabs { .. } | Question::LoadLabs | Question::LoadRights { .. }) => {
                    moved = true;
                    self.labs_asked(shard, question);
                }
                Question::KeepChat { ticket, change } => {
                    moved = true;
                    let (result, now) = (self.sessions.keep(shard, *change), self.now);
                    self.engines[shard].answer(Answer::ChatKept { ticket, result }, now);
                }
                Question::LoadSession(load) => {
                    moved = true;
                    let (result, now) = (Ok(self.sessions.load(load.session)), self.now);
                    self.engines[shard].answer(Answer::SessionLoaded { session: load.session, result }, now);
                }
                question @ (Question::KeepTasks { .. } | Question::LoadTask(_) | Question::LoadExecution(_)) => {
                    moved = true;
                    self.answer_of_tasks(shard, question);
                }
                question @ (Question::LoadTasks { .. } | Question::CountTasks) => {
                    moved = true;
                    self.answer_of_tasks(shard, question);
                }
                Question::Model { run, .. } | Question::Tool { run, .. } => self.runs.push((shard, run)),
                Question::StopRun { run } => self.stopped.push(run),
                question @ Question::Permission { .. } => self.questions.push_back((shard, question)),
            }
        }
        moved
    }

    pub(super) fn hear(&mut self, conn: ConnId, bytes: &[u8]) {
        self.heads.entry(conn).or_insert_with(|| String::from_utf8_lossy(bytes).into_owned());
        let mut unread = self.unread.remove(&conn).unwrap_or_default();
        unread.extend_from_slice(bytes);
        let mut rest = &unread[..];
        while !rest.is_empty() {
            let (words, length) = words(rest);
            if let Some(binary) = words.strip_prefix("BINARY ") {
                let payload = &rest[length - binary.parse::<usize>().unwrap()..length];
                self.streams.entry(conn).or_default().extend_from_slice(payload);
            }
            self.heard.push((conn, words));
            rest = &rest[length..];
        }
    }

    /// That nobody is left and nothing was forgotten.
    pub(super) fn assert_empty(&mut self) {
        // Nodes tell each other how many tasks there are, a little later than at once.
        self.pass(2 * tasks::status::LAG);
        for engine in &self.engines {
            assert!(engine.is_empty(), "every connection was released");
            let counters = engine.counters();
            let levels = [&counters.connections, &counters.presence_live, &counters.rooms, &counters.members, &counters.entering];
            assert_eq!(levels.map(|level| level.read()), [0; 5]);
            let levels = [&counters.quiz_owners, &counters.quiz_participants, &counters.quizzes, &counters.attempts];
            assert_eq!(levels.map(|level| level.read()), [0; 4]);
            assert_eq!((counters.quiz_writing.read(), counters.quiz_waiting.read(), counters.quiz_watching.read()), (0, 0, 0));
            let levels = [&counters.labs_agents, &counters.labs_viewers, &counters.labs_followers, &counters.labs_keeping];
            assert_eq!(levels.map(|level| level.read()), [0; 4]);
            assert_eq!((counters.timers.read(), counters.topics.read()), (0, 0));
        }
        assert_eq!(self.store.rows, []);
    }
}

impl Store {
    pub(super) fn enter(&mut self, agent_id: String, session: Option<i64>) -> Result<i64, StoreFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if let Some((session, _)) = self.rows.iter().find(|(own, _)| Some(*own) == session) {
            return Ok(*session);
        }
        self.last += 1;
        self.rows.push((self.last, agent_id));
        Ok(self.last)
    }
}
