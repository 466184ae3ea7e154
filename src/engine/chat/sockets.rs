//! The sockets of chat: what happens to them goes to their machines, and what those want is done.

use super::{
    super::{Connection, Ending, Engine, Phase, Topic, letters::Payee},
    Chat, Seat,
    seat::Judge,
};
use crate::{
    protocols::chat::{self, Effect, Event, Farewell, FromSession, Gate, Payer, Row, ToSession, UserId, messages},
    realtime::{ConnId, Now, outbox::Segment, table::Key},
    websocket::{CloseReason, frame, query, session, upgrade::Upgrade},
};
use std::{cell::Cell, mem};

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
        self.is_of(key, found);
        self.apply_chat(key, now);
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
        self.is_of(key, found);
        self.apply_chat(key, now);
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
        if matches!(event, Event::Home(FromSession::Joined | FromSession::Refused { .. })) {
            seat.joining = None;
        }
        let judge = Judge { key: &rules.callers, labs, now: now.wall, found: Cell::new(None) };
        let (judged, mut pair) = (|token: &str| judge.caller(token), || ids.pair());
        let gate = &mut Gate { settings: &rules.chat, judge: &judged, ids: &mut pair };
        seat.machine.handle(event, conn, now, gate, effects);
        self.apply_chat(key, now);
    }

    /// The word of a session's home to a connection. One that is gone still owes the home its own.
    pub(in crate::engine) fn session_says(&mut self, conn: ConnId, letter: FromSession, now: Now) {
        let key = self.key(conn);
        if matches!(self.connections.at(key), Some(Connection { phase: Phase::Chat(_), .. })) {
            return self.chat_event(key, Event::Home(letter), now);
        }
        if let Some(owed) = self.chat.strays.decided(&letter, conn) {
            self.post_to_session(owed);
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
        if let Some(session) = seat.joining {
            self.chat.strays.leave(self.conn_id(key), session);
        }
        if let Some(user) = seat.user
            && let Some(keys) = self.chat.watchers.get_mut(&user)
        {
            keys.retain(|own| *own != key);
            if keys.is_empty() {
                self.chat.watchers.remove(&user);
            }
        }
    }

    /// Whose a connection is has come out.
    fn is_of(&mut self, key: Key, found: Option<UserId>) {
        let Some(Connection { phase: Phase::Chat(seat), .. }) = self.connections.at_mut(key) else { return };
        if let (Some(user), None) = (found, seat.user) {
            seat.user = Some(user);
            self.chat.watchers.entry(user).or_default().push(key);
        }
    }

    /// Does what the connection's machine wants done.
    fn apply_chat(&mut self, key: Key, now: Now) {
        let conn = self.conn_id(key);
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
                Effect::Home(letter) => {
                    self.note_joining(key, &letter);
                    self.post_to_session(letter);
                }
                Effect::Listen(session) => self.listen(key, Topic::Session(session)),
                Effect::Limit(user) => self.post_count(Payee::Socket(conn), Payer::User(user), Row::Message),
                Effect::End(farewell) => self.end_chat(key, farewell, now),
            }
        }
        self.chat.effects = effects;
    }

    fn note_joining(&mut self, key: Key, letter: &ToSession) {
        if let ToSession::Join { session, .. } = letter
            && let Some(Connection { phase: Phase::Chat(seat), .. }) = self.connections.at_mut(key)
        {
            seat.joining = Some(*session);
        }
        self.counters.chat_messages.add(u64::from(matches!(letter, ToSession::Say { .. })));
    }

    fn end_chat(&mut self, key: Key, farewell: Farewell, now: Now) {
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
