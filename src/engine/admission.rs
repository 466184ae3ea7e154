//! Quiz, before the upgrade: who comes with which credential, and how the others are refused.
//!
//! Owners are admitted at once. A participant's attempt is known at the quiz's home: until its word has come what was read waits, bounded by
//! the handshake's time and by what a head and one message may have.

use super::{Connection, Engine, Letter, Phase};
use crate::{
    protocols::quiz::{
        AttemptId, OwnerId, QuizId, ToQuiz,
        admission::{self, Credential, Denial},
    },
    realtime::{ConnId, Now, table::Key},
    websocket::upgrade::{self, Body, HEAD_BYTES, Head},
};

/// A participant whose admission the home has not yet decided.
#[derive(Debug)]
pub(super) struct Admitting {
    quiz: QuizId,
    attempt: AttemptId,
    /// All that was read: the head, and what is behind it.
    read: Vec<u8>,
}

/// Whom a good credential belongs to.
enum Bearer {
    Owner(OwnerId),
    Participant(QuizId, AttemptId),
}

impl Engine {
    /// Somebody asks for the quiz's socket, in a complete head with this query: with an upgrade, or without one, who then hears as much
    /// only when the credential is good.
    pub(super) fn admit(&mut self, key: Key, read: &[u8], query: Option<&str>, now: Now) {
        match self.bearer(query, now) {
            Ok(Bearer::Owner(owner)) => {
                if let Some(length) = self.upgrade(key, read, now) {
                    self.open_owner(key, owner, now);
                    self.read_messages(key, &read[length..], now);
                }
            }
            Ok(Bearer::Participant(quiz, attempt)) => {
                let conn = self.conn_id(key);
                let Some(connection) = self.connections.at_mut(key) else { return };
                connection.phase = Phase::Admitting(Box::new(Admitting { quiz, attempt, read: read.to_vec() }));
                self.post(self.home_of_quiz(quiz), Letter::QuizHome(ToQuiz::Admit { conn, quiz, attempt }));
            }
            Err(denial) => self.deny(key, denial, now),
        }
    }

    /// More bytes of one who waits to be admitted.
    pub(super) fn read_behind_head(&mut self, key: Key, bytes: &[u8], now: Now) {
        let bound = HEAD_BYTES + self.limits.websocket.message;
        let Some(Connection { phase: Phase::Admitting(waiting), .. }) = self.connections.at_mut(key) else { return };
        if waiting.read.len() + bytes.len() > bound {
            return self.cut(key, now);
        }
        waiting.read.extend_from_slice(bytes);
    }

    /// The home has admitted one. Whether somebody is there to make use of it; if not, the home must hear so.
    pub(super) fn admitted(&mut self, key: Key, now: Now) -> bool {
        let Some(Connection { phase, .. }) = self.connections.at_mut(key) else { return false };
        let Phase::Admitting(waiting) = phase else { return false };
        let (quiz, attempt, read) = (waiting.quiz, waiting.attempt, std::mem::take(&mut waiting.read));
        let Some(length) = self.upgrade(key, &read, now) else { return false };
        self.open_participant(key, quiz, attempt, now);
        self.read_messages(key, &read[length..], now);
        true
    }

    /// Refuses one who has not been upgraded.
    pub(super) fn deny(&mut self, key: Key, denial: Denial, now: Now) {
        let place = Denial::ALL.iter().position(|own| *own == denial);
        if let Some(count) = place.and_then(|place| self.counters.quiz_denials.get(place)) {
            count.one();
        }
        let mut answer = Vec::new();
        upgrade::refuse(denial.status(), Body::Json(&denial.body()), &mut answer);
        self.send_wire(key, answer);
        self.part(key, false, now);
    }

    fn bearer(&self, query: Option<&str>, now: Now) -> Result<Bearer, Denial> {
        match admission::credential(query)? {
            Credential::Token(token) => {
                admission::owner(&token, &self.rules.quiz_authority, &self.keys, now.wall).map(Bearer::Owner)
            }
            Credential::Session(token) => {
                admission::session(&token, &self.rules.quiz_session).map(|(quiz, attempt)| Bearer::Participant(quiz, attempt))
            }
        }
    }

    /// Answers the upgrade that a head asks for: how long the head is. One that asks for none is told so.
    fn upgrade(&mut self, key: Key, read: &[u8], now: Now) -> Option<usize> {
        if let Head::Upgrade(request) = upgrade::read(read, HEAD_BYTES) {
            self.accept_upgrade(key, &request);
            return Some(request.length);
        }
        let mut answer = Vec::new();
        let text = r#"{"error":"Upgrade required","message":"Upgrade required"}"#;
        upgrade::refuse(426, Body::Json(text), &mut answer);
        self.send_wire(key, answer);
        self.part(key, false, now);
        None
    }

    /// Tells the home that one whom it has admitted is not there any more.
    pub(super) fn admitted_nobody(&mut self, conn: ConnId, quiz: QuizId, attempt: AttemptId) {
        self.post(self.home_of_quiz(quiz), Letter::QuizHome(ToQuiz::Part { conn, quiz, attempt }));
    }
}
