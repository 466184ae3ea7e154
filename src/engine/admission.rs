//! Quiz, before the upgrade: who comes with which credential, and how the others are refused.
//!
//! Owners are admitted at once. A participant's attempt is known at the quiz's home: until its word has come, what was read waits, bounded
//! by the time of the handshake and by what a head and one message may have.

use super::{
    Connection, Engine, Phase, audit,
    connection::{Opening, Unread},
    door::Bound,
};
use crate::{
    protocols::quiz::{
        AttemptId, FromQuiz, OwnerId, QuizId, ToQuiz,
        admission::{self, Credential, Denial},
    },
    realtime::{ConnId, Now, table::Key},
    websocket::upgrade::{self, Body},
};
use std::{collections::HashMap, mem};

/// A participant whose admission the home has not yet decided.
#[derive(Debug)]
pub(super) struct Admitting {
    who: (QuizId, AttemptId),
    /// All that was read: the head, and what is behind it.
    read: Unread,
}

/// Those who left before their admission was decided: when they are admitted all the same, the home must hear that they have parted. At
/// most as many as the homes owe an answer.
#[derive(Default)]
pub(super) struct Strays(HashMap<ConnId, (QuizId, AttemptId)>);

impl Admitting {
    /// Of which quiz.
    pub(super) fn quiz(&self) -> QuizId {
        self.who.0
    }

    /// The same question, to a new home.
    pub(super) fn again(&self, conn: ConnId, has_moved: &dyn Fn(QuizId) -> bool) -> Option<ToQuiz> {
        let (quiz, attempt) = self.who;
        has_moved(quiz).then_some(ToQuiz::Admit { conn, quiz, attempt })
    }
}

impl Strays {
    /// The homes of these quizzes will not answer.
    pub(super) fn forget(&mut self, is_among: &dyn Fn(QuizId) -> bool) {
        self.0.retain(|_, (quiz, _)| !is_among(*quiz));
    }

    /// The home's word to one of them, and what it is owed for that.
    pub(super) fn decided(&mut self, letter: &FromQuiz, conn: ConnId) -> Option<ToQuiz> {
        match letter {
            FromQuiz::Admitted => self.0.remove(&conn).map(|(quiz, attempt)| ToQuiz::Part { conn, quiz, attempt }),
            FromQuiz::Refused { .. } => {
                self.0.remove(&conn);
                None
            }
            FromQuiz::Watched { .. } | FromQuiz::Over => None,
        }
    }
}

/// Whom a good credential belongs to.
enum Bearer {
    Owner(OwnerId),
    Participant(QuizId, AttemptId),
}

impl Engine {
    /// Somebody asks for the quiz's socket, in a complete head with this query: with an upgrade, or without one, and is told of that only
    /// when the credential is good.
    pub(super) fn admit(&mut self, key: Key, read: &[u8], query: Option<&str>, now: Now) {
        match self.bearer(query, now) {
            Ok(Bearer::Owner(owner)) if !self.claim(key, &("quiz", &owner)) => {
                self.note_refusal(key, "quiz", Some(owner.to_string()), audit::of_door(Bound::UserConnections), now);
                let text = Bound::UserConnections.text();
                self.refuse(key, 429, &format!(r#"{{"error":"{text}","message":"{text}"}}"#), now);
            }
            Ok(Bearer::Owner(owner)) => match upgrade::read_before(read) {
                Some(request) => {
                    self.accept_upgrade(key, &request, None);
                    self.open_owner(key, owner, now);
                    self.note_sign_in(key, "quiz", None, now);
                    self.read_messages(key, &read[request.length..], now);
                }
                None => self.demand_upgrade(key, now),
            },
            Ok(Bearer::Participant(quiz, attempt)) => {
                let conn = self.conn_id(key);
                let Some(connection) = self.connections.at_mut(key) else { return };
                connection.phase = Phase::Admitting(Box::new(Admitting { who: (quiz, attempt), read: read.into() }));
                self.post_to_quiz(ToQuiz::Admit { conn, quiz, attempt });
            }
            Err(denial) => self.deny(key, denial, now),
        }
    }

    /// More bytes of one who waits to be admitted.
    pub(super) fn read_behind_head(&mut self, key: Key, bytes: &[u8], now: Now) {
        let bound = self.limits.door.head.bytes + self.limits.websocket.message;
        let Some(Connection { phase: Phase::Admitting(waiting), .. }) = self.connections.at_mut(key) else { return };
        if waiting.read.len() + bytes.len() > bound {
            return self.cut(key, now);
        }
        waiting.read.extend_from_slice(bytes);
    }

    /// The home's word to one who waits to be admitted.
    pub(super) fn admission_decided(&mut self, key: Key, letter: &FromQuiz, now: Now) {
        let denial = match letter {
            FromQuiz::Admitted => None,
            FromQuiz::Refused { unknown: false } => Some(Denial::Unavailable),
            FromQuiz::Refused { unknown: true } | FromQuiz::Over => Some(Denial::Session),
            FromQuiz::Watched { .. } => return,
        };
        let Some(Connection { phase, .. }) = self.connections.at_mut(key) else { return };
        let Phase::Admitting(waiting) = mem::replace(phase, Phase::Head(Opening::default())) else { return };
        let Admitting { who: (quiz, attempt), read } = *waiting;
        match (denial, upgrade::read_before(&read)) {
            (Some(denial), _) => self.deny(key, denial, now),
            (None, Some(request)) => {
                self.accept_upgrade(key, &request, None);
                self.open_participant(key, (quiz, attempt), now);
                self.note_sign_in(key, "quiz", Some(quiz.to_string()), now);
                self.read_messages(key, &read[request.length..], now);
            }
            (None, None) => {
                let conn = self.conn_id(key);
                self.post_to_quiz(ToQuiz::Part { conn, quiz, attempt });
                self.demand_upgrade(key, now);
            }
        }
    }

    /// One who waits to be admitted is gone.
    pub(super) fn strays(&mut self, key: Key) {
        let conn = self.conn_id(key);
        if let Some(Connection { phase: Phase::Admitting(waiting), .. }) = self.connections.at(key) {
            self.strays.0.insert(conn, waiting.who);
        }
    }

    /// Refuses one who has not been upgraded.
    pub(super) fn deny(&mut self, key: Key, denial: Denial, now: Now) {
        let place = Denial::ALL.iter().position(|own| *own == denial);
        if let Some(count) = place.and_then(|place| self.counters.quiz_denials.get(place)) {
            count.one();
        }
        if let Some(reason) = audit::of_quiz(denial) {
            self.note_refusal(key, "quiz", None, reason, now);
        }
        self.refuse(key, denial.status(), &denial.body(), now);
    }

    /// Whoever holds a good credential and asks for no WebSocket.
    fn demand_upgrade(&mut self, key: Key, now: Now) {
        self.refuse(key, 426, admission::UPGRADE_WANTED, now);
    }

    fn refuse(&mut self, key: Key, status: u16, json: &str, now: Now) {
        let mut answer = Vec::new();
        upgrade::refuse(status, Body::Json(json), &mut answer);
        self.send_wire(key, answer);
        self.part(key, false, now);
    }

    fn bearer(&self, query: Option<&str>, now: Now) -> Result<Bearer, Denial> {
        match admission::credential(query)? {
            Credential::Token(_) if !self.knows_keys() => Err(Denial::Unavailable),
            Credential::Token(token) => {
                admission::owner(&token, &self.rules.quiz_authority, &self.keys, now.wall).map(Bearer::Owner)
            }
            Credential::Session(token) => {
                admission::session(&token, &self.rules.quiz_session).map(|(quiz, attempt)| Bearer::Participant(quiz, attempt))
            }
        }
    }
}
