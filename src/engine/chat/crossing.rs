//! Sessions from one view of the cluster to the next: where each is while its former home holds it, and whose words go elsewhere.

use super::super::{Connection, Engine, Letter, Phase};
use crate::{
    protocols::chat::{Ask, Event, FromSession, Homes, SessionId, ToSession, asks::Refused, homes::LetGo},
    realtime::{NodeSlot, Now, ShardId, StoreFault},
};
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

/// As many letters wait at most until it is known again what another node holds.
const WAITING: usize = 65_536;

/// A session that is at home here, and is still held elsewhere.
struct Held {
    by: ShardId,
    /// Words between here and there were lost: it may be over.
    is_doubted: bool,
}

/// What is known of sessions that are at home here, and are not here yet.
#[derive(Default)]
pub(super) struct Elsewhere {
    held: BTreeMap<SessionId, Held>,
    /// For those of which it is not known.
    waiting: VecDeque<(ShardId, ToSession)>,
}

impl Engine {
    /// Another view has come: sessions that are elsewhere are given up or held, whoever was on nodes that are gone is forgotten, and who
    /// had his session's home there asks the next.
    pub(in crate::engine) fn sessions_move(&mut self, is_gone: &dyn Fn(NodeSlot) -> bool, now: Now) {
        self.with_sessions(now, |homes, out| homes.lose(&|shard: ShardId| is_gone(shard.node()), now, out));
        let (ring, id) = (self.ring.clone(), self.id);
        let is_here = |session: SessionId| ring.home(session.as_bytes()) == id;
        self.chat.elsewhere.held.retain(|session, held| is_here(*session) && !is_gone(held.by.node()));
        self.with_sessions(now, |homes, out| homes.move_out(is_here, now, out));
        self.break_off(is_gone, true, now);
        for slot in 0..=u8::MAX {
            if is_gone(NodeSlot(slot)) {
                self.lose_chat_asks(NodeSlot(slot));
            }
        }
        let waiting = mem::take(&mut self.chat.elsewhere.waiting);
        let living = waiting.into_iter().filter(|(from, _)| !is_gone(from.node()));
        living.for_each(|(from, letter)| self.session_home_hears(from, letter, now));
    }

    /// What was on its way between this node and another is lost, and both live.
    pub(in crate::engine) fn sessions_are_cut(&mut self, node: NodeSlot, now: Now) {
        self.with_sessions(now, |homes, out| homes.lose(&|shard: ShardId| shard.node() == node, now, out));
        self.chat.elsewhere.held.values_mut().filter(|held| held.by.node() == node).for_each(|held| held.is_doubted = true);
        self.chat.elsewhere.waiting.retain(|(from, _)| from.node() != node);
        let ring = self.ring.clone();
        let is_theirs = |session: SessionId| ring.home(session.as_bytes()).node() == node;
        self.with_sessions(now, |homes, out| homes.hold_again(is_theirs, out));
        self.break_off(&|own: NodeSlot| own == node, false, now);
        self.lose_chat_asks(node);
    }

    /// That shard has said all that it had to say: what it held and has not named again, it holds no more.
    pub(in crate::engine) fn sessions_heard_all(&mut self, from: ShardId, now: Now) {
        self.chat.elsewhere.held.retain(|_, held| !(held.is_doubted && held.by == from));
        self.read_doubted(now);
    }

    fn read_doubted(&mut self, now: Now) {
        for (from, letter) in mem::take(&mut self.chat.elsewhere.waiting) {
            self.session_home_hears(from, letter, now);
        }
    }

    /// Tells the sockets whose home is on one of these nodes, which have died, or cannot have heard all.
    fn break_off(&mut self, is_there: &dyn Fn(NodeSlot) -> bool, have_died: bool, now: Now) {
        for key in self.connections.keys().collect::<Vec<_>>() {
            let Some(Connection { phase: Phase::Chat(seat), .. }) = self.connections.at_mut(key) else { continue };
            if seat.home.is_none_or(|home| !is_there(home.node())) {
                continue;
            }
            if have_died {
                (seat.home, seat.hops) = (None, 0);
            }
            self.chat_event(key, if have_died { Event::HomeDied } else { Event::Cut }, now);
        }
    }

    /// A letter to the home of a session, which may be elsewhere by now, or not be here yet.
    pub(in crate::engine) fn session_home_hears(&mut self, from: ShardId, letter: ToSession, now: Now) {
        if self.crossing.is_alone() {
            return self.with_sessions(now, |homes, out| homes.letter(letter, now, out));
        }
        let session = letter.session();
        match letter {
            ToSession::Held { by, .. } => return self.is_held(session, by),
            ToSession::Free { by, .. } => {
                self.chat.elsewhere.held.retain(|own, held| *own != session || held.by != by);
                return self.read_doubted(now);
            }
            ToSession::Join { .. } | ToSession::Part { .. } | ToSession::Say { .. } => {}
            ToSession::Cancel { .. } | ToSession::Ask { .. } => {}
        }
        if self.chat.homes.holds(session) {
            return self.with_sessions(now, |homes, out| homes.letter(letter, now, out));
        }
        let home = self.home_of_session(session);
        if home != self.id {
            return self.send_on(letter, home);
        }
        if self.has_come(session.as_bytes()) {
            return match self.has_no_room() {
                true => self.refuse_busy(letter, now),
                false => self.wait(from, Letter::ChatHome(letter)),
            };
        }
        match self.chat.elsewhere.held.get(&session) {
            None => self.with_sessions(now, |homes, out| homes.letter(letter, now, out)),
            Some(Held { by, is_doubted: false }) => self.send_on(letter, *by),
            Some(_) if self.chat.elsewhere.waiting.len() < WAITING => self.chat.elsewhere.waiting.push_back((from, letter)),
            Some(_) => self.refuse_busy(letter, now),
        }
    }

    fn refuse_busy(&mut self, letter: ToSession, now: Now) {
        self.with_sessions(now, |_, out| Homes::refuse(letter, Refused::Store(StoreFault::Busy), out));
    }

    fn is_held(&mut self, session: SessionId, by: ShardId) {
        // By a view that is not the sender's, it tells another home too.
        if self.home_of_session(session) == self.id {
            self.chat.elsewhere.held.insert(session, Held { by, is_doubted: false });
        }
    }

    /// Tells whoever asks for a session where it is.
    fn send_on(&mut self, letter: ToSession, at: ShardId) {
        match letter {
            ToSession::Join { conn, .. } => self.post(conn.shard, Letter::ChatConnection(conn, FromSession::Elsewhere { at })),
            ToSession::Ask { asker, number, ask } => match *ask {
                // Nobody waits for an answer.
                leave @ Ask::Leave { .. } => {
                    let ask = Box::new(leave);
                    self.post(at, Letter::ChatHome(ToSession::Ask { asker, number, ask }));
                }
                Ask::Say { .. } => self.post(asker, Letter::ChatElsewhere { number, follows: true, at }),
                Ask::Create(_) | Ask::Look { .. } | Ask::End { .. } | Ask::Approvals { .. } | Ask::Decide { .. } => {
                    self.post(asker, Letter::ChatElsewhere { number, follows: false, at });
                }
            },
            // Whoever says this has been told that the session is given up here, or is gone.
            ToSession::Part { .. } | ToSession::Say { .. } | ToSession::Cancel { .. } => {}
            ToSession::Held { .. } | ToSession::Free { .. } => {}
        }
    }

    /// What waited here to be read.
    pub(super) fn pass_session(&mut self, letter: ToSession) {
        let home = self.home_of_session(letter.session());
        self.send_on(letter, home);
    }

    /// A session is given up.
    pub(super) fn session_goes(&mut self, LetGo { session, was_held, listeners, askers, unbegun }: LetGo) {
        let home = self.home_of_session(session);
        if was_held {
            self.post(home, Letter::ChatHome(ToSession::Free { session, by: self.id }));
        }
        for conn in listeners {
            self.post(conn.shard, Letter::ChatConnection(conn, FromSession::Moved { to: home }));
        }
        for (asker, number) in askers {
            self.post(asker, Letter::ChatElsewhere { number, follows: true, at: home });
        }
        for ask in unbegun {
            self.post(home, Letter::ChatHome(ToSession::Ask { asker: self.id, number: 0, ask: Box::new(ask) }));
        }
    }

    /// Where a session is to be asked for that is said to be there: that node may be gone by now.
    pub(super) fn there(&self, at: ShardId, session: SessionId) -> ShardId {
        if self.ring.view().has(at) { at } else { self.home_of_session(session) }
    }
}
