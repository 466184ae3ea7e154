//! The sockets of labs: what happens to them goes to their machines, and what those want is done.

use super::super::{Connection, Ending, Engine, Letter, Phase};
use crate::{
    protocols::labs::{Effect, Event, Farewell, FromRegistry, ProxyId, TunnelWord, Wire, connection::late},
    realtime::{ConnId, Now, outbox::Segment, table::Key},
    websocket::{Said, frame},
};
use std::{mem, rc::Rc};
use uuid::Uuid;

/// So much of what was unheard is told at a time: a machine that pauses hears no more of it than a buffer.
const SLICE_BYTES: usize = 16 << 10;
/// What is read from one that is paused, and cannot be told: what the shell received in the turn that paused it. More ends the connection.
const UNHEARD_AT_MOST: usize = 16 << 20;

/// How many sockets are open, by kind.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Present {
    pub(super) agents: usize,
    pub(super) viewers: usize,
    pub(super) followers: usize,
}

impl Engine {
    /// Bytes of a connection of labs.
    pub(in crate::engine) fn labs_received(&mut self, key: Key, bytes: &[u8], now: Now) {
        if self.hold(key, bytes, now) {
            return;
        }
        let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at_mut(key) else { return };
        if seat.hears() {
            let (first, rest) = bytes.split_at(seat.room().max(SLICE_BYTES).min(bytes.len()));
            if !rest.is_empty() {
                seat.unheard.push(rest);
            }
            self.hear(key, first, now);
            return self.hear_unheard(key, now);
        }
        if seat.unheard.len() + bytes.len() > UNHEARD_AT_MOST {
            return self.cut(key, now);
        }
        seat.unheard.push(bytes);
    }

    /// The peer of a connection of labs sends no more. Whether that can wait until its machine has heard what came before.
    pub(in crate::engine) fn labs_ended(&mut self, key: Key) -> bool {
        let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at_mut(key) else { return false };
        seat.peer_ended = true;
        seat.held.is_none() && !seat.unheard.is_empty()
    }

    /// Tells the machine what the bytes say; then sends what WebSocket itself answered, and ends what has ended.
    fn hear(&mut self, key: Key, bytes: &[u8], now: Now) {
        let conn = self.conn_id(key);
        let Engine { connections, scratch, rules, counters, wire, labs, .. } = self;
        let Some(Connection { phase: Phase::Labs(seat), .. }) = connections.at_mut(key) else { return };
        let (limits, pieces) = (seat.limits, seat.pieces());
        let (session, machine) = (&mut seat.session, &mut seat.machine);
        let mut peer_closed = false;
        let result = session.feed(scratch, bytes, (&limits, pieces), wire, &mut |said| {
            counters.messages.one();
            let event = match said {
                Said::Text(text) => Event::Text(text),
                Said::Binary(buffer) => Event::Binary(crate::protocols::labs::Chunk::received(buffer)),
                Said::Pong => Event::Pong,
                Said::Ping => return,
                Said::Close => return peer_closed = true,
            };
            machine.handle(event, conn, now, &rules.labs, &mut labs.effects);
        });
        self.apply_labs(key, now);
        self.answer_peer(key, (peer_closed, result.is_err()), now);
    }

    /// Tells a machine an event, if the connection has one, and does what it wants done.
    pub(in crate::engine) fn labs_event(&mut self, key: Key, event: Event<'_>, now: Now) {
        let conn = self.conn_id(key);
        let Engine { connections, rules, labs, .. } = self;
        let Some(Connection { phase: Phase::Labs(seat), .. }) = connections.at_mut(key) else { return };
        seat.machine.handle(event, conn, now, &rules.labs, &mut labs.effects);
        self.apply_labs(key, now);
        self.hear_unheard(key, now);
    }

    /// A send of the connection's has left.
    pub(in crate::engine) fn labs_sent(&mut self, key: Key, now: Now) {
        let Some(Connection { phase: Phase::Labs(_), outbox, .. }) = self.connections.at(key) else { return };
        let waiting = outbox.bytes();
        self.labs_event(key, Event::Sent { waiting }, now);
    }

    /// The registry's word to a connection. One that is gone owes the other end of its tunnel its own.
    pub(in crate::engine) fn registry_says(&mut self, conn: ConnId, letter: FromRegistry, now: Now) {
        let key = self.key(conn);
        if matches!(self.connections.at(key), Some(Connection { phase: Phase::Labs(_), .. })) {
            return self.labs_event(key, Event::Registry(letter), now);
        }
        if let Some(Effect::Tunnel { to, proxy, word }) = late(&letter) {
            self.post(to.shard, Letter::Tunnel { to, from: conn, proxy, word });
        }
    }

    /// The other end of a tunnel says something.
    pub(in crate::engine) fn tunnel_says(&mut self, (to, from): (ConnId, ConnId), proxy: ProxyId, word: TunnelWord, now: Now) {
        if let TunnelWord::Bytes(chunk) = &word {
            self.counters.labs_bytes.add(chunk.len() as u64);
        }
        let key = self.key(to);
        let is_here = matches!(self.connections.at(key), Some(Connection { phase: Phase::Labs(_), .. }));
        match &word {
            // Its end was told, and the word may have been lost on its way to another node.
            TunnelWord::Bytes(_) | TunnelWord::Ready { error: None } if !is_here && from.shard.node() != to.shard.node() => {
                self.post(from.shard, Letter::Tunnel { to: from, from: to, proxy, word: TunnelWord::Closed });
            }
            TunnelWord::Bytes(_) | TunnelWord::Ready { .. } | TunnelWord::Credit(_) | TunnelWord::Closed => {
                self.labs_event(key, Event::Tunnel { from, proxy, word }, now);
            }
        }
    }

    /// A token is good no more.
    pub(super) fn end_watchers(&mut self, token: Uuid, now: Now) {
        for key in self.labs.watchers.get(&token).cloned().unwrap_or_default() {
            self.labs_event(key, Event::Revoked, now);
        }
    }

    /// The process stops.
    pub(in crate::engine) fn close_labs(&mut self, key: Key, now: Now) {
        let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at(key) else { return };
        if seat.held.is_some() {
            return self.refuse_at_stop(key, now);
        }
        self.send_close(key, crate::websocket::CloseReason::Restart);
        self.part(key, false, now);
    }

    /// A connection of labs leaves its phase.
    pub(in crate::engine) fn leaves_labs(&mut self, key: Key, seat: &super::Seat) {
        match seat.machine {
            super::Machine::Agent(_) => self.labs.present.agents -= 1,
            super::Machine::Viewer(_) => self.labs.present.viewers -= 1,
            super::Machine::Follower(_) => self.labs.present.followers -= 1,
        }
        if let Some(token) = seat.token
            && let Some(keys) = self.labs.watchers.get_mut(&token)
        {
            keys.retain(|own| *own != key);
            if keys.is_empty() {
                self.labs.watchers.remove(&token);
            }
        }
        if seat.is_paused && !seat.peer_ended {
            // The peer's Close or end is to be read still, and what comes before it thrown away.
            let conn = self.conn_id(key);
            self.resume(conn);
        }
    }

    /// Does what the connection's machine wants done.
    pub(super) fn apply_labs(&mut self, key: Key, now: Now) {
        let conn = self.conn_id(key);
        let mut effects = mem::take(&mut self.labs.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(wire) => self.send(key, segment(wire), 0),
                Effect::Ping => self.send(key, self.ping.clone(), 0),
                Effect::Timer(after) => self.set_timer(key, after, now),
                Effect::Registry(letter) => self.post_to_registry(letter),
                Effect::Tunnel { to, proxy, word } => self.post(to.shard, Letter::Tunnel { to, from: conn, proxy, word }),
                Effect::Accept => self.accept_held(key, now),
                Effect::Refuse(denial) => self.refuse_held(key, denial, now),
                Effect::Pause => self.set_paused(key, true),
                Effect::Resume => self.set_paused(key, false),
                Effect::End(farewell) => self.end_labs(key, farewell, now),
            }
        }
        self.labs.effects = effects;
    }

    /// Tells the machine what was read before it wanted to hear it.
    pub(super) fn hear_unheard(&mut self, key: Key, now: Now) {
        loop {
            let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at_mut(key) else { return };
            if seat.unheard.is_empty() || seat.is_paused || seat.held.is_some() {
                return;
            }
            // Before the slice is heard: what it brings about finds the rest where it belongs.
            let unheard = seat.unheard.take(SLICE_BYTES);
            let ends = seat.peer_ended && seat.unheard.is_empty();
            self.hear(key, &unheard, now);
            if ends {
                return self.cut(key, now);
            }
        }
    }

    fn set_paused(&mut self, key: Key, paused: bool) {
        let conn = self.conn_id(key);
        let Some(Connection { phase: Phase::Labs(seat), .. }) = self.connections.at_mut(key) else { return };
        seat.is_paused = paused;
        // After the end nothing comes: it was told, and is not to be told again.
        let peer_ended = seat.peer_ended;
        self.counters.labs_pauses.add(u64::from(paused));
        match (peer_ended, paused) {
            (true, _) => {}
            (false, true) => wish(conn, &mut self.output.pauses, &mut self.output.resumes),
            (false, false) => self.resume(conn),
        }
    }

    fn resume(&mut self, conn: ConnId) {
        wish(conn, &mut self.output.resumes, &mut self.output.pauses);
    }

    fn end_labs(&mut self, key: Key, farewell: Farewell, now: Now) {
        let mut bytes = Vec::new();
        self.counters.ended(Ending::Code(farewell.code()));
        frame::close(&mut bytes, Some(farewell.code()), farewell.reason());
        if let Some(segment) = Segment::whole(bytes) {
            self.send_last(key, segment);
        }
        self.part(key, false, now);
    }
}

/// One wish of a connection, or none where it takes the other of the same turn back.
fn wish(conn: ConnId, own: &mut Vec<ConnId>, other: &mut Vec<ConnId>) {
    match other.iter().position(|wished| *wished == conn) {
        Some(place) => {
            other.swap_remove(place);
        }
        None => own.push(conn),
    }
}

/// The frame from where it lies.
fn segment(wire: Wire) -> Segment {
    Segment { batch: Rc::new(wire.buffer), range: wire.range }
}
