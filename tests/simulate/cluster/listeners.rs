//! Owners and participants of quizzes: they come to any node, listen, and go.

use super::{store::Peer, world::Cluster};
use crate::{
    clients::{head, masked, token},
    labs::socket::Heard,
    quiz::{book::Row, book::read_rows, clients::session_key},
    world::note,
};
use homeroom::{
    engine::Listener,
    protocols::quiz::{AttemptId, Channel, QuizId},
    realtime::ConnId,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// One channel that is listened to.
#[derive(Debug, Default)]
struct Watching {
    /// All events from here on are for it.
    next: usize,
    heard_any: bool,
    rows: Option<Vec<Row>>,
}

/// One socket and what was heard on it.
#[derive(Debug)]
pub(crate) struct Listening {
    /// None: an owner.
    attempt: Option<(QuizId, AttemptId)>,
    watching: BTreeMap<(QuizId, Channel), Watching>,
    is_in: bool,
    pub(crate) is_over: bool,
    /// It was told the end of its attempt.
    told_end: bool,
    /// A home that told it something may have died: what that had not told everybody nobody tells.
    pub(crate) is_blurred: bool,
    /// How many channels it asked for, and was told of.
    asked: usize,
    answered: usize,
}

fn name_of((quiz, channel): (QuizId, Channel)) -> String {
    let kind = match channel {
        Channel::Quiz => "quiz",
        Channel::Attempts => "attempts",
        Channel::Leaderboard => "leaderboard",
    };
    format!("{kind}:{quiz}")
}

impl Listening {
    /// Whether it listens to one of these quizzes, as far as that is known.
    pub(crate) fn may_hear_of(&self, is_among: impl Fn(QuizId) -> bool) -> bool {
        let mut quizzes = self.watching.keys().map(|(quiz, _)| *quiz).chain(self.attempt.map(|(quiz, _)| quiz));
        self.answered < self.asked || quizzes.any(is_among)
    }
}

impl Cluster {
    /// An owner comes and subscribes to some channels, or the participant of an attempt comes.
    pub(crate) fn listener_comes(&mut self) {
        let open: Vec<_> = self.all_shards().into_iter().filter(|(peer, shard)| self.serves(*peer, *shard)).collect();
        if open.is_empty() || self.school.all.is_empty() {
            return;
        }
        let (peer, shard) = *self.dice.pick(&open);
        let attempt = if self.dice.percent(50) { self.some_attempt() } else { None };
        let (said, asked) = match attempt {
            Some((quiz, attempt)) => (head(&format!("/ws?session={}", session_key().token(quiz.0, attempt)), true), 0),
            None => self.words_of_an_owner(),
        };
        let now = self.now;
        let Some(conn) = self.feed(peer, shard).and_then(|engine| engine.accepted(Listener(1), now)) else { return };
        note!(self, "{peer:?} {conn:?} comes to {attempt:?}");
        let listening = Listening {
            attempt,
            watching: BTreeMap::new(),
            is_in: false,
            is_over: false,
            told_end: false,
            is_blurred: false,
            asked,
            answered: 0,
        };
        self.school.listening.insert((peer, conn), listening);
        if let Some(engine) = self.feed(peer, shard) {
            engine.received(conn, &said, now);
        }
    }

    fn words_of_an_owner(&mut self) -> (Vec<u8>, usize) {
        let subject = self.dice.below(2);
        let own = self.school.all.iter().filter(|quiz| quiz.owner == format!("school/u{subject}"));
        let all = own.flat_map(|quiz| [Channel::Quiz, Channel::Attempts, Channel::Leaderboard].map(|channel| (quiz.id, channel)));
        let all: Vec<_> = all.collect();
        let chosen: Vec<String> = all.into_iter().filter(|_| self.dice.percent(60)).map(name_of).collect();
        let text = serde_json::json!({"action": "subscribe", "subscriptions": chosen}).to_string();
        let head = head(&format!("/ws?token={}", token("school", subject)), true);
        if chosen.is_empty() {
            return (head, 0);
        }
        ([head, masked(&mut self.dice, 0x81, text.as_bytes())].concat(), chosen.len())
    }

    /// Somebody who listens goes.
    pub(crate) fn a_listener_goes(&mut self) {
        let there: Vec<_> = self.school.listening.iter().filter(|(_, own)| !own.is_over).map(|(key, _)| *key).collect();
        if !there.is_empty() {
            let key = *self.dice.pick(&there);
            self.listener_goes(key);
        }
    }

    pub(crate) fn listener_goes(&mut self, (peer, conn): (Peer, ConnId)) {
        note!(self, "{peer:?} {conn:?} goes");
        if let Some(own) = self.school.listening.get_mut(&(peer, conn)) {
            own.is_over = true;
        }
        let now = self.now;
        if let Some(engine) = self.feed(peer, conn.shard) {
            engine.ended(conn, now);
        }
    }

    /// A socket of the quizzes was handed a frame.
    pub(crate) fn listener_hears(&mut self, key: (Peer, ConnId), frame: &Heard) {
        let is_member = self.store.is_member(key.0);
        let Some(own) = self.school.listening.get_mut(&key) else { return };
        match frame {
            Heard::Http(101) => own.is_in = true,
            // Its attempt is over, or its home cannot be asked, or the node has just come and does not know the keys yet.
            Heard::Http(status @ (401 | 503)) => {
                assert!(own.attempt.is_some() || *status == 503, "an owner is refused with {status}");
                own.is_over = true;
            }
            Heard::Close(_) => own.is_over = true,
            // Of one that is a node no more nobody believes anything.
            Heard::Text(text) if is_member && !own.is_over => {
                let said = self.listener_is_told(key, text);
                said.unwrap_or_else(|fault| panic!("{key:?} hears {text}: {fault}: {:?}", self.school.listening[&key]));
            }
            Heard::Text(_) | Heard::Ping => {}
            Heard::Http(_) | Heard::Binary(_) => panic!("{key:?} hears {frame:?}"),
        }
    }

    fn listener_is_told(&mut self, key: (Peer, ConnId), message: &Value) -> Result<(), String> {
        let school = &mut self.school;
        let own = school.listening.get_mut(&key).ok_or("nobody")?;
        match message["event"].as_str().unwrap_or_default() {
            "subscribed" if own.attempt.is_some() => Ok(()),
            "subscribed" => {
                for name in message["subscriptions"].as_array().ok_or("no list")? {
                    let known = school.all.iter().flat_map(|quiz| {
                        [Channel::Quiz, Channel::Attempts, Channel::Leaderboard].map(|channel| (quiz.id, channel))
                    });
                    let channel = known.into_iter().find(|channel| *name == name_of(*channel)).ok_or("no such channel")?;
                    let next = school.events.get(&channel.0).map_or(0, Vec::len);
                    own.watching.insert(channel, Watching { next, ..Watching::default() });
                    own.answered += 1;
                }
                Ok(())
            }
            // The store is away.
            "error" => {
                own.answered += 1;
                Ok(())
            }
            "snapshot" => own.is_shown(message),
            "update" if message["channel"] == "notification" => {
                let (_, attempt) = own.attempt.ok_or("it takes no quiz")?;
                if std::mem::replace(&mut own.told_end, true) {
                    return Err("it was told before".into());
                }
                let farewell = school.disk.attempts.get(&attempt).and_then(|attempt| attempt.farewell());
                if farewell.as_ref() == Some(&message["data"]) { Ok(()) } else { Err("its attempt did not end so".into()) }
            }
            "update" => {
                let quiz = QuizId(message["data"]["quiz_id"].as_i64().ok_or("no quiz")?);
                own.hears(message, quiz, school.events.get(&quiz).map_or(&[], |log| log))?;
                self.count("events heard");
                Ok(())
            }
            _ => Err("no such event".into()),
        }
    }

    /// All is at rest: everybody has heard what he must.
    pub(crate) fn check_listening(&self) {
        for (key, own) in self.school.listening.iter().filter(|(_, own)| !own.is_over) {
            assert!(own.is_in, "{key:?} waits for ever: {own:?}");
            assert_eq!(own.answered, own.asked, "{key:?} was not answered: {own:?}");
            if let Some((_, attempt)) = own.attempt {
                // Who was told that is closed a little later.
                let is_told = own.told_end || self.school.disk.attempts[&attempt].is_running();
                assert!(is_told, "{key:?}: its attempt is over: {own:?}");
            }
            for ((quiz, channel), watching) in &own.watching {
                let missed = self.school.events.get(quiz).and_then(|log| log.get(watching.next));
                let rows = |rows: Vec<Row>| {
                    let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
                    rows.sort();
                    rows
                };
                match channel {
                    Channel::Quiz => assert!(own.is_blurred || missed.is_none(), "{key:?} never heard {missed:?}: {own:?}"),
                    Channel::Attempts | Channel::Leaderboard => {
                        let (shown, is) = (watching.rows.clone().unwrap_or_default(), self.school.disk.rows(*quiz, *channel));
                        assert_eq!(rows(shown), rows(is), "{channel:?} of {quiz} for {key:?}");
                    }
                }
            }
        }
    }
}

impl Listening {
    fn hears(&mut self, message: &Value, quiz: QuizId, log: &[crate::quiz::book::Event]) -> Result<(), String> {
        let (kind, data) = (message["t"].as_str().unwrap_or_default(), &message["data"]);
        let id = match kind {
            "attempt_update" => &data["answer_id"],
            "attempt_flagged" => &data["labels"][0],
            _ => &data["attempt_id"],
        };
        let name = format!("{kind} {}", id.as_str().unwrap_or_default());
        let place = log.iter().rposition(|event| event.name == name && event.data == *data).ok_or("that never happened")?;
        let watching = self.watching.get_mut(&(quiz, Channel::Quiz)).ok_or("it does not listen to that")?;
        if watching.heard_any && place < watching.next {
            return Err("it comes twice, or out of order".into());
        }
        if place > watching.next && !self.is_blurred {
            return Err(format!("{} was missed", log[watching.next].name));
        }
        (watching.next, watching.heard_any) = (place + 1, true);
        Ok(())
    }

    fn is_shown(&mut self, message: &Value) -> Result<(), String> {
        let list = if message["channel"] == "attempts" { Channel::Attempts } else { Channel::Leaderboard };
        let (quiz, rows) = read_rows(&message["snapshot"], list)?;
        if let Some(quiz) = quiz {
            self.watching.get_mut(&(quiz, list)).ok_or("it does not listen to that")?.rows = Some(rows);
        }
        Ok(())
    }
}
