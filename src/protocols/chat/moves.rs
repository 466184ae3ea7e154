//! A session whose home changes, and listeners that are no more: what a home gives up, what it holds until it is over, and what a socket
//! that comes from another home has missed.
//!
//! A home that hears of a view by which a session is elsewhere gives it up at once, unless something goes on in it: then it tells the next
//! home ([`Outcome::Hold`]), begins nothing new, and gives it up when what goes on is over. Whoever listens is told behind all that he was
//! to hear, and joins the next home saying how far he has heard: so that one tells him nothing twice, and knows whether he has missed any.

use super::{
    asks::{Ask, LOST, Refused},
    homes::{Circumstances, Homes, LetGo, Outcome, Timer},
    letters::{FromSession, Heard, ToSession},
    messages::Message as Said,
    model::{Author, Caller, Completeness, Message, MessageId, SessionId},
    room::{self, Room},
    sitting::{From, Job, Said as Spoken, Sitting},
};
use crate::realtime::{ConnId, Now, ShardId};
use std::mem;

/// What became of an answer since a socket came from another home.
enum Since {
    /// It has heard all.
    Nothing,
    /// The answer that it heard begin was broken off, and nobody told it so.
    BrokenOff,
    /// It has missed something.
    More,
}

impl Homes {
    /// Whether the session is here, whatever the view says.
    pub fn holds(&self, session: SessionId) -> bool {
        matches!(self.rooms.get(&session), Some(Room::Here(_)))
    }

    /// Another view: sessions that are at home elsewhere are given up, or held until what goes on in them is over.
    pub fn move_out(&mut self, is_here: impl Fn(SessionId) -> bool, now: Now, out: &mut Vec<Outcome>) {
        let mut all: Vec<SessionId> = self.rooms.keys().copied().collect();
        all.sort_unstable();
        for session in all {
            let is_leaving = !is_here(session);
            match self.rooms.get_mut(&session) {
                Some(Room::Loading { waiting, slow, is_stale, .. }) if is_leaving => {
                    out.extend(mem::take(waiting).into_iter().map(|letter| Outcome::Pass(Box::new(letter))));
                    *is_stale = true;
                    slow.take().and_then(|slow| self.wheel.cancel(slow));
                }
                Some(Room::Here(sitting)) => {
                    (sitting.is_leaving, sitting.is_held) = (is_leaving, sitting.is_held && is_leaving);
                    self.in_sitting(session, now, out, |_, _| {});
                    self.hold_on(session, out);
                }
                Some(Room::Loading { .. }) | None => {}
            }
        }
    }

    /// Tells the homes of those sessions that are still here.
    pub fn hold_again(&mut self, is_theirs: impl Fn(SessionId) -> bool, out: &mut Vec<Outcome>) {
        let mut all: Vec<SessionId> = self.rooms.keys().copied().filter(|session| is_theirs(*session)).collect();
        all.sort_unstable();
        all.into_iter().for_each(|session| self.hold_on(session, out));
    }

    fn hold_on(&mut self, session: SessionId, out: &mut Vec<Outcome>) {
        if let Some(Room::Here(sitting)) = self.rooms.get_mut(&session)
            && sitting.is_leaving
        {
            sitting.is_held = true;
            out.push(Outcome::Hold(session));
        }
    }

    /// These shards, their sockets and their requests are no more, or can no longer be told anything.
    pub fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool, now: Now, out: &mut Vec<Outcome>) {
        let mut all: Vec<SessionId> = self.rooms.keys().copied().collect();
        all.sort_unstable();
        for session in all {
            self.in_room(session, now, out, |room, c| match room {
                Room::Loading { waiting, .. } => waiting.retain(|letter| !is_gone(letter.sender())),
                Room::Here(sitting) => sitting.lose(is_gone, c),
            });
        }
    }

    /// Answers a letter that nothing was done.
    pub fn refuse(letter: ToSession, why: Refused, out: &mut Vec<Outcome>) {
        room::refuse(letter, why, out);
    }

    /// What is asked of a session that came back while it was being read waits as long as if it was asked for only now.
    pub(super) fn wait_anew(&mut self, session: SessionId, now: Now) {
        if let Some(Room::Loading { slow: slow @ None, is_stale: true, is_read: false, .. }) = self.rooms.get_mut(&session) {
            *slow = Some(self.wheel.set(now.moment + self.settings.keep_timeout, Timer::Slow(session)));
        }
    }

    /// Whether what was read of a session is old, and somebody waits for it.
    pub(super) fn is_to_be_read_again(&mut self, session: SessionId) -> bool {
        match self.rooms.get_mut(&session) {
            Some(Room::Loading { waiting, is_stale, .. }) => mem::take(is_stale) && !waiting.is_empty(),
            Some(Room::Here(_)) | None => false,
        }
    }
}

impl Sitting {
    pub(super) fn join(&mut self, conn: ConnId, caller: &Caller, heard: Option<Heard>, c: &mut Circumstances<'_>) {
        if !self.sees(caller) {
            return c.out.push(Outcome::Tell(conn, FromSession::Refused { invalid: true }));
        }
        let since = heard.map_or(Since::Nothing, |heard| self.since(heard));
        match (self.has_ended(c.settings, c.now.wall), heard, &since) {
            (_, _, Since::More) => return c.out.push(Outcome::Tell(conn, FromSession::Missed)),
            (true, None, _) => return c.out.push(Outcome::Tell(conn, FromSession::Refused { invalid: true })),
            (true, Some(_), _) => {
                let error = Said::Error { code: "SESSION_ENDED", message: "the session has ended" };
                c.out.push(Outcome::Deliver(conn, error.frame()));
                return c.out.push(Outcome::Tell(conn, FromSession::Over));
            }
            (false, _, _) => {}
        }
        if self.listeners.insert(conn, caller.id).is_none() {
            match self.shards.iter_mut().find(|(shard, _)| *shard == conn.shard) {
                Some((_, listeners)) => *listeners += 1,
                None => self.shards.push((conn.shard, 1)),
            }
        }
        let running = self.answer.as_ref().filter(|answer| !answer.is_told()).map(|answer| answer.id());
        let heard = Heard { last: running.or(self.last_told()), is_open: running.is_some() };
        c.out.push(Outcome::Tell(conn, FromSession::Joined { session: self.id(), heard }));
        if let (Since::BrokenOff, Some(last)) = (since, self.last_message_told()) {
            let (code, message) = LOST;
            c.out.push(Outcome::Deliver(conn, Said::Error { code, message }.frame()));
            c.out.push(Outcome::Deliver(conn, Said::MessageEnd { usage: last.usage.into() }.frame()));
        }
        if let Some(answer) = &self.answer {
            answer.show_to(conn, &self.approvals, c);
        }
    }

    /// The last answer whose end was told.
    fn last_message_told(&self) -> Option<&Message> {
        let running = self.answer.as_ref().filter(|answer| !answer.is_told()).map(|answer| answer.id());
        let is_told = |message: &&Message| message.author == Author::Assistant && Some(message.id) != running;
        self.history.iter().rev().find(is_told)
    }

    fn last_told(&self) -> Option<MessageId> {
        self.last_message_told().map(|message| message.id)
    }

    fn since(&self, heard: Heard) -> Since {
        let last = self.last_message_told();
        if heard.last != last.map(|last| last.id) {
            return Since::More;
        }
        match last.map(|last| last.completeness) {
            _ if !heard.is_open => Since::Nothing,
            Some(Completeness::Incomplete) => Since::BrokenOff,
            Some(Completeness::Whole | Completeness::Streaming) | None => Since::More,
        }
    }

    /// See [`Homes::lose`].
    fn lose(&mut self, is_gone: &dyn Fn(ShardId) -> bool, c: &mut Circumstances<'_>) {
        self.listeners.retain(|conn, _| !is_gone(conn.shard));
        self.shards.retain(|(shard, _)| !is_gone(*shard));
        let writing = match &self.writing {
            Some((Job::Begin(said), _)) => Some((said.from, said.ids[1])),
            Some(_) | None => None,
        };
        let answering = self.answer.as_ref().map(|answer| (answer.waiter(), answer.id()));
        let waiting = self.waiting.iter().map(|said| (said.from, said.ids[1]));
        let is_lost = |from: From| match from {
            From::Rest { asker: (shard, _), .. } => is_gone(shard),
            From::Conn(_) | From::Nobody | From::Unwanted => false,
        };
        let left: Vec<MessageId> =
            waiting.chain(writing).chain(answering).filter(|(from, _)| is_lost(*from)).map(|(_, answer)| answer).collect();
        left.into_iter().for_each(|answer| self.leave(answer, c));
    }

    /// Nothing goes on here any more. Where the home is elsewhere, it is time to go.
    pub(super) fn let_go(&mut self, c: &mut Circumstances<'_>) {
        if !self.is_leaving {
            return;
        }
        let mut listeners: Vec<ConnId> = self.listeners.keys().copied().collect();
        listeners.sort_unstable();
        let mut gone = LetGo { session: self.id(), was_held: self.is_held, listeners, ..LetGo::default() };
        for Spoken { from, ids, content, attachments } in mem::take(&mut self.waiting) {
            match from {
                From::Rest { asker, .. } => gone.askers.push(asker),
                From::Conn(conn) if self.listeners.contains_key(&conn) => {}
                From::Conn(_) | From::Nobody | From::Unwanted => {
                    // Only the owner speaks, and nothing else of him is asked for.
                    let caller = Caller { id: self.session.owner, email: "".into(), admin: false };
                    let session = self.id();
                    gone.unbegun.push(Ask::Say { session, caller, ids, content, attachments, streamed: false });
                }
            }
        }
        c.out.push(Outcome::LetGo(Box::new(gone)));
    }
}
