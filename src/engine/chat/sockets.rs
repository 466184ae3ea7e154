//! The sockets of chat: what happens to them goes to their machines, and what those want is done.

use super::{
    super::{Connection, Ending, Engine, Letter, Phase, Topic, door::Bound},
    Chat, Seat,
    asks::HOPS_AT_MOST,
    seat::Judge,
};
use crate::{
    protocols::chat::{self, Effect, Event, Farewell, FromSession, Gate, Mark, SessionId, ToSession, UserId, messages},
    realtime::{ConnId, Now, ShardId, outbox::Segment, table::Key},
    websocket::{CloseReason, frame, query, session, upgrade::Upgrade},
};
use std::{cell::Cell, mem};

/// Why a socket ends whose user has others enough.
const CROWDED: &str = "too many connections";

impl Engine {
    /// Somebody asks for the socket of a session, in a complete head. The upgrade is answered whoever it is.
    pub(in crate::engine) fn open_chat(&mut self, key: Key, name: &str, request: &Upgrade<'_>, read: &[u8], now: Now) {
        self.accept_upgrade(key, request, None);
        let token = query::parameter(request.query, "token");
        let named = messages::read("sess_", name);
        self.set_timer(key, None, now);
        let conn = self.conn_id(key);
        let Engine { connections, rules, chat, labs, .. } = self;
        let Chat { ids, effects, .. } = chat;
        let judge = Judge { key: &rules.callers, labs, now: now.wall, found: Cell::new(None) };
        let (judged, mut pair) = (|token: &str| judge.caller(token), || ids.pair());
        let gate = &mut Gate { settings: &rules.chat, judge: &judged, ids: &mut pair };
        let Some(connection) = connections.at_mut(key) else { return };
        let machine = chat::Connection::new(named, token.as_deref(), conn, gate, effects);
        connection.phase = Phase::Chat(Box::new(Seat::new(machine)));
        chat.sockets += 1;
        let found = judge.found.get();
        let may_stay = self.is_of(key, found, now);
        self.apply_chat(key, now);
        if !may_stay {
            return self.say_goodbye(key, CloseReason::Policy.code(), CROWDED, now);
        }
        self.leave_unheard(key);
        self.chat_received(key, &read[request.length..], now);
    }

    /// Bytes of a connection of chat.
    pub(in crate::engine) fn chat_received(&mut self, key: Key, bytes: &[u8], now: Now) {
        let conn = self.conn_id(key);
        let Engine { connections, scratch, rules, counters, limits, wire, chat, labs, .. } = self;
        let Chat { ids, effects, .. } = chat;
        let Some(Connection { session, phase: Phase::Chat(seat), .. }) = connections.at_mut(key) else { return };
        let Seat { machine, user, heard, .. } = &mut **seat;
        let judge = Judge { key: &rules.callers, labs, now: now.wall, found: Cell::new(None) };
        let (judged, mut pair) = (|token: &str| judge.caller(token), || ids.pair());
        let gate = &mut Gate { settings: &rules.chat, judge: &judged, ids: &mut pair };
        let mut peer_closed = false;
        let result = session.feed(scratch, bytes, &limits.chat_websocket, wire, &mut |event, _| {
            counters.messages.one();
            let event = match event {
                session::Event::Text(text) => Event::Text(text),
                session::Event::Binary(_) => Event::Binary,
                session::Event::Pong(_) => Event::Pong,
                session::Event::Ping => return,
                session::Event::Close(_) => return peer_closed = true,
            };
            machine.handle(event, conn, now, gate, effects);
        });
        let found = judge.found.get();
        // What is long is heard of those alone who may say it.
        *heard += bytes.len();
        let is_too_long = user.is_none() && found.is_none() && *heard > limits.websocket.message;
        let may_stay = self.is_of(key, found, now);
        self.apply_chat(key, now);
        if !may_stay && !peer_closed && result.is_ok() {
            return self.say_goodbye(key, CloseReason::Policy.code(), CROWDED, now);
        }
        if is_too_long && !peer_closed && result.is_ok() {
            return self.say_goodbye(key, CloseReason::TooBig.code(), "too long", now);
        }
        self.answer_peer(key, (peer_closed, result.is_err()), now);
    }

    /// Tells a machine an event, if the connection has one, and does what it wants done.
    pub(in crate::engine) fn chat_event(&mut self, key: Key, event: Event<'_>, now: Now) {
        let conn = self.conn_id(key);
        let Engine { connections, rules, chat, labs, .. } = self;
        let Chat { ids, effects, .. } = chat;
        let Some(Connection { phase: Phase::Chat(seat), .. }) = connections.at_mut(key) else { return };
        let judge = Judge { key: &rules.callers, labs, now: now.wall, found: Cell::new(None) };
        let (judged, mut pair) = (|token: &str| judge.caller(token), || ids.pair());
        let gate = &mut Gate { settings: &rules.chat, judge: &judged, ids: &mut pair };
        seat.machine.handle(event, conn, now, gate, effects);
        self.apply_chat(key, now);
    }

    /// The word of a session's home to a connection. One that is gone still owes the home its own.
    pub(in crate::engine) fn session_says(&mut self, from: ShardId, conn: ConnId, mut letter: FromSession, now: Now) {
        let key = self.key(conn);
        let session = match self.connections.at(key) {
            Some(Connection { phase: Phase::Chat(seat), .. }) => seat.machine.session(),
            Some(_) | None => {
                if let FromSession::Joined { session, .. } = letter {
                    self.post(from, Letter::ChatHome(ToSession::Part { conn, session }));
                }
                return;
            }
        };
        let next = match letter {
            FromSession::Joined { .. } => Some((from, false)),
            FromSession::Moved { to } => session.map(|session| (self.there(to, session), false)),
            FromSession::Elsewhere { at } => session.map(|session| (self.there(at, session), true)),
            FromSession::Refused { .. } | FromSession::NotTaken { .. } | FromSession::Over | FromSession::Missed => None,
        };
        if let Some((home, is_sent_on)) = next
            && let Some(Connection { phase: Phase::Chat(seat), .. }) = self.connections.at_mut(key)
        {
            seat.hops = if is_sent_on { seat.hops.saturating_add(1) } else { 0 };
            match seat.hops > HOPS_AT_MOST {
                true => letter = FromSession::Refused { invalid: false },
                false => seat.home = Some(home),
            }
        }
        self.chat_event(key, Event::Home(letter), now);
    }

    /// What the frame is that a home publishes next.
    pub(in crate::engine) fn chat_hears(&mut self, from: ShardId, session: SessionId, mark: Mark, now: Now) {
        for slot in self.topics.slots(&Topic::Session(session, from)) {
            if let Some((key, _)) = self.connections.in_slot_mut(slot) {
                self.chat_event(key, Event::Hears(mark), now);
            }
        }
    }

    /// A user may less than before: whoever may still hear something comes again.
    pub(in crate::engine) fn end_chats_of(&mut self, user: UserId, now: Now) {
        for key in self.chat.watchers.get(&user).cloned().unwrap_or_default() {
            self.chat_event(key, Event::Revoked, now);
        }
    }

    /// A connection of chat leaves its phase.
    pub(in crate::engine) fn leaves_chat(&mut self, key: Key, seat: &Seat) {
        self.chat.sockets -= 1;
        if let Some(user) = seat.user
            && let Some(keys) = self.chat.watchers.get_mut(&user)
        {
            keys.retain(|own| *own != key);
            if keys.is_empty() {
                self.chat.watchers.remove(&user);
            }
        }
    }

    /// Whose a connection is has come out. False: they have as many as one may have.
    fn is_of(&mut self, key: Key, found: Option<UserId>, now: Now) -> bool {
        let Some(Connection { phase: Phase::Chat(seat), .. }) = self.connections.at_mut(key) else { return true };
        let (Some(user), None) = (found, seat.user) else { return true };
        seat.user = Some(user);
        self.chat.watchers.entry(user).or_default().push(key);
        let may_stay = self.claim(key, &("chat", user));
        match may_stay {
            true => self.note_sign_in_of(key, "chat", user.to_string(), now),
            false => self.note_refusal(key, "chat", Some(user.to_string()), Bound::UserConnections.label(), now),
        }
        may_stay
    }

    /// Does what the connection's machine wants done.
    fn apply_chat(&mut self, key: Key, now: Now) {
        let mut effects = mem::take(&mut self.chat.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(frames) => {
                    // What was published before it stands before it.
                    self.hear_topics(key);
                    self.send_wire(key, frames);
                }
                Effect::Ping => self.send(key, self.ping.clone(), 0),
                Effect::Timer(after) => self.set_timer(key, after, now),
                Effect::Home(letter) => self.post_from_socket(key, letter),
                Effect::Listen(session) => {
                    let home = self.home_of_seat(key, session);
                    self.listen(key, Topic::Session(session, home));
                }
                Effect::Unlisten => {
                    self.hear_topics(key);
                    self.unlisten(key);
                }
                Effect::Limit(user) => self.count_message(key, user),
                Effect::End(farewell) => self.end_chat(key, farewell, now),
            }
        }
        self.chat.effects = effects;
    }

    /// To the home that the connection has joined, or that it has asked.
    fn post_from_socket(&mut self, key: Key, letter: ToSession) {
        self.counters.chat_messages.add(u64::from(matches!(letter, ToSession::Say { .. })));
        let home = self.home_of_seat(key, letter.session());
        self.post(home, Letter::ChatHome(letter));
    }

    fn home_of_seat(&mut self, key: Key, session: SessionId) -> ShardId {
        let by_view = self.home_of_session(session);
        match self.connections.at_mut(key) {
            Some(Connection { phase: Phase::Chat(seat), .. }) => *seat.home.get_or_insert(by_view),
            Some(_) | None => by_view,
        }
    }

    fn end_chat(&mut self, key: Key, farewell: Farewell, now: Now) {
        if farewell == Farewell::NoAuth {
            self.note_refusal(key, "chat", None, "no_auth", now);
        }
        self.say_goodbye(key, farewell.code(), farewell.reason(), now);
    }

    /// The last word of a connection, behind all that it was to hear.
    fn say_goodbye(&mut self, key: Key, code: u16, reason: &str, now: Now) {
        // What was published in this turn may be why it ends.
        self.hear_topics(key);
        let mut bytes = Vec::new();
        self.counters.ended(Ending::Code(code));
        frame::close(&mut bytes, Some(code), reason);
        if let Some(segment) = Segment::whole(bytes) {
            self.send_last(key, segment);
        }
        self.part(key, false, now);
    }
}
