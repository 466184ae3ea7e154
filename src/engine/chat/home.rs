//! The sessions that have their home on this shard, and what they want done.

use super::super::{Engine, Letter, Question, Topic, models::Client};
use crate::{
    protocols::chat::{FromSession, Homes, Outcome, SessionId, ToSession, Told, record::Load},
    realtime::{ConnId, Frame, Now, ShardId, UnixMicros},
};
use std::{collections::HashMap, mem};

/// Approvals that were decided so long ago are forgotten: who asks again is told that there is none.
const DECIDED_MICROS: i64 = 60 * 60 * 1_000_000;

/// Sockets that left before the home had said whether they may join. At most as many as the homes owe an answer.
#[derive(Default)]
pub(super) struct Strays(HashMap<ConnId, SessionId>);

impl Strays {
    pub(super) fn leave(&mut self, conn: ConnId, session: SessionId) {
        self.0.insert(conn, session);
    }

    /// The home's word to one of them, and what it is owed for that.
    pub(super) fn decided(&mut self, letter: &FromSession, conn: ConnId) -> Option<ToSession> {
        match letter {
            FromSession::Joined => self.0.remove(&conn).map(|session| ToSession::Part { conn, session }),
            FromSession::Refused { .. } => {
                self.0.remove(&conn);
                None
            }
            FromSession::NotTaken(_) | FromSession::Over => None,
        }
    }
}

impl Engine {
    pub(in crate::engine) fn post_to_session(&mut self, letter: ToSession) {
        let session = match &letter {
            ToSession::Join { session, .. }
            | ToSession::Part { session, .. }
            | ToSession::Say { session, .. }
            | ToSession::Cancel { session, .. } => *session,
            ToSession::Ask { ask, .. } => ask.session(),
        };
        self.post(self.home_of_session(session), Letter::ChatHome(letter));
    }

    fn home_of_session(&self, session: SessionId) -> ShardId {
        self.own_ring.home(session.as_bytes())
    }

    /// Lets the homes of sessions act, and does what they want done.
    pub(in crate::engine) fn with_sessions(&mut self, now: Now, act: impl FnOnce(&mut Homes, &mut Vec<Outcome>)) {
        let mut outcomes = mem::take(&mut self.chat.outcomes);
        act(&mut self.chat.homes, &mut outcomes);
        for outcome in outcomes.drain(..) {
            self.session_wants(outcome, now);
        }
        self.chat.outcomes = outcomes;
    }

    fn session_wants(&mut self, outcome: Outcome, now: Now) {
        match outcome {
            Outcome::Tell(conn, letter) => self.post(conn.shard, Letter::ChatConnection(conn, letter)),
            Outcome::Publish { session, frame, shards } => {
                for (shard, members) in shards {
                    self.post(shard, Letter::Publish { topic: Topic::Session(session), frame: Frame::clone(&frame), members });
                }
            }
            Outcome::Deliver(conn, frame) => self.post(conn.shard, Letter::Deliver(conn, frame)),
            Outcome::Keep { ticket, change } => self.questions.push(Question::KeepChat { ticket, change }),
            Outcome::Load(session) => self.questions.push(Question::LoadSession(self.load(session, now.wall))),
            Outcome::Reply { asker, number, reply } => self.post(asker, Letter::ChatReply { number, reply }),
            Outcome::Told { asker, number, told } => {
                self.counters.chat_ends.add(u64::from(matches!(*told, Told::End { .. })));
                self.post(asker, Letter::ChatTold { number, told });
            }
            Outcome::Model { session, answer, prompt } => self.ask_model(Client::Chat(session, answer), prompt, now),
            Outcome::StopModel { session, answer } => self.stop_model(Client::Chat(session, answer)),
            Outcome::Tool { session, answer, call, tool, arguments } => {
                self.call_tool(Client::Chat(session, answer), call, &tool, arguments);
            }
            Outcome::StopTool { session, answer, call } => self.stop_tool(Client::Chat(session, answer), call),
        }
    }

    fn load(&self, session: SessionId, now: UnixMicros) -> Load {
        let settings = &self.rules.chat;
        Load {
            session,
            messages: settings.context_messages,
            bytes: settings.context_bytes,
            decided_since: UnixMicros(now.0.saturating_sub(DECIDED_MICROS)),
        }
    }
}
