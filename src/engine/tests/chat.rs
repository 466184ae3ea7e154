//! What scripts of chat need: agents, people and their tokens, sessions that are kept, sockets.

use super::world::{CHAT_LISTENER, SECRET, World};
use crate::{
    auth::{CallerClaims, CallerKey, Secret},
    engine::{Answer, RunId},
    models::{Agent, Backend, Catalog, Model, Schema, Tool, Word, catalog::Work, home_tools},
    protocols::chat::{
        Ask, MessageId, Reply, SessionId, Told,
        messages::session as shown,
        model::{Caller, Completeness, Decision, Session, Status},
        record::{Change, Loaded},
    },
    realtime::{ConnId, StoreFault, UnixMicros},
};
use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};
use uuid::Uuid;

pub(super) const SESSION: SessionId = Uuid::from_u128(0x5e55);
/// Between two pieces of the built-in agent's answer.
pub(super) const PACE: Duration = Duration::from_millis(20);

/// `tutor` is built in and works out what it is asked; `far` is elsewhere, and so is its tool `look`.
pub(super) fn catalog() -> Arc<Catalog> {
    let tool = |name: &str, schema, work| {
        let parameters = Schema::new(schema).unwrap();
        Arc::new(Tool { name: name.into(), description: "".into(), parameters, needs_approval: false, work })
    };
    let agent = |name: &str, backend, tool| {
        let model = Arc::new(Model { name: name.into(), backend, prompt_price: 0.0, completion_price: 0.0 });
        Arc::new(Agent {
            name: name.into(),
            description: "".into(),
            instructions: "".into(),
            model,
            others: Vec::new(),
            tools: vec![tool],
            max_rounds: 10,
            time_limit: Duration::from_secs(60),
            max_tokens: None,
        })
    };
    let calculator = tool("calculator", home_tools::CALCULATOR, Work::Calculator);
    let look = tool("look", r#"{"type":"object"}"#, Work::Http);
    let mut catalog = Catalog::default();
    catalog.agents.insert("tutor".into(), agent("tutor", Backend::Builtin { pace: PACE }, calculator));
    catalog.agents.insert("far".into(), agent("far", Backend::Remote { model: "m".into() }, look));
    Arc::new(catalog)
}

/// What was kept of sessions.
#[derive(Default)]
pub(super) struct Shelf {
    sessions: HashMap<SessionId, Loaded>,
    /// Where a message or an approval was written last.
    writers: HashMap<Uuid, usize>,
    /// What is answered to whatever is to be written.
    pub(super) fault: Option<StoreFault>,
}

impl Shelf {
    pub(super) fn keep(&mut self, place: usize, change: Change) -> Result<(), StoreFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.writers.extend(change.messages.iter().map(|message| (message.id, place)));
        self.writers.extend(change.approvals.iter().map(|approval| (approval.id, place)));
        let Change { session, messages, approvals } = change;
        let id = session.as_ref().map(|session| session.id);
        let id = id.or(messages.first().map(|message| message.session)).or(approvals.first().map(|approval| approval.session));
        if let Some(session) = session {
            let (id, empty) = (session.id, Loaded { session: session.clone(), messages: Vec::new(), approvals: Vec::new() });
            self.sessions.entry(id).or_insert(empty).session = session;
        }
        let kept = self.sessions.get_mut(&id.unwrap()).unwrap();
        kept.messages.retain(|old| messages.iter().all(|new| new.id != old.id));
        kept.messages.extend(messages);
        kept.messages.sort_by_key(|message| message.number);
        kept.approvals.retain(|old| approvals.iter().all(|new| new.id != old.id));
        kept.approvals.extend(approvals);
        Ok(())
    }

    /// Ends what the shards at these places did not finish.
    pub(super) fn bury(&mut self, is_dead: impl Fn(usize) -> bool) {
        let writers = &self.writers;
        let is_left = |id: &Uuid| writers.get(id).is_some_and(|place| is_dead(*place));
        for kept in self.sessions.values_mut() {
            let streaming = kept.messages.iter_mut().filter(|message| message.completeness == Completeness::Streaming);
            for message in streaming.filter(|message| is_left(&message.id)) {
                message.completeness = Completeness::Incomplete;
                kept.session.message_count += 1;
            }
            let pending = kept.approvals.iter_mut().filter(|approval| approval.decision == Decision::Pending);
            pending.filter(|approval| is_left(&approval.id)).for_each(|approval| approval.decision = Decision::Expired);
        }
    }

    /// Its user has ended it.
    pub(super) fn end(&mut self, session: SessionId) {
        self.sessions.get_mut(&session).unwrap().session.status = Status::Ended;
    }

    pub(super) fn load(&self, session: SessionId) -> Option<Box<Loaded>> {
        self.sessions.get(&session).cloned().map(Box::new)
    }
}

pub(super) fn person(name: &str) -> Caller {
    Caller { id: super::labs::user_id(name), email: format!("{name}@school.example").into(), admin: name == "root" }
}

/// A token of the user of this name.
pub(super) fn ticket(name: &str) -> String {
    let Caller { id, email, admin } = person(name);
    let token = Uuid::from_u128(id.as_u128() << 8);
    let claims =
        CallerClaims { user: id, name: name.into(), email: email.to_string(), admin, token, expires_at: super::labs::LATER };
    CallerKey::new(&Secret::new(SECRET)).unwrap().issue(&claims, UnixMicros(1_700_000_000_000_000))
}

pub(super) fn delta(text: &str) -> String {
    format!(r#"{{"type":"content_delta","delta":"{text}"}}"#)
}

pub(super) fn said(content: &str) -> String {
    format!(r#"{{"type":"message","content":"{content}"}}"#)
}

pub(super) const CANCEL: &str = r#"{"type":"cancel"}"#;

/// What one who follows an answer was told.
pub(super) type Heard = Rc<RefCell<Vec<Told>>>;

impl World {
    /// A session of anna's with this agent.
    pub(super) fn open(&mut self, agent: &str) {
        let session = Session {
            id: SESSION,
            owner: person("anna").id,
            title: "".into(),
            agent: Some(agent.into()),
            status: Status::Active,
            require_approval: false,
            metadata: "{}".into(),
            message_count: 0,
            created_at: self.now.wall,
            updated_at: self.now.wall,
            ended_at: None,
        };
        assert!(matches!(self.ask_chat(0, Ask::Create(Box::new(session))), Reply::Session(_)));
    }

    pub(super) fn ask_chat(&mut self, shard: usize, ask: Ask) -> Reply {
        let number = self.engines[shard].ask_chat(ask);
        self.run();
        match self.engines[shard].poll_chat_reply(number, Waker::noop()) {
            Poll::Ready(reply) => reply,
            Poll::Pending => panic!("an answer as soon as letters have travelled"),
        }
    }

    /// A socket of a session whose upgrade is answered; nothing else is heard of it yet.
    pub(super) fn chat_socket(&mut self, shard: usize, session: &str, query: &str) -> ConnId {
        let conn = self.engines[shard].accepted(CHAT_LISTENER, self.now).unwrap();
        let head = format!("GET /ws/sessions/{session}{query} HTTP/1.1\r\n{}\r\n", super::labs::HEAD);
        self.bytes(conn, head.as_bytes());
        conn
    }

    /// A socket that has joined.
    pub(super) fn listener(&mut self, shard: usize, name: &str) -> ConnId {
        let session = serde_json::to_value(shown(SESSION)).unwrap();
        let conn = self.chat_socket(shard, session.as_str().unwrap(), &format!("?token={}", ticket(name)));
        let success = format!(r#"{{"type":"auth_success","session_id":{session}}}"#);
        assert_eq!(self.take_heard(conn)[..2], ["101".to_owned(), success]);
        conn
    }

    /// The messages of a connection that are not of these types.
    pub(super) fn texts(&mut self, conn: ConnId) -> Vec<String> {
        self.take_heard(conn).into_iter().filter(|words| words != "PING").collect()
    }

    /// Anna says something over HTTP; the answer is followed, and at most so many pieces are taken.
    pub(super) fn say(&mut self, shard: usize, content: &str, most: usize) -> (Heard, MessageId) {
        let ids = [Uuid::from_u128(0xa0), Uuid::from_u128(0xa1)];
        let (session, caller) = (SESSION, person("anna"));
        let say = Ask::Say { session, caller, ids, content: content.into(), attachments: Vec::new(), streamed: true };
        let heard = Heard::default();
        let told = heard.clone();
        self.engines[shard].say_chat(
            say,
            Box::new(move |piece| {
                let mut told = told.borrow_mut();
                told.push(piece);
                told.len() < most
            }),
        );
        self.run();
        (heard, ids[1])
    }

    /// The one model or tool that was asked last says something.
    pub(super) fn word(&mut self, word: Word) {
        let (shard, run) = *self.runs.last().unwrap();
        self.answer_run(shard, Answer::Model { run, word });
    }

    pub(super) fn answer_run(&mut self, shard: usize, answer: Answer) {
        let now = self.now;
        self.engines[shard].answer(answer, now);
        self.run();
    }

    pub(super) fn run_asked(&self) -> (usize, RunId) {
        *self.runs.last().unwrap()
    }

    /// All leave, and nothing of chat is left over.
    pub(super) fn leave_chat(&mut self, conns: &[ConnId]) {
        conns.iter().for_each(|conn| self.eof(*conn));
        self.pass(Duration::from_secs(2));
        for engine in &self.engines {
            let counters = engine.counters();
            let levels = [&counters.chat_sockets, &counters.chat_followers, &counters.chat_sessions, &counters.chat_answers];
            assert_eq!(levels.map(|level| level.read()), [0; 4]);
            let levels = [&counters.chat_approvals, &counters.chat_writing, &counters.models_played, &counters.models_asked];
            assert_eq!(levels.map(|level| level.read()), [0; 4]);
        }
        self.assert_empty();
    }
}
