//! Connections with something in front: a proxy's header, TLS. Their bytes take a way of their own to the engine and back.
//!
//! The first half of a handshake is the dearest thing that a stranger can ask for, some hundred microseconds of a core. So handshakes wait
//! in a line, and a turn gives them what is left of [`SHAKE_TIME`] after all that the others wanted has been sent.

use super::{
    super::{
        fronts::{Cover, Front, has_record, say_at_once},
        shard::Shard,
        sockets::Mark,
    },
    Pump, address,
};
use crate::{
    engine::{Segment, Send},
    proxy,
    realtime::{ConnId, Now},
    tls::Fault,
};
use rustix::net::{Shutdown, shutdown};
use std::{mem, time::Duration};

/// What a turn spends on handshakes; one more may be under way when it is over.
const SHAKE_TIME: Duration = Duration::from_millis(1);
/// From one whose handshake waits nothing more is read when it has sent so much: what follows a handshake may be long.
const MOST_UNREAD: usize = 64 << 10;

impl<E: Shard> Pump<E> {
    /// What came for a connection with something in front.
    pub(super) fn front_received(&mut self, conn: ConnId, mut bytes: Vec<u8>, engine: &mut E, now: Now) {
        self.front_hears(conn, &mut bytes, engine, now);
        bytes.clear();
        self.fronts.scratch = bytes;
    }

    fn front_hears(&mut self, conn: ConnId, bytes: &mut [u8], engine: &mut E, now: Now) {
        let Some(socket) = self.sockets.at(conn) else { return };
        let Some(front) = self.fronts.at(conn) else { return };
        if socket.has(Mark::CLOSING) || socket.has(Mark::ENDED) {
            return;
        }
        if socket.has(Mark::HANDING) {
            // REST's.
            return match (&front.cover, self.handing.iter_mut().find(|handoff| handoff.conn == conn)) {
                (Cover::None, Some(handoff)) => handoff.head.extend_from_slice(bytes),
                (Cover::None, None) => {}
                (Cover::Waiting(_) | Cover::Session(_), _) => front.unread.extend_from_slice(bytes),
            };
        }
        if front.awaits_header {
            front.unread.extend_from_slice(bytes);
            return self.read_header(conn, engine, now);
        }
        if front.is_shaking() {
            front.unread.extend_from_slice(bytes);
            return self.queue_for_shaking(conn);
        }
        self.unseal(conn, bytes, engine, now);
    }

    /// Reads what a proxy says first.
    fn read_header(&mut self, conn: ConnId, engine: &mut E, now: Now) {
        let Some(front) = self.fronts.at(conn) else { return };
        let header = match proxy::read(&front.unread) {
            Ok(None) => return,
            Ok(Some(header)) => header,
            Err(flaw) => {
                let faults = &self.stage.counts(self.id).proxy_faults;
                faults.add(1);
                if faults.value().is_power_of_two() {
                    tracing::warn!(shard = %self.id, ?flaw, times = faults.value(), "a proxy has sent no PROXY header that can be read");
                }
                return self.end_front(conn, engine, now);
            }
        };
        front.awaits_header = false;
        front.client = header.client;
        let mut rest = mem::take(&mut front.unread);
        rest.drain(..header.length);
        if let Some(client) = header.client {
            engine.comes_from(conn, address(client), now);
        }
        let Some(front) = self.fronts.at(conn) else { return };
        if rest.is_empty() {
            return;
        }
        if front.is_shaking() {
            front.unread = rest;
            return self.queue_for_shaking(conn);
        }
        engine.received(conn, &rest, now);
    }

    fn queue_for_shaking(&mut self, conn: ConnId) {
        let Some(front) = self.fronts.at(conn) else { return };
        if !front.is_queued && has_record(&front.unread) {
            front.is_queued = true;
            self.fronts.shaking.push_back(conn);
        } else if front.is_queued && front.unread.len() > MOST_UNREAD {
            self.mark(conn, Mark::HELD);
            self.disarm(conn);
        }
    }

    /// Goes on with handshakes for a while. False when none waited.
    pub(super) fn shake(&mut self, engine: &mut E) -> bool {
        if self.fronts.shaking.is_empty() {
            return false;
        }
        let began = self.clock.moment();
        while let Some(conn) = self.fronts.shaking.pop_front() {
            let now = self.clock.now();
            self.shake_one(conn, engine, now);
            if self.clock.moment().since(began) >= SHAKE_TIME {
                break;
            }
        }
        self.counts().tls_waiting_now.set(self.fronts.shaking.len() as u64);
        self.ring.submit();
        true
    }

    fn shake_one(&mut self, conn: ConnId, engine: &mut E, now: Now) {
        // Who has gone meanwhile has left his name in the line.
        let Some(socket) = self.sockets.at(conn).filter(|socket| socket.has(Mark::FRONTED)) else { return };
        let is_leaving = socket.has(Mark::CLOSING);
        socket.clear(Mark::HELD);
        let Some(front) = self.fronts.at(conn).filter(|front| front.is_queued) else { return };
        front.is_queued = false;
        if is_leaving {
            return;
        }
        self.unseal(conn, &mut [], engine, now);
        self.receive(conn);
        if self.fronts.at(conn).is_some_and(|front| front.is_over) {
            self.end_front(conn, engine, now);
        }
    }

    /// Reads sealed bytes behind those that wait already, and tells the engine what the client said.
    fn unseal(&mut self, conn: ConnId, bytes: &mut [u8], engine: &mut E, now: Now) {
        let mut plain = mem::take(&mut self.fronts.plain);
        let Some(front) = self.fronts.at(conn) else { return };
        let was_shaking = front.is_shaking();
        let mut out = Vec::new();
        let read = read(front, bytes, &mut plain, &mut out);
        let is_shaken = was_shaking && !front.is_shaking();
        let heard_all = matches!(read, Ok(true));
        if is_shaken {
            self.count_session(conn);
        }
        if !out.is_empty() {
            self.say(conn, out, read.is_err());
        }
        if !plain.is_empty() {
            engine.received(conn, &plain, now);
        }
        plain.clear();
        self.fronts.plain = plain;
        if let Err(fault) = read {
            self.count_fault(&fault);
            self.end_front(conn, engine, now);
        } else if heard_all {
            self.end_front(conn, engine, now);
        }
    }

    fn count_session(&mut self, conn: ConnId) {
        let counts = self.stage.counts(self.id);
        counts.tls_handshakes.add(1);
        if let Some(Ok(Some(session))) = self.fronts.at(conn).map(Front::session) {
            counts.tls_resumed.add(u64::from(session.is_resumed()));
            counts.tls_newest.add(u64::from(session.is_newest() == Some(true)));
        }
    }

    fn count_fault(&mut self, fault: &Fault) {
        self.counts().tls_faults.add(1);
        // Whoever knocks with something else does so all day.
        tracing::debug!(shard = %self.id, %fault, "a client's TLS cannot go on");
    }

    /// What TLS itself has to say. `is_end`: nothing follows it.
    fn say(&mut self, conn: ConnId, out: Vec<u8>, is_end: bool) {
        let (Some(socket), Some(front)) = (self.sockets.at(conn), self.fronts.at(conn)) else { return };
        if socket.has(Mark::SENDING) {
            return front.unsent.extend_from_slice(&out);
        }
        let Some(descriptor) = socket.descriptor() else { return };
        if is_end {
            return say_at_once(descriptor, &out);
        }
        if let Some(segment) = Segment::whole(out) {
            self.ring.send(descriptor, Send { conn, segment, more: Vec::new(), is_last: false });
            self.mark(conn, Mark::SENDING);
            self.mark(conn, Mark::OWN);
        }
    }

    /// The engine's send, to a connection with something in front.
    pub(super) fn front_send(&mut self, send: Send) {
        let conn = send.conn;
        let (Some(socket), Some(front)) = (self.sockets.at(conn), self.fronts.at(conn)) else {
            return self.refused.push(conn);
        };
        if socket.has(Mark::OWN) {
            front.held = Some(send);
            return;
        }
        let is_sealed = !matches!(front.cover, Cover::None);
        let send = match is_sealed.then(|| front.seal(&send)) {
            None => send,
            Some(Ok(sealed)) => match Segment::whole(sealed) {
                Some(segment) => Send { conn, segment, more: Vec::new(), is_last: send.is_last },
                None => return self.refused.push(conn),
            },
            Some(Err(fault)) => {
                self.count_fault(&fault);
                return self.refused.push(conn);
            }
        };
        if let Some(descriptor) = socket.descriptor() {
            self.ring.send(descriptor, send);
            self.mark(conn, Mark::SENDING);
        }
    }

    /// What TLS itself had to say has left, or the socket broke.
    pub(super) fn own_sent(&mut self, conn: ConnId, whole: bool, engine: &mut E, now: Now) {
        let Some(socket) = self.sockets.at(conn) else { return };
        socket.clear(Mark::SENDING);
        socket.clear(Mark::OWN);
        let is_leaving = socket.has(Mark::CLOSING);
        let held = self.fronts.at(conn).and_then(|front| front.held.take());
        match held {
            Some(_) if !whole || is_leaving => engine.sent(conn, false, now),
            Some(send) => self.front_send(send),
            None => {}
        }
        self.after_send(conn, engine);
    }

    /// Nothing may be in flight now: what TLS has to say follows, or the end.
    pub(super) fn after_send(&mut self, conn: ConnId, engine: &mut E) {
        let Some(socket) = self.sockets.at(conn).filter(|socket| !socket.has(Mark::SENDING)) else { return };
        let is_leaving = socket.has(Mark::CLOSING) || socket.has(Mark::HANDING);
        if socket.has(Mark::FIN_WANTED) && !socket.has(Mark::CLOSING) {
            self.end_stream(conn);
        } else if !is_leaving
            && let Some(front) = self.fronts.at(conn)
            && !front.unsent.is_empty()
        {
            let out = mem::take(&mut front.unsent);
            self.say(conn, out, false);
        }
        if is_leaving {
            self.settle(conn, engine);
        }
    }

    /// The engine hears, once, that nothing more comes.
    pub(super) fn end_front(&mut self, conn: ConnId, engine: &mut E, now: Now) {
        let (Some(socket), Some(front)) = (self.sockets.at(conn), self.fronts.at(conn)) else { return };
        if front.is_queued {
            // What came before is told first.
            front.is_over = true;
            return;
        }
        if !socket.has(Mark::ENDED) {
            socket.set(Mark::ENDED);
            engine.ended(conn, now);
        }
    }

    /// The farewell of TLS, and FIN. To be called while nothing is in flight.
    pub(super) fn end_stream(&mut self, conn: ConnId) {
        self.farewell(conn);
        if let Some(descriptor) = self.sockets.at(conn).and_then(|socket| socket.descriptor()) {
            // A socket that broke meanwhile cannot be shut; its end is told by the receive.
            let _ = shutdown(descriptor, Shutdown::Write);
        }
    }

    /// Says that nothing follows, so that nobody who listens takes the end for one that a stranger has made.
    pub(super) fn farewell(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.at(conn).filter(|socket| socket.has(Mark::FRONTED) && !socket.has(Mark::SENDING)) else {
            return;
        };
        let Some(front) = self.fronts.at(conn).filter(|front| !front.is_shaking()) else { return };
        let (mut out, mut unread) = (mem::take(&mut front.unsent), mem::take(&mut front.unread));
        if let (Ok(Some(session)), Some(descriptor)) = (front.session(), socket.descriptor())
            && session.finish(&mut unread, &mut out).is_ok()
        {
            say_at_once(descriptor, &out);
        }
        front.unread = unread;
    }
}

/// What waits and what has come, read. Returns whether the client has said its last.
fn read(front: &mut Front, bytes: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<bool, Fault> {
    let mut unread = mem::take(&mut front.unread);
    let Some(session) = front.session()? else {
        plain.extend_from_slice(bytes);
        return Ok(false);
    };
    if unread.is_empty() {
        let used = session.read(bytes, plain, out)?;
        unread.extend_from_slice(&bytes[used..]);
    } else {
        unread.extend_from_slice(bytes);
        let used = session.read(&mut unread, plain, out)?;
        unread.drain(..used);
        if unread.is_empty() {
            unread = Vec::new();
        }
    }
    let has_heard_all = session.has_heard_all();
    front.unread = unread;
    Ok(has_heard_all)
}
