//! A socket whose session changes its home: what it has heard, what it said in vain, and what the next home must know.

use super::{
    super::{
        letters::{Heard, Mark, ToSession, said_bytes},
        model::SessionId,
    },
    Connection, Effect, Farewell, Member, Spoken, State,
};
use crate::realtime::ConnId;

impl Spoken {
    pub(in super::super) fn bytes(&self) -> usize {
        said_bytes(&self.content, &self.attachments)
    }

    pub(super) fn letter(&self, conn: ConnId, session: SessionId) -> Effect {
        let Spoken { ids, content, attachments } = self;
        Effect::Home(ToSession::Say { conn, session, ids: *ids, content: content.clone(), attachments: attachments.clone() })
    }
}

impl Connection {
    /// The session that its path names; none: it is no session's id.
    pub fn session(&self) -> Option<SessionId> {
        self.named
    }

    /// What the next frame is that is delivered to it with all others.
    pub(super) fn hears(&mut self, mark: Mark) {
        match mark {
            Mark::Begins(answer) => {
                self.heard = Heard { last: Some(answer), is_open: true };
                self.said.retain(|spoken| spoken.ids[1] != answer);
            }
            Mark::Ends => self.heard.is_open = false,
        }
    }

    /// Another home is asked; nothing of the former one is heard any more.
    pub(super) fn move_on(&mut self, member: &Member, conn: ConnId, out: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.is_moving, true) {
            out.push(Effect::Unlisten);
        }
        out.push(join(member, conn, Some(self.heard)));
    }

    /// Whoever was asked says who is to be asked.
    pub(super) fn ask_again(&mut self, state: &State, conn: ConnId, out: &mut Vec<Effect>) {
        match state {
            State::Joining(member) => out.push(join(member, conn, None)),
            State::Joined(member) if self.is_moving => out.push(join(member, conn, Some(self.heard))),
            State::Joined(_) | State::Stranger | State::Ending { .. } | State::Over => {}
        }
    }

    /// Words between it and the home were lost, with the home's node or without. Where both live, nobody can say whether the home has what
    /// was said last, nor whether all was heard of an answer that is being given.
    pub(super) fn on_break(&mut self, has_died: bool, conn: ConnId, out: &mut Vec<Effect>) {
        match self.state.clone() {
            State::Joining(member) => out.push(join(&member, conn, None)),
            State::Joined(_) if !has_died && !self.is_moving && (self.heard.is_open || !self.said.is_empty()) => {
                self.end(Farewell::Missed, out);
            }
            State::Joined(member) => self.move_on(&member, conn, out),
            State::Stranger | State::Ending { .. } | State::Over => {}
        }
    }
}

fn join(Member { session, caller }: &Member, conn: ConnId, heard: Option<Heard>) -> Effect {
    Effect::Home(ToSession::Join { conn, session: *session, caller: caller.clone(), heard })
}
