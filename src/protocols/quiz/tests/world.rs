//! Homes, two clocks, and a store that answers when it is told to.

use super::shelf::{Shelf, question_id, quiz};
use crate::{
    protocols::quiz::{
        Channel, FromQuiz, Homes, Outcome, QuizId, Settings, ToQuiz,
        asks::{Ask, Entrant, Pass, Refused, Reply},
        model::{Given, Quiz},
        record::{Flag, Kept, KeyChange, Record},
    },
    realtime::{ConnId, Frame, Moment, Now, ShardId, StoreFault, UnixMicros},
};
use serde_json::Value;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use uuid::Uuid;

pub(super) const QUIZ: QuizId = QuizId(42);
/// When the worlds begin.
pub(super) const START: UnixMicros = UnixMicros(1_700_000_000_000_000);

/// What homes did that somebody sees.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Said {
    Published(QuizId, Channel, Value),
    Delivered(ConnId, Value),
    Told(ConnId, FromQuiz),
    Replied(u64, Reply),
    KeyChanged(u64, KeyChange),
}

pub(super) struct World {
    pub(super) homes: Homes,
    pub(super) now: Now,
    pub(super) shelf: Shelf,
    pub(super) pending: VecDeque<(u64, Record)>,
    pub(super) loads: VecDeque<QuizId>,
    pub(super) said: Vec<Said>,
    asked: u64,
}

pub(super) fn conn(shard: u16, slot: u32) -> ConnId {
    ConnId { shard: ShardId(shard), generation: 1, slot }
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

/// Begins an attempt `n` of a new participant of the same number.
pub(super) fn start(quiz: QuizId, n: u128) -> Ask {
    let entrant = Entrant { participant: id(n + 1_000_000), known_to: None, alias: format!("P{n}").into() };
    Ask::Start { quiz, attempt: id(n), entrant, event: None, pass: Pass::default() }
}

pub(super) fn answer(quiz: QuizId, n: u128, question: u128, truth: bool) -> Ask {
    Ask::Answer { quiz, attempt: id(n), question: question_id(question), id: id(0xA000 + question), given: Given::Truth(truth) }
}

pub(super) fn submit(quiz: QuizId, n: u128) -> Ask {
    Ask::Submit { quiz, attempt: id(n) }
}

pub(super) fn look(quiz: QuizId, n: u128) -> Ask {
    Ask::Look { quiz, attempt: id(n) }
}

pub(super) fn flags(quiz: QuizId, n: u128, labels: &[&str]) -> Ask {
    let flag = |label: &&str| Flag { label: (*label).into(), detail: None, question: None, occurred_at: START };
    Ask::Flag { quiz, attempt: id(n), flags: labels.iter().map(flag).collect() }
}

pub(super) fn force(quiz: QuizId) -> Ask {
    Ask::Force { quiz, owner: "owner".into(), event: None }
}

pub(super) fn refused(number: u64, refused: Refused) -> Said {
    Said::Replied(number, Reply::Refused(refused))
}

impl World {
    /// With quiz 42, of five questions.
    pub(super) fn new() -> World {
        World::of(quiz(42, 5))
    }

    /// With this quiz.
    pub(super) fn of(quiz: Quiz) -> World {
        let mut shelf = Shelf::default();
        shelf.put(quiz);
        World {
            homes: Homes::new(Settings::default(), 7, Moment(0)),
            now: Now { moment: Moment(1_000_000), wall: START },
            shelf,
            pending: VecDeque::new(),
            loads: VecDeque::new(),
            said: Vec::new(),
            asked: 0,
        }
    }

    /// With quiz 42 with this limit in seconds, read, and somebody who watches its events.
    pub(super) fn watched(limit: u32) -> World {
        let mut quiz = quiz(42, 5);
        quiz.rules.time_limit_seconds = limit;
        let mut world = World::of(quiz);
        world.watch(conn(0, 1), Channel::Quiz);
        world.settle();
        world.hush();
        world
    }

    pub(super) fn act(&mut self, act: impl FnOnce(&mut Homes, Now, &mut Vec<Outcome>)) {
        let mut out = Vec::new();
        act(&mut self.homes, self.now, &mut out);
        for outcome in out {
            self.note(outcome);
        }
    }

    fn note(&mut self, outcome: Outcome) {
        let said = match outcome {
            Outcome::Keep { ticket, record } => return self.pending.push_back((ticket, record)),
            Outcome::Load(quiz) => return self.loads.push_back(quiz),
            Outcome::Running(_) => panic!("this node stands alone"),
            Outcome::Tell(conn, word) => Said::Told(conn, word),
            Outcome::Publish { quiz, channel, frame, shards } => {
                assert!(!shards.is_empty(), "published to nobody");
                Said::Published(quiz, channel, json(&frame))
            }
            Outcome::Deliver(conn, frame) | Outcome::Show { conn, frame, .. } => Said::Delivered(conn, json(&frame)),
            Outcome::Reply { number, reply, .. } => Said::Replied(number, *reply),
            Outcome::KeyChanged { change, number, .. } => Said::KeyChanged(number, change),
        };
        self.said.push(said);
    }

    pub(super) fn letter(&mut self, letter: ToQuiz) {
        self.act(|homes, now, out| homes.letter(letter, now, out));
    }

    /// Asks; returns under which number.
    pub(super) fn ask(&mut self, ask: Ask) -> u64 {
        let number = self.ask_next();
        self.letter(ToQuiz::Ask { asker: ShardId(1), number, ask: Box::new(ask) });
        number
    }

    /// The number of the next request.
    pub(super) fn ask_next(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Asks, lets the store do its part, and returns the answer.
    pub(super) fn get(&mut self, ask: Ask) -> Reply {
        let number = self.ask(ask);
        self.settle();
        self.reply(number).unwrap_or_else(|| panic!("no answer to {number}"))
    }

    /// Asks, and returns the answer if there is one before the store does anything.
    pub(super) fn get_unkept(&mut self, ask: Ask) -> Option<Reply> {
        let number = self.ask(ask);
        self.reply(number)
    }

    pub(super) fn reply(&self, number: u64) -> Option<Reply> {
        self.said.iter().find_map(|said| match said {
            Said::Replied(to, reply) if *to == number => Some(reply.clone()),
            _ => None,
        })
    }

    pub(super) fn watch(&mut self, conn: ConnId, channel: Channel) {
        self.letter(ToQuiz::Watch { conn, quiz: QUIZ, channel, owner: Some("owner".into()) });
    }

    pub(super) fn unwatch(&mut self, conn: ConnId, channel: Channel) {
        self.letter(ToQuiz::Unwatch { conn, quiz: QUIZ, channel });
    }

    pub(super) fn admit(&mut self, conn: ConnId, n: u128) {
        self.letter(ToQuiz::Admit { conn, quiz: QUIZ, attempt: id(n) });
    }

    pub(super) fn part(&mut self, conn: ConnId, n: u128) {
        self.letter(ToQuiz::Part { conn, quiz: QUIZ, attempt: id(n) });
    }

    /// The store answers the oldest record: it is on disk.
    pub(super) fn keep(&mut self) {
        let (ticket, record) = self.pending.pop_front().expect("a record waits");
        self.shelf.write(&record);
        self.act(|homes, now, out| homes.kept(ticket, Ok(Kept::Done), now, out));
    }

    /// The store answers all records, and does not look at them.
    pub(super) fn keep_unseen(&mut self) {
        while let Some((ticket, _)) = self.pending.pop_front() {
            self.act(|homes, now, out| homes.kept(ticket, Ok(Kept::Done), now, out));
        }
    }

    /// The store answers the oldest record: it is not.
    pub(super) fn fail(&mut self, fault: StoreFault) {
        let (ticket, _) = self.pending.pop_front().expect("a record waits");
        self.act(|homes, now, out| homes.kept(ticket, Err(fault), now, out));
    }

    /// The store answers the oldest record: what it was to change is not there.
    pub(super) fn miss(&mut self) {
        let (ticket, _) = self.pending.pop_front().expect("a record waits");
        self.act(|homes, now, out| homes.kept(ticket, Ok(Kept::Missing), now, out));
    }

    pub(super) fn load(&mut self) {
        let quiz = self.loads.pop_front().expect("a quiz waits");
        let loaded = self.shelf.load(quiz);
        self.act(|homes, now, out| homes.loaded(quiz, Ok(loaded), now, out));
    }

    pub(super) fn fail_load(&mut self, fault: StoreFault) {
        let quiz = self.loads.pop_front().expect("a quiz waits");
        self.act(|homes, now, out| homes.loaded(quiz, Err(fault), now, out));
    }

    /// The store does all that it was asked.
    pub(super) fn settle(&mut self) {
        while !(self.loads.is_empty() && self.pending.is_empty()) {
            while !self.loads.is_empty() {
                self.load();
            }
            while !self.pending.is_empty() {
                self.keep();
            }
        }
    }

    /// Time passes, and the homes' times come when they come.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = Now { moment: self.now.moment + time, wall: wall(self.now.wall, time) };
        while let Some(next) = self.homes.next_deadline().filter(|&next| next <= end.moment) {
            let step = next.since(self.now.moment);
            self.now = Now { moment: self.now.moment + step, wall: wall(self.now.wall, step) };
            self.turn();
        }
        self.now = end;
        self.turn();
    }

    pub(super) fn pass_ms(&mut self, millis: u64) {
        self.pass(Duration::from_millis(millis));
    }

    /// Time passes, and nobody looks at the wheel.
    pub(super) fn pass_unseen(&mut self, time: Duration) {
        self.now = Now { moment: self.now.moment + time, wall: wall(self.now.wall, time) };
    }

    pub(super) fn turn(&mut self) {
        self.act(|homes, now, out| homes.turn(now, out));
    }

    /// Takes what was said.
    pub(super) fn hush(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// The slugs of events, the channels of snapshots and what else was said, each in a word.
    pub(super) fn words(&mut self) -> Vec<String> {
        self.hush().iter().map(word).collect()
    }

    /// Whether nothing is left of all that was.
    pub(super) fn is_empty(&self) -> bool {
        let homes = &self.homes;
        homes.population() == (0, 0) && homes.timers() == 0 && homes.waiting() == 0 && homes.writing() == 0
    }

    /// Time passes until everything idle is forgotten.
    pub(super) fn rest(&mut self) {
        self.settle();
        self.pass(Settings::default().idle + Duration::from_secs(1));
    }

    pub(super) fn quiz(&mut self) -> Arc<Quiz> {
        Arc::new(self.shelf.quizzes[&QUIZ].quiz.clone())
    }
}

pub(super) fn wall(at: UnixMicros, time: Duration) -> UnixMicros {
    UnixMicros(at.0 + time.as_micros() as i64)
}

fn word(said: &Said) -> String {
    match said {
        Said::Published(_, Channel::Quiz, event) => event["t"].as_str().unwrap_or("?").into(),
        Said::Published(_, channel, _) => format!("snapshot {}", channel.name()),
        Said::Delivered(conn, event) => format!("{} to {}", event["t"].as_str().unwrap_or("snapshot"), conn.slot),
        Said::Told(conn, FromQuiz::Over) => format!("over to {}", conn.slot),
        Said::Told(conn, FromQuiz::Admitted) => format!("admitted {}", conn.slot),
        Said::Told(conn, FromQuiz::Refused { unknown }) => {
            format!("{} {}", if *unknown { "unknown" } else { "unavailable" }, conn.slot)
        }
        Said::Told(conn, FromQuiz::Watched { verdict, .. }) => format!("{verdict:?} {}", conn.slot),
        Said::Replied(number, Reply::Refused(refused)) => format!("{number}: {refused:?}"),
        Said::Replied(number, reply) => {
            let name = format!("{reply:?}");
            format!("{number}: {}", name.split(['(', ' ']).next().unwrap_or_default())
        }
        Said::KeyChanged(number, _) => format!("{number}: key changed"),
    }
}
