//! What scripts of labs need: users and their tokens, agents that do what they are told, viewers.

use super::world::{LABS_LISTENER, SECRET, World, masked};
use crate::{
    auth::{Secret, UserClaims, UserKey},
    engine::{Answer, Question},
    protocols::labs::{
        SessionId, Standing,
        asks::{Ask, Caller, Creation, Reply},
        model::{Progress, Resources, Role, State, Template, Vnc},
        record::{Change, Kept, Loaded, Record, Rights},
    },
    realtime::{ConnId, UnixMicros},
};
use serde_json::Value;
use std::task::{Poll, Waker};
use uuid::Uuid;

/// Long after the worlds begin.
pub(super) const LATER: UnixMicros = UnixMicros(1_800_000_000_000_000);
pub(super) const HEAD: &str = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The id of the user of this name.
pub(super) fn user_id(name: &str) -> Uuid {
    Uuid::from_u128(name.bytes().fold(0, |id, byte| id << 8 | u128::from(byte)))
}

/// What every shard knows from the beginning: there is one admin.
pub(super) fn begun() -> Loaded {
    Loaded {
        standings: vec![Standing { user: user_id("root"), role: Some(Role::Admin), active: Some(true) }],
        ..Loaded::default()
    }
}

/// A token of the user of this name, with this number.
pub(super) fn user_token(name: &str, number: u128, expires_at: UnixMicros) -> String {
    let (user, token) = (user_id(name), Uuid::from_u128(number));
    let claims = UserClaims { user, name: name.into(), email: String::new(), admin: name == "root", token, expires_at };
    UserKey::new(&Secret::new(SECRET)).unwrap().issue(&claims, UnixMicros(1_700_000_000_000_000))
}

pub(super) fn caller(name: &str) -> Caller {
    Caller { id: user_id(name), name: name.into(), admin: name == "root" }
}

/// Somebody asks for the session of this number.
pub(super) fn creation(user: &str, number: u8) -> Ask {
    Ask::Create(Box::new(Creation {
        session: Uuid::from_u128(0xD0 + u128::from(number)),
        suffixes: [[number; 3]; 4],
        user: user.into(),
        template: Box::new(template()),
        platform: None,
        region: None,
        hibernated: false,
        resources: template().default_resources,
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: Vec::new(),
    }))
}

fn template() -> Template {
    let resources = Resources { memory: "2Gi".into(), cpu: "1000m".into(), storage: None };
    Template {
        id: Uuid::from_u128(0x7e),
        name: "desk".into(),
        display_name: "Desk".into(),
        category: String::new(),
        description: String::new(),
        base_image: "image".into(),
        default_resources: resources,
        vnc: Vnc { enabled: true, port: 5900, resolution: None, color_depth: None },
        environment: [].into(),
        persistent_home: true,
        idle_timeout: "30m".into(),
        tags: Vec::new(),
        icon_url: None,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    }
}

/// The words that begin with this, as JSON.
pub(super) fn json(words: &str) -> Value {
    serde_json::from_str(words).unwrap_or_else(|_| panic!("{words}"))
}

/// A data frame's payload.
pub(super) fn data(proxy: u32, bytes: &[u8]) -> Vec<u8> {
    [&[1][..], &proxy.to_be_bytes(), bytes].concat()
}

/// A credit frame's payload.
pub(super) fn credit(proxy: u32, bytes: u32) -> Vec<u8> {
    [&[2][..], &proxy.to_be_bytes(), &bytes.to_be_bytes()].concat()
}

/// Bytes in which every place can be told from its neighbours.
pub(super) fn stream(length: usize, salt: usize) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(2_654_435_761 + salt) >> 13) as u8).collect()
}

/// As [`masked`], of any length.
pub(super) fn long(opcode: u8, payload: &[u8]) -> Vec<u8> {
    if payload.len() < 65_536 {
        return masked(opcode, payload);
    }
    let mut frame = vec![0x80 | opcode, 0xFF];
    frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// What labs have on disk.
pub(super) struct Shelf {
    loaded: Loaded,
    revoked: Vec<(Uuid, UnixMicros)>,
}

impl Default for Shelf {
    fn default() -> Shelf {
        Shelf { loaded: begun(), revoked: Vec::new() }
    }
}

impl Shelf {
    pub(super) fn keep(&mut self, record: &Record) {
        let Loaded { agents, sessions, commands, standings } = &mut self.loaded;
        match record.clone() {
            Record::Change(change) => {
                let Change { agent, session, command } = *change;
                agent.into_iter().for_each(|row| put(agents, row, |row| row.id));
                session.into_iter().for_each(|row| put(sessions, row, |row| row.id));
                command.into_iter().for_each(|row| put(commands, row, |row| row.id));
            }
            Record::NoAgent { agent } => agents.retain(|row| row.id != agent),
            Record::Revoked { token, expires_at } => self.revoked.push((token, expires_at)),
            Record::EditedUser { user, role, active, .. } => put(standings, Standing { user, role, active }, |row| row.user),
            Record::NewUser { .. } | Record::Activity { .. } | Record::Template { .. } | Record::NoTemplate { .. } => {}
        }
    }

    pub(super) fn loaded(&self) -> Loaded {
        let mut loaded = self.loaded.clone();
        loaded.sessions.retain(|session| session.state != State::Terminated);
        loaded.commands.retain(|command| !matches!(command.progress, Progress::Completed | Progress::Failed));
        loaded
    }

    pub(super) fn rights(&self) -> Rights {
        Rights { standings: self.loaded.standings.clone(), revoked: self.revoked.clone() }
    }
}

fn put<T>(rows: &mut Vec<T>, row: T, id: impl Fn(&T) -> Uuid) {
    rows.retain(|other| id(other) != id(&row));
    rows.push(row);
}

impl World {
    /// The store is asked for something of labs, and answers.
    pub(super) fn labs_asked(&mut self, place: usize, question: Question) {
        let fault = self.labs_fault;
        let answer = match question {
            Question::KeepLabs { ticket, record } => {
                let result = fault.map_or(Ok(Kept::Done), Err);
                if result.is_ok() {
                    self.labs_shelf.keep(&record);
                    self.labs.push(record);
                }
                Answer::LabsKept { ticket, result }
            }
            Question::LoadLabs => Answer::LabsLoaded(fault.map_or_else(|| Ok(Box::new(self.labs_shelf.loaded())), Err)),
            Question::LoadRights { .. } => {
                Answer::RightsLoaded(fault.map_or_else(|| Ok(Box::new(self.labs_shelf.rights())), Err))
            }
            other => panic!("not of labs: {other:?}"),
        };
        let now = self.now;
        self.engines[place].answer(answer, now);
    }

    /// Asks for an upgrade; what is heard of it is for the script.
    pub(super) fn upgrade(&mut self, shard: usize, target: &str, headers: &str) -> ConnId {
        let conn = self.engines[shard].accepted(LABS_LISTENER, self.now).unwrap();
        self.bytes(conn, format!("GET {target} HTTP/1.1\r\n{HEAD}{headers}\r\n").as_bytes());
        conn
    }

    /// An agent that has registered.
    pub(super) fn agent(&mut self, shard: usize, name: &str) -> ConnId {
        let conn = self.upgrade(shard, &format!("/agent/ws?agent_id={name}&platform=host"), "");
        let register = format!(r#"{{"type":"register","agent_id":"{name}","capacity":{{"max_sessions":8}}}}"#);
        self.text(conn, &register);
        let heard = self.take_heard(conn);
        assert_eq!(heard[0], "101");
        assert_eq!(json(&heard[1])["type"], "register_ack");
        conn
    }

    pub(super) fn ask_labs(&mut self, shard: usize, ask: Ask) -> Reply {
        let number = self.engines[shard].ask_labs(ask);
        self.run();
        self.labs_reply(shard, number).expect("an answer as soon as letters have travelled")
    }

    pub(super) fn labs_reply(&mut self, shard: usize, number: u64) -> Option<Reply> {
        match self.engines[shard].poll_labs_reply(number, Waker::noop()) {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        }
    }

    /// A session of this user that runs at the one agent there is.
    pub(super) fn desktop(&mut self, agent: ConnId, user: &str, number: u8) -> SessionId {
        let session = Uuid::from_u128(0xD0 + u128::from(number));
        let place = self.nodes.place(agent.shard);
        assert!(matches!(self.ask_labs(place, creation(user, number)), Reply::Session(_)));
        self.obey(agent);
        session
    }

    /// Lets an agent do all it was told to do.
    pub(super) fn obey(&mut self, agent: ConnId) {
        for words in self.take_heard(agent) {
            let told = json(&words);
            if told["type"] == "command" {
                let id = &told["command_id"];
                self.text(agent, &format!(r#"{{"type":"command_ack","command_id":{id},"status":"received"}}"#));
                self.text(agent, &format!(r#"{{"type":"command_result","command_id":{id},"status":"completed","result":{{}}}}"#));
            }
            if let Some(id) = told["payload"]["commandId"].as_str() {
                self.text(agent, &format!(r#"{{"type":"complete","payload":{{"commandId":"{id}","result":{{}}}}}}"#));
            }
        }
    }

    /// A viewer who was let in, and the number of its tunnel.
    pub(super) fn viewer(&mut self, shard: usize, (session, token): (SessionId, &str), agent: ConnId) -> (ConnId, u32) {
        let conn = self.upgrade(shard, &format!("/vnc-viewer/{session}?token={token}"), "");
        assert_eq!(self.take_heard(conn), ["101"]);
        (conn, self.wanted(agent))
    }

    /// The number in the last request for a screen that an agent was sent.
    pub(super) fn wanted(&mut self, agent: ConnId) -> u32 {
        let heard = self.take_heard(agent);
        let request = json(heard.last().expect("the agent hears of each viewer"));
        assert_eq!(request["type"], "vnc_proxy_request");
        request["proxy_id"].as_str().and_then(|id| id.strip_prefix("proxy-")).and_then(|id| id.parse().ok()).unwrap()
    }

    /// The agent has reached the screen; with a credit it counts.
    pub(super) fn ready(&mut self, agent: ConnId, proxy: u32, credit: Option<u32>) {
        let credit = credit.map_or(String::new(), |credit| format!(r#","credit":{credit}"#));
        self.text(agent, &format!(r#"{{"type":"vnc_proxy_ready","proxy_id":"proxy-{proxy}"{credit}}}"#));
    }

    /// What came in binary frames since it was last asked.
    pub(super) fn take_stream(&mut self, conn: ConnId) -> Vec<u8> {
        self.streams.remove(&conn).unwrap_or_default()
    }

    /// The send in flight of one that takes nothing leaves.
    pub(super) fn let_go(&mut self, conn: ConnId) -> bool {
        let Some(place) = self.in_flight.iter().position(|(stalled, _)| *stalled == conn) else { return false };
        let (_, bytes) = self.in_flight.remove(place);
        self.hear(conn, &bytes);
        let (place, now) = (self.nodes.place(conn.shard), self.now);
        self.engines[place].sent(conn, true, now);
        self.run();
        true
    }

    /// All connections are over, and the registry's own times with them.
    pub(super) fn leave_labs(&mut self, conns: &[ConnId]) {
        self.stalled.clear();
        for conn in conns {
            while self.let_go(*conn) {}
            self.eof(*conn);
        }
        for engine in &self.engines {
            assert!(engine.is_empty(), "every connection was released");
            let counters = engine.counters();
            let levels = [&counters.labs_agents, &counters.labs_viewers, &counters.labs_followers, &counters.labs_keeping];
            assert_eq!(levels.map(|level| level.read()), [0; 4]);
        }
        assert_eq!(self.paused, []);
    }
}
