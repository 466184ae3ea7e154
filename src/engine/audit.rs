//! What a shard tells the audit log: who was let in by a socket, and who was not.

use super::{
    Engine, SocketApi,
    door::{Address, Bound},
};
use crate::{
    protocols::{presence::SessionError, quiz},
    realtime::{
        Now,
        audit::{Outcome, Record},
        table::Key,
    },
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// What waits to be written, and where connections come from. Empty where nothing is written.
#[derive(Default)]
pub(super) struct Audit {
    records: Vec<Record>,
    /// By slot.
    from: HashMap<u32, Address, FixedState>,
}

impl Engine {
    /// What happened since this was last taken. To be taken once a turn.
    pub fn audit(&mut self) -> &mut Vec<Record> {
        &mut self.audit.records
    }

    /// Remembers where a connection comes from, where that will be told.
    pub(super) fn note_address(&mut self, key: Key, from: Address) {
        if self.limits.audit && from != Address::UNKNOWN {
            self.audit.from.insert(key.slot, from);
        }
    }

    pub(super) fn forget_address(&mut self, key: Key) {
        if !self.audit.from.is_empty() {
            self.audit.from.remove(&key.slot);
        }
    }

    /// Somebody is in, by a socket.
    pub(super) fn note_sign_in(&mut self, key: Key, on: &'static str, target: Option<String>, now: Now) {
        self.sign_ins.done(key.slot, now);
        if self.limits.audit {
            let who = self.connections.at(key).and_then(|connection| connection.user_name());
            self.write(key, ("sign_in", on), (who, target), (Outcome::Done, None), now);
        }
    }

    /// The same, of one who may have gone again already.
    pub(super) fn note_sign_in_of(&mut self, key: Key, on: &'static str, who: String, now: Now) {
        self.sign_ins.done(key.slot, now);
        if self.limits.audit {
            self.write(key, ("sign_in", on), (Some(who), None), (Outcome::Done, None), now);
        }
    }

    /// Somebody is not let in.
    pub(super) fn note_refusal(&mut self, key: Key, on: &'static str, who: Option<String>, reason: &'static str, now: Now) {
        self.sign_ins.refused(key.slot, reason, now);
        if self.limits.audit {
            self.write(key, ("refusal", on), (who, None), (Outcome::Refused, Some(reason)), now);
        }
    }

    fn write(
        &mut self,
        key: Key,
        (what, on): (&'static str, &'static str),
        (who, target): (Option<String>, Option<String>),
        (outcome, reason): (Outcome, Option<&'static str>),
        now: Now,
    ) {
        let from = self.audit.from.get(&key.slot).map_or(0, |address| address.bits());
        self.audit.records.push(Record {
            at: now.wall,
            what,
            who: who.map(String::into_boxed_str),
            target: target.map(String::into_boxed_str),
            from,
            on,
            outcome,
            reason: reason.map(Into::into),
        });
    }
}

/// Why presence lets somebody not in; none: he was in, or it is no fault of his.
pub(super) fn of_presence(error: SessionError) -> Option<&'static str> {
    match error {
        SessionError::UnsupportedRequest
        | SessionError::Unauthenticated
        | SessionError::AccessDenied
        | SessionError::SerializationFailed
        | SessionError::AuthTimedOut => Some(error.wire().0),
        SessionError::DatabaseConnectionAcquisitionFailed
        | SessionError::DatabaseQueryFailed
        | SessionError::MessagingFailed
        | SessionError::CloseOldConnectionFailed
        | SessionError::PongTimedOut
        | SessionError::Replaced => None,
    }
}

/// Why quizzes let somebody not in; none: it is no fault of his.
pub(super) fn of_quiz(denial: quiz::Denial) -> Option<&'static str> {
    match denial {
        quiz::Denial::Query => Some("query"),
        quiz::Denial::ExactlyOne => Some("exactly_one"),
        quiz::Denial::Credential => Some("credential"),
        quiz::Denial::Role => Some("role"),
        quiz::Denial::Session => Some("session"),
        quiz::Denial::Unavailable => None,
    }
}

/// What a limit of the door is called.
pub(super) fn of_door(bound: Bound) -> &'static str {
    bound.label()
}

/// The API of a socket.
pub(super) fn api(api: SocketApi) -> &'static str {
    match api {
        SocketApi::Presence => "presence",
        SocketApi::Quiz => "quiz",
        SocketApi::Agent | SocketApi::FieldAgent | SocketApi::Viewer | SocketApi::Follower => "labs",
        SocketApi::Chat => "chat",
        SocketApi::Tasks => "tasks",
        SocketApi::Echo => "echo",
    }
}
