//! Shards of the shipped engine with a shell and a store that do at once what they are asked. Time stands still and there is no randomness:
//! equal houses do equal things.

use homeroom::{
    auth::{
        Algorithm, Authority, CallerClaims, CallerKey, Claims, Issuer, Permissions, Rule, Secret, SessionKey, SigningKey, UserKey,
    },
    engine::{
        Answer, Birth, CHAT_SOCKET, Counters, Engine, Entrance, LABS_SOCKETS, Letter, Limits, Listener, Output, Question, Rules,
        RunId, SocketApi, TASKS_SOCKET,
    },
    models::{Agent, Backend, Catalog, Model},
    protocols::{
        chat::{self, SessionId, model::Session},
        labs, presence,
        quiz::{
            self, QuizId,
            record::{Kept, Loaded},
        },
        tasks,
    },
    realtime::{ClassroomId, ConnId, HashRing, Moment, Now, ShardId, UnixMicros},
};
use std::{collections::BTreeMap, hint::black_box, mem, sync::Arc, time::Duration};
use uuid::Uuid;

/// No key of anything but these houses.
const KEY: [u8; 32] = [7; 32];
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
/// The agent whose model is elsewhere.
pub(crate) const AGENT: &str = "tutor";

/// What went where.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    /// Letters from one shard to another, by the shard that got them.
    pub(crate) letters: Vec<u64>,
    /// The most letters that waited for one shard at the end of a turn of all.
    pub(crate) deepest: u64,
    /// The most that waited for all shards together.
    pub(crate) most: u64,
    /// Sends, by shard.
    pub(crate) sends: Vec<u64>,
}

/// See the file.
pub(crate) struct House {
    pub(crate) engines: Vec<Engine>,
    pub(crate) now: Now,
    pub(crate) tally: Tally,
    /// Models that were asked and not answered, the newest last.
    pub(crate) runs: Vec<RunId>,
    /// Quizzes on disk.
    pub(crate) quizzes: BTreeMap<QuizId, Loaded>,
    sessions: BTreeMap<SessionId, Session>,
    letters: Vec<Vec<(ShardId, Letter)>>,
    output: Output,
    rows: i64,
    sent_bytes: usize,
}

/// By which listener each protocol is reached.
pub(crate) const PRESENCE: Listener = Listener(0);
/// See [`PRESENCE`].
pub(crate) const QUIZ: Listener = Listener(1);
/// See [`PRESENCE`]; of tasks too.
pub(crate) const CHAT: Listener = Listener(2);
/// See [`PRESENCE`].
#[allow(dead_code, reason = "fuzz targets have this file too")]
pub(crate) const LABS: Listener = Listener(3);

impl House {
    pub(crate) fn new(shards: u16) -> House {
        let (ring, rules) = (Arc::new(HashRing::new(shards)), Arc::new(rules()));
        let engine = |id| {
            let birth = Birth { id: ShardId(id), start: Moment(0), seed: 7 };
            Engine::new(birth, ring.clone(), Limits::default(), rules.clone(), Arc::new(Counters::default()))
        };
        let none = vec![0; usize::from(shards)];
        House {
            engines: (0..shards).map(engine).collect(),
            now: Now { moment: Moment(0), wall: UnixMicros(1_700_000_000_000_000) },
            tally: Tally { letters: none.clone(), deepest: 0, most: 0, sends: none },
            runs: Vec::new(),
            quizzes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            letters: (0..shards).map(|_| Vec::new()).collect(),
            output: Output::default(),
            rows: 0,
            sent_bytes: 0,
        }
    }

    /// Turns until nothing moves. Every send is done at once; letters go when all shards have had their turn.
    pub(crate) fn run(&mut self) {
        loop {
            let mut moved = false;
            for shard in 0..self.engines.len() {
                moved |= self.turn(shard);
            }
            moved |= self.deliver();
            if !moved {
                return;
            }
        }
    }

    fn turn(&mut self, shard: usize) -> bool {
        let engine = &mut self.engines[shard];
        engine.finish(self.now, &mut self.output);
        let mut moved = !(self.output.sends.is_empty() && self.output.closes.is_empty());
        for send in self.output.sends.drain(..) {
            self.tally.sends[shard] += 1;
            self.sent_bytes += black_box(send.segment.bytes()).len();
            engine.sent(send.conn, true, self.now);
        }
        self.output.half_closes.clear();
        self.output.bulk.clear();
        self.output.pauses.clear();
        self.output.resumes.clear();
        self.output.handoffs.drain(..).for_each(|handoff| engine.released(handoff.conn));
        self.output.closes.drain(..).for_each(|conn| engine.released(conn));
        let from = ShardId(shard as u16);
        for (to, letter) in engine.letters().drain(..) {
            self.tally.letters[to.index()] += u64::from(to.index() != shard);
            self.letters[to.index()].push((from, letter));
        }
        for question in mem::take(engine.questions()) {
            moved |= self.answer(shard, question);
        }
        moved
    }

    /// What waits on the way is read, each shard's in the order in which it came.
    fn deliver(&mut self) -> bool {
        let deepest = self.letters.iter().map(Vec::len).max().unwrap_or_default() as u64;
        let waiting = self.letters.iter().map(Vec::len).sum::<usize>() as u64;
        self.tally.deepest = self.tally.deepest.max(deepest);
        self.tally.most = self.tally.most.max(waiting);
        for (engine, letters) in self.engines.iter_mut().zip(&mut self.letters) {
            letters.drain(..).for_each(|(from, letter)| engine.letter(from, letter, self.now));
        }
        deepest > 0
    }

    /// The store's answer. Whether there is one.
    fn answer(&mut self, shard: usize, question: Question) -> bool {
        let answer = match question {
            Question::Enter { ticket, .. } => {
                self.rows += 1;
                Answer::Entered { ticket, result: Ok(self.rows) }
            }
            Question::Keep { ticket, .. } => Answer::Kept { ticket, result: Ok(Kept::Done) },
            Question::Running { look } => Answer::Running { look, result: Ok(Vec::new()) },
            Question::Load(quiz) => Answer::Loaded { quiz, result: Ok(self.quizzes.get(&quiz).cloned().map(Box::new)) },
            Question::KeepChat { ticket, change } => {
                self.sessions.extend(change.session.map(|session| (session.id, session)));
                Answer::ChatKept { ticket, result: Ok(()) }
            }
            Question::LoadSession(load) => {
                let kept = self.sessions.get(&load.session).cloned();
                let loaded = |session| Box::new(chat::record::Loaded { session, messages: Vec::new(), approvals: Vec::new() });
                Answer::SessionLoaded { session: load.session, result: Ok(kept.map(loaded)) }
            }
            Question::KeepTasks { ticket, .. } => Answer::TasksKept { ticket, result: Ok(()) },
            Question::LoadTask(task) => Answer::TaskLoaded { task, result: Ok(None) },
            Question::LoadExecution(execution) => Answer::ExecutionLoaded { execution, result: Ok(None) },
            Question::Model { run, .. } => {
                self.runs.push(run);
                return false;
            }
            Question::KeepLabs { ticket, .. } => Answer::LabsKept { ticket, result: Ok(labs::record::Kept::Done) },
            Question::Permission { conn, .. } => Answer::Permission { conn, allowed: Some(true) },
            // Of a node among others.
            Question::LoadKeys | Question::LoadLabs | Question::LoadRights { .. } => return false,
            Question::LoadTasks { .. } | Question::CountTasks => return false,
            Question::Leave(_) | Question::Tool { .. } | Question::StopRun { .. } => return false,
        };
        self.engines[shard].answer(answer, self.now);
        true
    }

    /// One who has come and said this head.
    pub(crate) fn open(&mut self, shard: usize, listener: Listener, head: &[u8]) -> ConnId {
        let conn = self.engines[shard].accepted(listener, self.now).expect("there is room for all");
        self.hear(conn, head);
        conn
    }

    pub(crate) fn hear(&mut self, conn: ConnId, bytes: &[u8]) {
        self.engines[conn.shard.index()].received(conn, bytes, self.now);
        self.run();
    }

    /// A member of a classroom, who has answered the first Ping.
    pub(crate) fn member(&mut self, shard: usize, classroom: ClassroomId, subject: &str) -> ConnId {
        let conn = self.open(shard, PRESENCE, &head("/ws"));
        let payload = format!(r#"{{"agent_label":"web","classroom_id":"{classroom}","token":"{}"}}"#, token(subject, None));
        self.hear(conn, &masked(0x81, format!(r#"{{"type":"connect_request","payload":{payload}}}"#).as_bytes()));
        self.hear(conn, &masked(0x8A, b""));
        conn
    }

    /// All that was sent so far, in bytes.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    /// A sum over all shards.
    pub(crate) fn sum(&self, read: impl Fn(&Counters) -> u64) -> u64 {
        self.engines.iter().map(|engine| read(engine.counters())).sum()
    }
}

/// The head of an upgrade, as a browser's library sends it.
pub(crate) fn head(target: &str) -> Vec<u8> {
    format!(
        "GET {target} HTTP/1.1\r\nHost: school.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// A client's frame.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0xFE);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0xFF);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().enumerate().map(|(place, byte)| byte ^ MASK[place % 4]));
    frame
}

fn secret() -> Secret {
    Secret::new(KEY)
}

/// A token for presence and for owners of quizzes.
pub(crate) fn token(subject: &str, lifetime: Option<Duration>) -> String {
    let key = SigningKey::new(Algorithm::HS256, &secret()).expect("32 bytes are enough");
    let claims = Claims { issuer: "issuer", audience: "school", subject, lifetime };
    key.issue(&claims, UnixMicros(1_700_000_000_000_000)).expect("HMAC cannot fail")
}

/// A token of one who talks to agents.
pub(crate) fn ticket(user: Uuid) -> String {
    let (token, expires_at) = (Uuid::from_u128(1), UnixMicros(1_800_000_000_000_000));
    let claims = CallerClaims { user, name: "anna".into(), email: "anna@school.example".into(), admin: false, token, expires_at };
    CallerKey::new(&secret()).expect("32 bytes are enough").issue(&claims, UnixMicros(1_700_000_000_000_000))
}

/// Who believes [`token`].
pub(crate) fn authority() -> Authority {
    let audiences = vec!["school".to_owned()];
    let issuer = Issuer { name: "issuer".into(), audiences, algorithm: Algorithm::HS256, key: secret() };
    Authority::new([issuer]).expect("an issuer without a flaw")
}

fn catalog() -> Catalog {
    let backend = Backend::Remote { model: "m".into() };
    let model = Arc::new(Model { name: "m".into(), backend, prompt_price: 1.0, completion_price: 2.0 });
    let agent = Agent {
        name: AGENT.into(),
        description: "".into(),
        instructions: "You are patient.".into(),
        model,
        others: Vec::new(),
        tools: Vec::new(),
        max_rounds: 10,
        time_limit: Duration::from_secs(60),
        max_tokens: None,
    };
    Catalog { agents: [(agent.name.clone(), Arc::new(agent))].into(), ..Catalog::default() }
}

fn rules() -> Rules {
    let sockets =
        |sockets: &[(&str, SocketApi)]| Entrance { sockets: sockets.iter().map(|(path, api)| ((*path).into(), *api)).collect() };
    Rules {
        entrances: vec![
            sockets(&[("/ws", SocketApi::Presence), ("/echo", SocketApi::Echo)]),
            sockets(&[("/ws", SocketApi::Quiz)]),
            sockets(&[CHAT_SOCKET, TASKS_SOCKET]),
            sockets(&LABS_SOCKETS),
        ],
        authority: authority(),
        permissions: Permissions::new([("school".to_owned(), Rule::None)]),
        presence: presence::Settings { events: false, ..presence::Settings::default() },
        quiz_authority: authority(),
        quiz_session: SessionKey::new(&KEY),
        quiz: quiz::Settings::default(),
        labs_users: UserKey::new(&secret()).expect("32 bytes are enough"),
        labs_agents: None,
        labs: labs::Settings::default(),
        callers: CallerKey::new(&secret()).expect("32 bytes are enough"),
        catalog: Arc::new(catalog()),
        chat: chat::Settings::default(),
        tasks: tasks::Settings::default(),
        workflows: Arc::default(),
        guests: None,
        show_shard: false,
    }
}
