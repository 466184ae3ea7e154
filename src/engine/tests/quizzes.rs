//! What scripts of quizzes need: records in memory, credentials, and words for what is heard.

use super::world::{QUIZ_LISTENER, World, masked, token};
use crate::{
    auth::{SessionKey, api_key},
    engine::{Answer, Question as AskedOf},
    protocols::quiz::{
        AttemptId, Good, QuizId,
        asks::{Ask, End, Entrant, Pass, Reply},
        model::{AccessType, Availability, Given, Kind, Question, Quiz, Reason, Role, Rules, Status, SubmissionMode},
        record::{Answered, Closed, Edit, Flag, Kept, Key, Loaded, LoadedAttempt, Record, Started},
    },
    realtime::{ConnId, StoreFault, UnixMicros},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    task::{Poll, Waker},
};
use uuid::Uuid;

/// What is on disk, and every record as it was written.
#[derive(Clone, Default)]
pub(super) struct Library {
    pub(super) quizzes: BTreeMap<QuizId, Loaded>,
    pub(super) keys: Vec<Key>,
    pub(super) passwords: Vec<(String, UnixMicros)>,
    pub(super) records: Vec<Record>,
    pub(super) fault: Option<StoreFault>,
}

impl Library {
    pub(super) fn keep(&mut self, record: Record) -> Result<Kept, StoreFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.records.push(record.clone());
        match record {
            Record::Started(started) => self.start(*started),
            Record::Answered(answered) => self.answer(&answered),
            Record::Closed(closed) => self.attempt(closed.attempt).end = Some(closed),
            Record::Flagged { attempt, flags, .. } => self.attempt(attempt).flags += flags.len() as u32,
            Record::Edited { quiz, edit, at } => self.edit(quiz, edit, at),
            Record::Key(key) => self.keys.push(key),
            Record::Revoked { key, .. } => {
                let before = self.keys.len();
                self.keys.retain(|own| own.id != key);
                return Ok(if self.keys.len() == before { Kept::Missing } else { Kept::Done });
            }
            Record::Owner(account) => self.passwords.push((account.name, account.at)),
            Record::NewQuiz(_) | Record::Participant(_) | Record::Event(_) => {}
        }
        Ok(Kept::Done)
    }

    /// What is read of it.
    pub(super) fn read(&self, question: &AskedOf) -> Answer {
        let fault = self.fault.map_or(Ok(()), Err);
        match question {
            AskedOf::Load(quiz) => {
                let result = fault.map(|()| self.quizzes.get(quiz).cloned().map(Box::new));
                Answer::Loaded { quiz: *quiz, result }
            }
            AskedOf::LoadKeys => {
                let good = Good { keys: self.keys.clone(), passwords: self.passwords.clone() };
                Answer::KeysLoaded(fault.map(|()| Box::new(good)))
            }
            AskedOf::Running { look } => Answer::Running { look: *look, result: fault.map(|()| self.running()) },
            other => panic!("{other:?} is not read"),
        }
    }

    pub(super) fn running(&self) -> Vec<QuizId> {
        let runs = |loaded: &Loaded| loaded.attempts.iter().any(|attempt| attempt.end.is_none());
        self.quizzes.iter().filter(|(_, loaded)| runs(loaded)).map(|(quiz, _)| *quiz).collect()
    }

    /// How an attempt ended, if it did.
    pub(super) fn end_of(&mut self, attempt: AttemptId) -> Option<Closed> {
        self.attempt(attempt).end
    }

    fn attempt(&mut self, attempt: AttemptId) -> &mut LoadedAttempt {
        self.quizzes.values_mut().flat_map(|loaded| &mut loaded.attempts).find(|own| own.id == attempt).unwrap()
    }

    fn start(&mut self, started: Started) {
        let Started { attempt, quiz, participant, alias, event, started_at, deadline, .. } = started;
        let (last_answer, flags, end, answers) = (None, 0, None, Vec::new());
        let attempt =
            LoadedAttempt { id: attempt, participant, alias, event, started_at, deadline, last_answer, flags, end, answers };
        self.quizzes.get_mut(&quiz).unwrap().attempts.push(attempt);
    }

    fn answer(&mut self, answered: &Answered) {
        let attempt = self.attempt(answered.attempt);
        assert_eq!(attempt.end, None, "nothing is written to an attempt that is over");
        attempt.answers.retain(|(question, _)| *question != answered.question);
        attempt.answers.push((answered.question, answered.grade));
        attempt.last_answer = Some(answered.at);
    }

    fn edit(&mut self, quiz: QuizId, edit: Edit, at: UnixMicros) {
        let quiz = &mut self.quizzes.get_mut(&quiz).unwrap().quiz;
        quiz.updated_at = at;
        match edit {
            Edit::Rules(rules) => quiz.rules = *rules,
            Edit::Status(status) => quiz.status = status,
            Edit::Question(_) | Edit::NoQuestion(_) | Edit::Order(_) => panic!("no script needs it"),
        }
    }
}

pub(super) fn session_key() -> SessionKey {
    SessionKey::new(b"a key for the sessions of scripts")
}

pub(super) fn question(n: u128) -> Uuid {
    Uuid::from_u128(0x0051_0000 + n)
}

/// A quiz that can be begun, of `school/<owner>`: three questions, true is right, ten points each.
pub(super) fn quiz(id: i64, owner: &str, time_limit_seconds: u32) -> Loaded {
    let question = |n| Question { id: question(n), text: "?".into(), points: 10.0, kind: Kind::TrueFalse { correct: true } };
    let rules = Rules {
        title: "quiz".into(),
        access_type: AccessType::Public,
        availability: Availability::Always,
        opens_at: None,
        closes_at: None,
        time_limit_seconds,
        max_attempts: 0,
        submission_mode: SubmissionMode::Immediate,
        client_only: false,
    };
    let quiz = Quiz {
        id: QuizId(id),
        owner: format!("school/{owner}").into(),
        status: Status::Published,
        access_code: "code".into(),
        rules,
        questions: (1..=3).map(question).collect(),
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    };
    Loaded { quiz, attempts: Vec::new() }
}

/// A key whose text is that of [`key_text`].
pub(super) fn key(number: u8, owner: &str, role: Role) -> Key {
    Key {
        id: Uuid::from_u128(number.into()),
        owner: format!("school/{owner}").into(),
        label: "key".into(),
        role,
        hash: api_key::hash(&key_text(number)),
        hint: String::new(),
        created_at: UnixMicros(0),
    }
}

pub(super) fn key_text(number: u8) -> String {
    api_key::api_key([number; 32])
}

pub(super) fn flag(label: &str) -> Flag {
    Flag { label: label.to_uppercase(), detail: Some(r#"{"secret":1}"#.into()), question: None, occurred_at: UnixMicros(0) }
}

pub(super) fn subscribe(channels: &[&str]) -> String {
    serde_json::json!({"action": "subscribe", "subscriptions": channels}).to_string()
}

pub(super) fn unsubscribe(channels: &[&str]) -> String {
    serde_json::json!({"action": "unsubscribe", "subscriptions": channels}).to_string()
}

/// A message in a few words.
pub(super) fn brief(text: &str) -> String {
    let Some(message) = serde_json::from_str::<Value>(text).ok().filter(Value::is_object) else { return text.to_owned() };
    let list = |value: &Value| value.as_array().unwrap().iter().map(plain).collect::<Vec<_>>().join(",");
    let data = &message["data"];
    match message["event"].as_str().unwrap_or_default() {
        event @ ("subscribed" | "unsubscribed") => format!("{event} {}", list(&message["subscriptions"])),
        "error" => format!("error: {}", plain(&message["error"])),
        "snapshot" => format!("snapshot {}: {}", plain(&message["channel"]), list(&brief_rows(&message["snapshot"]))),
        "update" => {
            let about = match message["t"].as_str().unwrap_or_default() {
                "attempt_quiz" => plain(&data["alias"]),
                "attempt_update" | "attempt_finished" => plain(&data["answered_count"]),
                "attempt_flagged" => list(&data["labels"]),
                "attempt_closed" => format!("{} {}", plain(&data["reason"]), plain(&data["answered_count"])),
                other => panic!("no such update: {other}"),
            };
            format!("{} {} {about}", plain(&message["t"]), plain(&data["quiz_id"]))
        }
        other => panic!("no such event: {other}"),
    }
}

fn brief_rows(rows: &Value) -> Value {
    let row = |row: &Value| {
        let rank = row["rank"].as_u64().map(|rank| format!("{rank} ")).unwrap_or_default();
        format!("{rank}{} {} {}", plain(&row["alias"]), row["score"], plain(&row["status"]))
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl World {
    /// A house with these quizzes on disk.
    pub(super) fn with_quizzes(shards: u16, quizzes: impl IntoIterator<Item = Loaded>) -> World {
        let mut world = World::new(shards);
        world.library.quizzes = quizzes.into_iter().map(|loaded| (loaded.quiz.id, loaded)).collect();
        world.begin();
        world
    }

    /// Tells the shards what is on disk.
    pub(super) fn begin(&mut self) {
        let (keys, running, now) = (self.library.keys.clone(), self.library.running(), self.now);
        self.engines.iter_mut().for_each(|engine| engine.begin(&keys, &running, now));
        self.run();
    }

    /// A request for the quiz's socket, with this query.
    pub(super) fn request(&mut self, shard: usize, query: &str) -> ConnId {
        let now = self.now;
        let conn = self.engines[shard].accepted(QUIZ_LISTENER, now).unwrap();
        let head = format!(
            "GET /ws{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.bytes(conn, head.as_bytes());
        conn
    }

    /// A plain GET by the quiz's listener.
    pub(super) fn plain(&mut self, shard: usize, target: &str) -> ConnId {
        let now = self.now;
        let conn = self.engines[shard].accepted(QUIZ_LISTENER, now).unwrap();
        self.bytes(conn, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        conn
    }

    /// An owner who is connected and has subscribed to these channels, all his.
    pub(super) fn owner(&mut self, shard: usize, subject: &str, channels: &[&str]) -> ConnId {
        let conn = self.request(shard, &format!("?token={}", token(subject)));
        assert_eq!(self.take_heard(conn), ["101"]);
        if !channels.is_empty() {
            self.text(conn, &subscribe(channels));
            assert_eq!(self.take_brief(conn)[0], format!("subscribed {}", channels.join(",")));
        }
        conn
    }

    /// A participant who is connected.
    pub(super) fn participant(&mut self, shard: usize, quiz: i64, attempt: AttemptId) -> ConnId {
        let conn = self.request(shard, &format!("?session={}", session_key().token(quiz, attempt)));
        assert_eq!(self.take_brief(conn), ["101".to_owned(), format!("subscribed notification:{attempt}")]);
        conn
    }

    /// What a connection has heard since it was last asked, in a few words each.
    pub(super) fn take_brief(&mut self, conn: ConnId) -> Vec<String> {
        self.take_heard(conn).iter().map(|text| brief(text)).collect()
    }

    /// Asks a quiz's home as REST does.
    pub(super) fn ask_quiz(&mut self, shard: usize, ask: Ask) -> Reply {
        let number = self.engines[shard].ask_quiz(ask);
        self.run();
        self.reply(shard, number).expect("a home answers as soon as letters and the store's answers have travelled")
    }

    /// The reply, if it has come.
    pub(super) fn reply(&mut self, shard: usize, number: u64) -> Option<Reply> {
        match self.engines[shard].poll_quiz_reply(number, Waker::noop()) {
            Poll::Ready(reply) => Some(reply),
            Poll::Pending => None,
        }
    }

    pub(super) fn start(&mut self, shard: usize, quiz: i64, alias: &str) -> AttemptId {
        let attempt = Uuid::from_u128(0xA000 + self.library.records.len() as u128);
        let reply = self.ask_quiz(shard, start(quiz, attempt, alias));
        assert!(matches!(reply, Reply::Started(_)), "{reply:?}");
        attempt
    }

    /// Answers a question, rightly or not.
    pub(super) fn answer(&mut self, shard: usize, quiz: i64, attempt: AttemptId, n: u128, truth: bool) -> Reply {
        self.ask_quiz(shard, answer(quiz, attempt, n, truth))
    }

    /// What whoever submits an attempt is told.
    pub(super) fn submitted(&mut self, attempt: AttemptId) -> Reply {
        let Closed { reason, at, score, answered_count, .. } = self.library.end_of(attempt).unwrap();
        Reply::Submitted(End { reason, at, score, answered_count })
    }

    pub(super) fn end_of(&mut self, attempt: AttemptId) -> Option<(Reason, f64, u32)> {
        self.library.end_of(attempt).map(|closed| (closed.reason, closed.score, closed.answered_count))
    }

    /// Everybody leaves, what is idle is forgotten, and nothing is left.
    pub(super) fn leave_all(&mut self, conns: &[ConnId]) {
        for conn in conns {
            self.bytes(*conn, &masked(8, &1000_u16.to_be_bytes()));
        }
        self.pass(std::time::Duration::from_secs(130));
        self.assert_empty();
    }
}

pub(super) fn start(quiz: i64, attempt: AttemptId, alias: &str) -> Ask {
    let participant = Uuid::from_u128(attempt.as_u128() + (1 << 64));
    let entrant = Entrant { participant, known_to: None, alias: alias.into() };
    Ask::Start { quiz: QuizId(quiz), attempt, entrant, event: None, pass: Pass::default() }
}

pub(super) fn answer(quiz: i64, attempt: AttemptId, n: u128, truth: bool) -> Ask {
    let id = Uuid::from_u128(attempt.as_u128() << 8 | n);
    Ask::Answer { quiz: QuizId(quiz), attempt, question: question(n), id, given: Given::Truth(truth) }
}
