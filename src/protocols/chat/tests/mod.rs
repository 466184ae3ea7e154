//! Scripts of sessions: letters, the store's answers and the model's words in; outcomes out.

mod answers;
mod approvals;
mod listeners;
mod moves;
mod random;
mod slow;

use super::{
    asks::{Ask, Refused, Reply, Told},
    homes::{Homes, Outcome},
    letters::{FromSession, Heard, ToSession},
    model::{Caller, Session, SessionId, Status},
    record::{Change, Loaded},
    settings::Settings,
};
use crate::{
    models::{Agent, Backend, Catalog, Model, Schema, Stop, Tool, ToolCall, Usage, Word, catalog::Work},
    realtime::{ConnId, Moment, Now, ShardId, StoreFault, UnixMicros},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

const SESSION: SessionId = Uuid::from_u128(0x5e55);
const OWNER: Uuid = Uuid::from_u128(1);
const SECOND: Duration = Duration::from_secs(1);

fn conn(slot: u32) -> ConnId {
    ConnId { shard: ShardId((slot % 2) as u16), generation: 0, slot }
}

fn caller(id: u128) -> Caller {
    Caller { id: Uuid::from_u128(id), email: format!("user{id}@school.example").into(), admin: id == 9 }
}

/// What is said to one who joins where nothing was said yet.
fn joined(conn: ConnId) -> Outcome {
    Outcome::Tell(conn, FromSession::Joined { session: SESSION, heard: Heard::default() })
}

fn not_taken(conn: ConnId, n: u128, why: Refused) -> Outcome {
    Outcome::Tell(conn, FromSession::NotTaken { answer: message_ids(n)[1], why })
}

fn message_ids(n: u128) -> [Uuid; 2] {
    [Uuid::from_u128(100 + 2 * n), Uuid::from_u128(101 + 2 * n)]
}

fn tool(name: &str, needs_approval: bool, work: Work) -> Arc<Tool> {
    let parameters = Schema::new(r#"{"type":"object"}"#).unwrap();
    Arc::new(Tool { name: name.into(), description: "".into(), parameters, needs_approval, work })
}

fn catalog() -> Arc<Catalog> {
    let backend = Backend::Remote { model: "m".into() };
    let model = Arc::new(Model { name: "m".into(), backend, prompt_price: 0.0, completion_price: 0.0 });
    let agent = Agent {
        name: "tutor".into(),
        description: "".into(),
        instructions: "Teach.".into(),
        model,
        others: Vec::new(),
        tools: vec![tool("look", false, Work::Http), tool("send", true, Work::Http), tool("calculator", false, Work::Calculator)],
        max_rounds: 10,
        time_limit: 60 * SECOND,
        max_tokens: None,
    };
    let mut catalog = Catalog::default();
    catalog.agents.insert("tutor".into(), Arc::new(agent));
    Arc::new(catalog)
}

fn session() -> Session {
    Session {
        id: SESSION,
        owner: OWNER,
        title: "".into(),
        agent: None,
        status: Status::Active,
        require_approval: false,
        metadata: "{}".into(),
        message_count: 0,
        created_at: UnixMicros(1_000_000),
        updated_at: UnixMicros(1_000_000),
        ended_at: None,
    }
}

struct Bench {
    homes: Homes,
    now: Now,
    out: Vec<Outcome>,
    numbers: u64,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(Settings::default())
    }

    fn with(settings: Settings) -> Bench {
        let now = Now { moment: Moment(1_000_000), wall: UnixMicros(1_000_000) };
        Bench { homes: Homes::new(settings, catalog(), 7, now.moment), now, out: Vec::new(), numbers: 0 }
    }

    /// With a session that is on disk and has a listener.
    fn joined() -> Bench {
        let mut bench = Bench::new();
        assert_eq!(bench.join(conn(2), 1), [Outcome::Load(SESSION)]);
        assert_eq!(bench.load(session()), [joined(conn(2))]);
        bench
    }

    fn take(&mut self) -> Vec<Outcome> {
        // What shards must know of frames says nothing more than these.
        let is_word = |outcome: &Outcome| !matches!(outcome, Outcome::Mark { .. });
        std::mem::take(&mut self.out).into_iter().filter(is_word).collect()
    }

    fn letter(&mut self, letter: ToSession) -> Vec<Outcome> {
        self.homes.letter(letter, self.now, &mut self.out);
        self.take()
    }

    fn join(&mut self, conn: ConnId, user: u128) -> Vec<Outcome> {
        self.letter(ToSession::Join { conn, session: SESSION, caller: caller(user), heard: None })
    }

    fn load(&mut self, session: Session) -> Vec<Outcome> {
        let loaded = Loaded { session, messages: Vec::new(), approvals: Vec::new() };
        self.homes.loaded(SESSION, Ok(Some(Box::new(loaded))), self.now, &mut self.out);
        self.take()
    }

    fn ask(&mut self, ask: Ask) -> Vec<Outcome> {
        self.numbers += 1;
        self.letter(ToSession::Ask { asker: ShardId(1), number: self.numbers, ask: Box::new(ask) })
    }

    fn say(&mut self, n: u128) -> Vec<Outcome> {
        let content = format!("words {n}").into();
        self.letter(ToSession::Say { conn: conn(2), session: SESSION, ids: message_ids(n), content, attachments: Vec::new() })
    }

    fn say_by_rest(&mut self, n: u128, streamed: bool) -> Vec<Outcome> {
        let (caller, content) = (caller(1), format!("words {n}").into());
        self.ask(Ask::Say { session: SESSION, caller, ids: message_ids(n), content, attachments: Vec::new(), streamed })
    }

    /// The store has written what it was asked to.
    fn store(&mut self, ticket: u64) -> Vec<Outcome> {
        self.homes.kept(ticket, Ok(()), self.now, &mut self.out);
        self.take()
    }

    fn fail(&mut self, ticket: u64) -> Vec<Outcome> {
        self.homes.kept(ticket, Err(StoreFault::Failed), self.now, &mut self.out);
        self.take()
    }

    fn word(&mut self, n: u128, word: Word) -> Vec<Outcome> {
        self.homes.word((SESSION, message_ids(n)[1]), word, self.now, &mut self.out);
        self.take()
    }

    fn delta(&mut self, n: u128, text: &str) -> Vec<Outcome> {
        self.word(n, Word::Delta(text.into()))
    }

    fn call(&mut self, n: u128, name: &str) -> Vec<Outcome> {
        self.word(n, Word::Call(ToolCall { id: "c".into(), tool: name.into(), arguments: r#"{"expression":"2+2"}"#.into() }))
    }

    fn ended(&mut self, n: u128, stop: Stop) -> Vec<Outcome> {
        self.word(n, Word::Ended { stop, usage: Usage { prompt_tokens: 3, completion_tokens: 4 } })
    }

    fn pass(&mut self, time: Duration) -> Vec<Outcome> {
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
        self.homes.turn(self.now, &mut self.out);
        self.take()
    }

    /// A message is said and its beginning on disk: the model is asked.
    fn begun(&mut self, n: u128) -> Vec<Outcome> {
        let kept = self.say(n);
        self.store(kept_in(&kept).0)
    }
}

/// The one change that is to be written.
fn kept_in(outcomes: &[Outcome]) -> (u64, &Change) {
    let mut kept = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Keep { ticket, change } => Some((*ticket, &**change)),
        _ => None,
    });
    let first = kept.next().unwrap_or_else(|| panic!("nothing is written: {outcomes:?}"));
    assert!(kept.next().is_none(), "one at a time");
    first
}

/// The texts that all listeners hear.
fn heard(outcomes: &[Outcome]) -> Vec<Value> {
    let frames = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Publish { frame, .. } => Some(frame),
        _ => None,
    });
    frames.map(|frame| text(frame)).collect()
}

fn text(frame: &[u8]) -> Value {
    let start = frame.iter().position(|byte| *byte == b'{').unwrap();
    serde_json::from_slice(&frame[start..]).unwrap()
}

fn types(outcomes: &[Outcome]) -> Vec<String> {
    heard(outcomes).iter().map(|text| text["type"].as_str().unwrap().to_owned()).collect()
}

fn replies(outcomes: &[Outcome]) -> Vec<&Reply> {
    outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Reply { reply, .. } => Some(&**reply),
            _ => None,
        })
        .collect()
}

fn refused(outcomes: &[Outcome]) -> Option<Refused> {
    replies(outcomes).iter().find_map(|reply| match reply {
        Reply::Refused(refused) => Some(*refused),
        Reply::Session(_) | Reply::Approvals(_) | Reply::Decided(_) => None,
    })
}

fn told(outcomes: &[Outcome]) -> Vec<&Told> {
    outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Told { told, .. } => Some(&**told),
            _ => None,
        })
        .collect()
}
