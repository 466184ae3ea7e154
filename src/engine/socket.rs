//! The life of one socket: head, upgrade, messages, close, release.

use super::{
    Connection, Ending, Engine, Handoff, Listener, Phase, SocketApi, audit,
    connection::Opening,
    door::{Address, Bound},
};
use crate::{
    protocols::{
        chat,
        labs::{self, admission::Denial},
        presence, quiz, tasks,
    },
    realtime::{ConnId, Now, outbox::Segment, table::Key},
    websocket::{
        close::CloseReason,
        frame::{self, Opcode},
        session::Event,
        upgrade::{self, Head, Upgrade},
    },
};
use std::{mem, time::Duration};

impl Engine {
    /// A socket was accepted, of nobody whose address counts. `None`: the shard holds as many as it may, or is closing.
    pub fn accepted(&mut self, listener: Listener, now: Now) -> Option<ConnId> {
        self.accepted_from(listener, Address::UNKNOWN, now)
    }

    /// A socket was accepted, and came from there. `None`: there are as many as may be, or the shard is closing.
    pub fn accepted_from(&mut self, listener: Listener, from: Address, now: Now) -> Option<ConnId> {
        let entrance = self.rules.entrances.get(usize::from(listener.0));
        if self.closed || !entrance.is_some_and(|entrance| self.limits.seats.take(entrance)) {
            self.counters.refused.one();
            return None;
        }
        let Some((address, refused)) = self.look_at(from, now) else {
            self.limits.seats.give_back();
            self.counters.refused.one();
            return None;
        };
        self.counters.accepted.one();
        let connection = Connection::new(listener, self.line.ticket(), now.moment);
        let key = self.connections.insert(Connection { address, refused, ..connection });
        self.note_address(key, from);
        self.set_timer(key, Some(self.limits.handshake_timeout), now);
        self.thin_out(key, now);
        Some(self.conn_id(key))
    }

    /// Whom a connection comes from, of which that was not known when it was accepted.
    pub fn comes_from(&mut self, conn: ConnId, from: Address, now: Now) {
        let key = self.key(conn);
        if !self.connections.at(key).is_some_and(|connection| connection.waits() && connection.address.is_none()) {
            return;
        }
        self.note_address(key, from);
        match (self.look_at(from, now), self.connections.at_mut(key)) {
            (Some((address, refused)), Some(connection)) => {
                connection.address = address;
                connection.refused = refused;
            }
            (_, _) => self.cut(key, now),
        }
    }

    /// Bytes came, in order.
    pub fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        self.turn = now.moment;
        let key = self.key(conn);
        match self.connections.at_mut(key).map(|connection| &mut connection.phase) {
            Some(Phase::Head(opening)) if opening.read.is_empty() => self.read_head(key, bytes, now),
            Some(Phase::Head(opening)) => {
                let mut head = mem::take(&mut opening.read);
                head.extend_from_slice(bytes);
                self.read_head(key, &head, now);
            }
            Some(Phase::Admitting(_)) => self.read_behind_head(key, bytes, now),
            Some(Phase::Echo) => self.read_messages(key, bytes, now),
            Some(Phase::Presence(_) | Phase::Quiz(_)) => self.at_a_pace(key, now, |engine| engine.read_messages(key, bytes, now)),
            Some(Phase::Labs(_)) => self.labs_received(key, bytes, now),
            Some(Phase::Chat(_)) => self.at_a_pace(key, now, |engine| engine.chat_received(key, bytes, now)),
            Some(Phase::Tasks(_)) => self.at_a_pace(key, now, |engine| engine.tasks_received(key, bytes, now)),
            Some(Phase::Over) => self.read_behind_handoff(conn, bytes),
            Some(Phase::Closing { .. } | Phase::Lingering) | None => {}
        }
        self.settle(now);
    }

    /// The peer sends no more: the end of the stream, or an error.
    pub fn ended(&mut self, conn: ConnId, now: Now) {
        let key = self.key(conn);
        if self.labs_ended(key) {
            return;
        }
        match self.connections.at_mut(key).map(|connection| (&mut connection.phase, connection.outbox.is_empty())) {
            Some((Phase::Closing { peer_done }, false)) => *peer_done = true,
            Some((Phase::Over, _)) | None => {}
            Some((phase, _)) => {
                let spoke = !matches!(phase, Phase::Head(..) | Phase::Admitting(_) | Phase::Closing { .. } | Phase::Lingering);
                if spoke {
                    self.counters.ended(Ending::Gone);
                }
                self.cut(key, now);
            }
        }
        self.settle(now);
    }

    /// The one send in flight has left, or the socket broke.
    pub fn sent(&mut self, conn: ConnId, ok: bool, now: Now) {
        let key = self.key(conn);
        self.account_sent(key, ok);
        match self.connections.at(key) {
            Some(connection) if !ok && !matches!(connection.phase, Phase::Over) => self.cut(key, now),
            Some(Connection { phase: Phase::Closing { peer_done }, outbox, .. }) if outbox.is_empty() => {
                let peer_done = *peer_done;
                self.end_stream(key, peer_done, now);
            }
            Some(Connection { phase: Phase::Labs(_), .. }) => self.labs_sent(key, now),
            Some(_) | None => {}
        }
        self.settle(now);
    }

    /// The shell has closed the descriptor: the slot is free.
    pub fn released(&mut self, conn: ConnId) {
        let key = self.key(conn);
        if let Some(connection) = self.connections.remove(key) {
            self.forget_address(key);
            self.limits.seats.give_back();
            connection.address.into_iter().for_each(|place| self.limits.door.addresses.go(place));
            connection.user.into_iter().for_each(|place| self.limits.door.users.go(place));
            debug_assert!(matches!(connection.phase, Phase::Over), "a socket is released only when the engine let it go");
        }
    }

    pub(super) fn timer_fired(&mut self, key: Key, now: Now) {
        let Some(connection) = self.connections.at_mut(key) else { return };
        connection.timer = None;
        if self.may_be_unheard(key, now) {
            return;
        }
        let Some(connection) = self.connections.at_mut(key) else { return };
        match connection.phase {
            Phase::Presence(_) => self.presence_event(key, presence::Event::TimerFired, now),
            Phase::Quiz(_) => self.quiz_event(key, quiz::Event::TimerFired, now),
            Phase::Labs(_) => self.labs_event(key, labs::Event::TimerFired, now),
            Phase::Chat(_) => self.chat_event(key, chat::Event::TimerFired, now),
            Phase::Tasks(_) => self.tasks_event(key, tasks::Event::TimerFired, now),
            Phase::Admitting(_) => self.deny(key, quiz::Denial::Unavailable, now),
            Phase::Head(..) => {
                self.counters.bounded(Bound::HandshakeTime);
                self.cut(key, now);
            }
            Phase::Closing { .. } | Phase::Lingering => self.cut(key, now),
            Phase::Echo | Phase::Over => {}
        }
    }

    /// Replaces the connection's one timer.
    pub(super) fn set_timer(&mut self, key: Key, after: Option<Duration>, now: Now) {
        let Some(connection) = self.connections.at_mut(key) else { return };
        connection.timer.take().and_then(|timer| self.wheel.cancel(timer));
        connection.timer = after.map(|after| self.wheel.set(now.moment + after, key));
    }

    /// Says goodbye because the process stops.
    pub(super) fn close_for_restart(&mut self, key: Key, now: Now) {
        match self.connections.at(key).map(|connection| &connection.phase) {
            Some(Phase::Head(..)) => self.cut(key, now),
            Some(Phase::Admitting(_)) => self.deny(key, quiz::Denial::Unavailable, now),
            Some(Phase::Labs(_)) => self.close_labs(key, now),
            Some(Phase::Tasks(_)) => self.tasks_event(key, tasks::Event::Close(tasks::Farewell::Stopping), now),
            Some(Phase::Echo | Phase::Presence(_) | Phase::Quiz(_) | Phase::Chat(_)) => {
                self.unlisten(key);
                self.send_close(key, CloseReason::Restart);
                self.part(key, false, now);
            }
            Some(Phase::Closing { .. } | Phase::Lingering | Phase::Over) | None => {}
        }
    }

    /// The last frame of this connection is queued: nothing comes after it but the end of the stream. Its protocol learns that it is gone.
    pub(super) fn part(&mut self, key: Key, peer_done: bool, now: Now) {
        self.unlisten(key);
        self.gone(key, now);
        let Some(connection) = self.connections.at_mut(key).filter(|connection| connection.is_open()) else { return };
        let left = mem::replace(&mut connection.phase, Phase::Closing { peer_done });
        self.sign_ins.gone(key.slot, now);
        let all_sent = connection.outbox.is_empty();
        self.leaves(key, &left);
        if all_sent {
            self.end_stream(key, peer_done, now);
        } else {
            self.set_timer(key, Some(self.limits.close_timeout), now);
        }
    }

    /// Ends a connection at once; what waits for it is lost.
    pub(super) fn cut(&mut self, key: Key, now: Now) {
        self.unlisten(key);
        self.gone(key, now);
        self.set_timer(key, None, now);
        let conn = self.conn_id(key);
        let Some(connection) = self.connections.at_mut(key).filter(|connection| !matches!(connection.phase, Phase::Over)) else {
            return;
        };
        let dropped = connection.outbox.discard();
        self.counters.dropped_gone.add(u64::from(dropped));
        self.sign_ins.gone(key.slot, now);
        let left = mem::replace(&mut connection.phase, Phase::Over);
        self.leaves(key, &left);
        self.output.closes.push(conn);
    }

    /// Tells the protocol of a connection that it is gone.
    fn gone(&mut self, key: Key, now: Now) {
        match self.connections.at(key).map(|connection| &connection.phase) {
            Some(Phase::Presence(_)) => self.presence_event(key, presence::Event::Gone, now),
            Some(Phase::Quiz(_)) => self.quiz_event(key, quiz::Event::Gone, now),
            Some(Phase::Labs(_)) => self.labs_event(key, labs::Event::Gone, now),
            Some(Phase::Chat(_)) => self.chat_event(key, chat::Event::Gone, now),
            Some(Phase::Tasks(_)) => self.tasks_event(key, tasks::Event::Gone, now),
            Some(Phase::Admitting(_)) => self.strays(key),
            Some(Phase::Head(..) | Phase::Echo | Phase::Closing { .. } | Phase::Lingering | Phase::Over) | None => {}
        }
    }

    /// All that was to be sent has left.
    fn end_stream(&mut self, key: Key, peer_done: bool, now: Now) {
        if peer_done {
            return self.cut(key, now);
        }
        let conn = self.conn_id(key);
        let Some(connection) = self.connections.at_mut(key) else { return };
        connection.phase = Phase::Lingering;
        self.output.half_closes.push(conn);
        self.set_timer(key, Some(self.limits.close_timeout), now);
    }

    fn read_head(&mut self, key: Key, bytes: &[u8], now: Now) {
        let Some(connection) = self.connections.at_mut(key) else { return };
        let (listener, refused) = (connection.listener, connection.refused);
        let head = upgrade::read(bytes, self.limits.door.head);
        if let (Some(bound), Head::Http | Head::Upgrade(_)) = (refused, &head) {
            self.note_refusal(key, "door", None, audit::of_door(bound), now);
            return self.turn_away(key, (429, bound), now);
        }
        match head {
            Head::Incomplete => {
                if let Phase::Head(opening) = &mut connection.phase {
                    opening.read = bytes.into();
                }
            }
            Head::Http => match self.plain_quiz(listener, bytes) {
                Some(query) => self.admit(key, bytes, query, now),
                None => self.hand_off(key, bytes, None, now),
            },
            Head::Refused(refusal) => {
                if refusal.status == 431 {
                    self.counters.bounded(Bound::Head);
                }
                let mut answer = Vec::new();
                refusal.write(&mut answer);
                self.send_wire(key, answer);
                self.part(key, false, now);
            }
            Head::Upgrade(request) => {
                let place = self.rules.entrances.get(usize::from(listener.0)).and_then(|entrance| entrance.find(request.path));
                if let Some((api, _)) = place {
                    self.trace_upgrade(key, api, bytes, now);
                }
                match place {
                    None => self.hand_off(key, bytes, None, now),
                    Some((api, _)) if !self.limits.door.origins_of(api).admit(request.origin, request.host) => {
                        self.note_refusal(key, audit::api(api), None, audit::of_door(Bound::Origin), now);
                        self.turn_away(key, (403, Bound::Origin), now);
                    }
                    Some((SocketApi::Quiz, _)) => self.admit(key, bytes, request.query, now),
                    Some(place @ (SocketApi::Agent | SocketApi::FieldAgent | SocketApi::Viewer | SocketApi::Follower, _)) => {
                        self.admit_to_labs(key, place, &request, bytes, now);
                    }
                    Some((SocketApi::Chat, name)) => self.open_chat(key, name, &request, bytes, now),
                    Some((SocketApi::Tasks, _)) => self.admit_to_tasks(key, &request, bytes, now),
                    Some((SocketApi::Presence, _)) => {
                        self.accept_upgrade(key, &request, None);
                        self.open_presence(key, now);
                        self.read_messages(key, &bytes[request.length..], now);
                    }
                    Some((SocketApi::Echo, _)) => {
                        self.accept_upgrade(key, &request, None);
                        self.open_echo(key, now);
                        self.read_messages(key, &bytes[request.length..], now);
                    }
                }
            }
        }
    }

    /// The query of a plain GET at a path where quiz has its socket: its refusals are the same without an upgrade.
    fn plain_quiz<'a>(&self, listener: Listener, bytes: &'a [u8]) -> Option<Option<&'a str>> {
        let entrance = self.rules.entrances.get(usize::from(listener.0)).filter(|entrance| entrance.has(SocketApi::Quiz))?;
        let (path, query) = upgrade::plain_get(bytes)?;
        (entrance.at(path) == Some(SocketApi::Quiz)).then_some(query)
    }

    pub(super) fn accept_upgrade(&mut self, key: Key, request: &Upgrade<'_>, protocol: Option<&str>) {
        let shard = self.id.to_string();
        let headers: &[(&str, &str)] = if self.rules.show_shard { &[("X-Homeroom-Shard", &shard)] } else { &[] };
        let mut answer = Vec::with_capacity(192);
        upgrade::accept(request, headers, protocol, &mut answer);
        self.send_wire(key, answer);
        self.counters.upgraded.one();
        if let Some(Connection { phase: Phase::Head(Opening { since: Some(since), .. }), .. }) = self.connections.at(key) {
            self.counters.handshake.record(self.turn.since(*since));
        }
    }

    fn open_echo(&mut self, key: Key, now: Now) {
        self.set_timer(key, None, now);
        if let Some(connection) = self.connections.at_mut(key) {
            connection.phase = Phase::Echo;
        }
    }

    /// Gives a connection to REST, with all that was read of it: plain HTTP, or one that is refused.
    pub(super) fn hand_off(&mut self, key: Key, read: &[u8], refused: Option<Denial>, now: Now) {
        self.gone(key, now);
        self.set_timer(key, None, now);
        let conn = self.conn_id(key);
        let Some(connection) = self.connections.at_mut(key) else { return };
        let left = mem::replace(&mut connection.phase, Phase::Over);
        let listener = connection.listener;
        self.leaves(key, &left);
        self.sign_ins.gone(key.slot, now);
        self.counters.handed_off.one();
        self.output.handoffs.push(Handoff { conn, listener, head: read.to_vec(), refused });
    }

    /// Bytes that came in the turn that gave the connection away: they belong to REST as well. Later ones the shell adds itself.
    fn read_behind_handoff(&mut self, conn: ConnId, bytes: &[u8]) {
        if let Some(handoff) = self.output.handoffs.iter_mut().find(|handoff| handoff.conn == conn) {
            handoff.head.extend_from_slice(bytes);
        }
    }

    /// Feeds bytes to the protocol; then sends what WebSocket itself answered, and ends what has ended.
    pub(super) fn read_messages(&mut self, key: Key, bytes: &[u8], now: Now) {
        if bytes.is_empty() {
            return;
        }
        let conn = self.conn_id(key);
        let Engine { connections, scratch, parser, quiz_parser, rules, counters, limits, wire, effects, quiz_effects, .. } = self;
        let Some(Connection { session, phase, .. }) = connections.at_mut(key) else { return };
        let mut peer_closed = false;
        let result = match phase {
            Phase::Presence(machine) => session.feed(scratch, bytes, &limits.websocket, wire, &mut |event, _| {
                counters.messages.one();
                let event = match event {
                    Event::Text(text) => presence::Event::Text(text),
                    Event::Binary(_) => presence::Event::Binary,
                    Event::Pong(_) => presence::Event::Pong,
                    Event::Ping => return,
                    Event::Close(_) => return peer_closed = true,
                };
                machine.handle(event, conn, now, &mut super::presence::gate(rules, parser), effects);
            }),
            Phase::Quiz(machine) => session.feed(scratch, bytes, &limits.websocket, wire, &mut |event, _| {
                counters.messages.one();
                let event = match event {
                    Event::Text(text) => quiz::Event::Text(text),
                    Event::Binary(_) => quiz::Event::Binary,
                    Event::Pong(_) => quiz::Event::Pong,
                    Event::Ping => return,
                    Event::Close(_) => return peer_closed = true,
                };
                machine.handle(event, conn, now, &mut quiz::Gate { settings: &rules.quiz, parser: quiz_parser }, quiz_effects);
            }),
            Phase::Echo => session.feed(scratch, bytes, &limits.websocket, wire, &mut |event, wire| {
                counters.messages.one();
                match event {
                    Event::Text(text) => frame::encode(wire, Opcode::Text, text.as_bytes()),
                    Event::Binary(bytes) => frame::encode(wire, Opcode::Binary, bytes),
                    Event::Ping | Event::Pong(_) => {}
                    Event::Close(_) => peer_closed = true,
                }
            }),
            Phase::Head(..) | Phase::Admitting(_) | Phase::Labs(_) | Phase::Chat(_) | Phase::Tasks(_) => return,
            Phase::Closing { .. } | Phase::Lingering | Phase::Over => return,
        };
        self.apply(key, now);
        self.apply_quiz(key, now);
        self.answer_peer(key, (peer_closed, result.is_err()), now);
    }

    /// Sends what WebSocket itself answered to what was fed, and ends what has ended with it.
    pub(super) fn answer_peer(&mut self, key: Key, (peer_closed, is_fault): (bool, bool), now: Now) {
        let answer = mem::take(&mut self.wire);
        if !self.connections.at(key).is_some_and(Connection::is_open) {
            return;
        }
        if !peer_closed && !is_fault {
            return self.send_wire(key, answer);
        }
        if let Some(segment) = Segment::whole(answer) {
            self.send_last(key, segment);
        }
        match peer_closed {
            true => self.counters.ended(Ending::Peer),
            false => self.counters.protocol_errors.one(),
        }
        self.part(key, peer_closed, now);
    }

    pub(super) fn send_wire(&mut self, key: Key, bytes: Vec<u8>) {
        if let Some(segment) = Segment::whole(bytes) {
            self.send(key, segment, 0);
        }
    }
}
