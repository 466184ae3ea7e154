//! The sessions that have their home on this shard, and what they want done.

use super::super::{Engine, Letter, Question, Since, Topic, models::Client};
use crate::{
    protocols::chat::{Homes, Outcome, SessionId, ToSession, Told, record::Load},
    realtime::{Frame, Now, ShardId, UnixMicros},
};
use std::mem;

/// Approvals that were decided so long ago are forgotten: who asks again is told that there is none.
const DECIDED_MICROS: i64 = 60 * 60 * 1_000_000;

impl Engine {
    /// To the home of a session by the view.
    pub(super) fn post_to_session(&mut self, letter: ToSession) {
        self.post(self.home_of_session(letter.session()), Letter::ChatHome(letter));
    }

    pub(super) fn home_of_session(&self, session: SessionId) -> ShardId {
        self.ring.home(session.as_bytes())
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
                let (topic, since) = (Topic::Session(session, self.id), Since::of(self.turn));
                for (shard, members) in shards {
                    self.post(shard, Letter::Publish { topic, frame: Frame::clone(&frame), members, since });
                }
            }
            Outcome::Mark { session, mark, shards } => {
                shards.iter().for_each(|(shard, _)| self.post(*shard, Letter::ChatMark { session, mark }));
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
            Outcome::Hold(session) => self.post_to_session(ToSession::Held { session, by: self.id }),
            Outcome::LetGo(gone) => self.session_goes(*gone),
            Outcome::Pass(letter) => self.pass_session(*letter),
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
