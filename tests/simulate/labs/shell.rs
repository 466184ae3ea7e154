//! The shell of labs: sockets, the mesh of letters, the clock.

use super::{
    bare::{Bare, Knock, Letter},
    faults::Fault,
    socket::{Heard, Socket, Speech, Who, heard},
    world::Labs,
};
use crate::world::note;
use homeroom::{
    protocols::labs::{Event, FromRegistry, ToRegistry, TunnelWord, connection::Farewell, letters::ViewOver},
    realtime::ConnId,
};
use std::time::Duration;

impl Labs {
    pub(crate) fn accept(&mut self, knock: Knock, who: Who) -> ConnId {
        let shard = self.dice.below(self.shards.len());
        let now = self.now;
        note!(self, "{who:?} comes to {shard}");
        let (stalls, pongs) = (if self.dice.percent(25) { self.dice.between(20, 95) } else { 3 }, !self.dice.percent(8));
        let conn = self.feed(shard).accepted(knock, now);
        note!(self, "as {conn:?}");
        self.sockets.insert(conn, Socket::new(who, now.moment, stalls, pongs));
        conn
    }

    /// A peer says something. False: nobody reads it now.
    pub(crate) fn say(&mut self, conn: ConnId, speech: &Speech) -> bool {
        let deaf = self.fault == Some(Fault::DeafPause);
        let Some(socket) = self.sockets.get(&conn) else { return true };
        if socket.is_over || socket.has_ended {
            return true;
        }
        if socket.is_paused && !deaf {
            return false;
        }
        note!(self, "{conn:?} says {}", brief(speech));
        let now = self.now;
        let shard = self.feed(conn.shard.index());
        match speech {
            Speech::Text(text) => shard.received(conn, Event::Text(&text.to_string()), now),
            Speech::Binary(bytes) => shard.received(conn, Event::Binary(bytes), now),
            Speech::Pong => shard.received(conn, Event::Pong, now),
        }
        true
    }

    /// The peer ends its side, or its end is told by an error.
    pub(crate) fn end(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        if std::mem::replace(&mut socket.has_ended, true) || socket.is_over {
            return;
        }
        note!(self, "{conn:?} ends");
        let now = self.now;
        self.feed(conn.shard.index()).ended(conn, now);
    }

    pub(crate) fn feed(&mut self, shard: usize) -> &mut Bare {
        self.fed[shard] = true;
        &mut self.shards[shard]
    }

    pub(crate) fn deliver_some(&mut self) {
        let (from, to) = (self.dice.below(self.shards.len()), self.dice.below(self.shards.len()));
        for _ in 0..self.dice.between(1, 4) {
            self.deliver(from, to);
        }
    }

    /// A letter arrives. Whether there was one.
    pub(crate) fn deliver(&mut self, from: usize, to: usize) -> bool {
        let pair = from * self.shards.len() + to;
        let Some(letter) = self.mesh[pair].pop_front() else { return false };
        note!(self, "letter {from} -> {to}: {}", words(&letter));
        let now = self.now;
        self.feed(to).letter(letter, now);
        true
    }

    fn post(&mut self, from: usize) {
        for (to, letter) in std::mem::take(&mut self.shards[from].letters) {
            self.send_letter(from, to.index(), letter);
        }
        for (ticket, record) in std::mem::take(&mut self.shards[from].questions) {
            self.keep(from, ticket, record);
        }
        for (number, reply) in std::mem::take(&mut self.shards[from].replies) {
            self.replied(from, number, &reply);
        }
    }

    fn send_letter(&mut self, from: usize, to: usize, letter: Letter) {
        let queue = from * self.shards.len() + to;
        let strikes = self.dice.percent(8);
        let is_bytes = matches!(&letter, Letter::Tunnel { word: TunnelWord::Bytes(_), .. });
        let fault = self.fault.filter(|_| strikes);
        match (fault, &letter) {
            (Some(Fault::LostReply), Letter::Reply { .. }) => return,
            (Some(Fault::LostDisplacement), Letter::Connection(_, FromRegistry::ViewOver(ViewOver::Displaced))) => return,
            (Some(Fault::LostGone), Letter::Registry(ToRegistry::AgentGone { .. })) => return,
            (Some(Fault::LostBytes), _) if is_bytes => return,
            (Some(Fault::DoubledBytes), _) if is_bytes => self.mesh[queue].push_back(letter.clone()),
            (Some(Fault::DoubledReply), Letter::Reply { .. }) | (Some(Fault::DoubledOrder), Letter::Deliver(..)) => {
                self.mesh[queue].push_back(letter.clone());
            }
            (Some(Fault::DoubledCredit), Letter::Tunnel { word: TunnelWord::Credit(_), .. }) => {
                self.mesh[queue].push_back(letter.clone());
            }
            (Some(Fault::SwappedBytes), _) if is_bytes => {
                let at = self.mesh[queue].len().saturating_sub(1);
                return self.mesh[queue].insert(at, letter);
            }
            (Some(Fault::SwappedOrders), Letter::Deliver(..)) => {
                let at = self.mesh[queue].iter().rposition(|other| matches!(other, Letter::Deliver(..)));
                let at = at.unwrap_or(self.mesh[queue].len());
                return self.mesh[queue].insert(at, letter);
            }
            _ => {}
        }
        let letter = self.spoil(letter);
        let to = if fault == Some(Fault::StrayLimit) && matches!(letter, Letter::Limit { .. }) {
            self.dice.below(self.shards.len())
        } else {
            to
        };
        self.mesh[from * self.shards.len() + to].push_back(letter);
    }

    /// What becomes of a letter whose words a faulty transport changes.
    fn spoil(&mut self, letter: Letter) -> Letter {
        match letter {
            Letter::Tunnel { from, to, proxy, word: TunnelWord::Bytes(chunk) }
                if self.strikes(Fault::CrossedBytes, 20) && self.crossed.is_none() =>
            {
                self.crossed = Some(chunk.clone());
                Letter::Tunnel { from, to, proxy, word: TunnelWord::Bytes(chunk) }
            }
            Letter::Tunnel { from, to, proxy, word: TunnelWord::Bytes(chunk) } => {
                let chunk = self.crossed.take().unwrap_or(chunk);
                Letter::Tunnel { from, to, proxy, word: TunnelWord::Bytes(chunk) }
            }
            Letter::Revoked { from, telling, .. } if self.strikes(Fault::ForgottenToken, 50) => {
                Letter::Revoked { from, telling, token: uuid::Uuid::nil() }
            }
            Letter::Registry(ToRegistry::Register { conn, mut hello }) if self.strikes(Fault::InflatedCapacity, 50) => {
                hello.capacity.max_sessions = hello.capacity.max_sessions.map(|most| most + 3);
                Letter::Registry(ToRegistry::Register { conn, hello })
            }
            letter => letter,
        }
    }

    /// Ends a turn and does what the shard wants done.
    pub(crate) fn turn(&mut self, shard: usize) {
        self.fed[shard] = false;
        let output = self.shards[shard].finish();
        for (conn, bytes) in output.sends {
            self.handed(conn, &bytes);
        }
        for (conn, is_paused) in output.pauses {
            note!(self, "{conn:?} is {}", if is_paused { "paused" } else { "read again" });
            if let Some(socket) = self.sockets.get_mut(&conn) {
                socket.is_paused = is_paused;
            }
        }
        for conn in output.closes {
            note!(self, "{conn:?} is closed");
            let socket = self.sockets.get_mut(&conn).expect("only what there is is closed");
            assert!(!std::mem::replace(&mut socket.is_over, true), "{conn:?} is closed twice");
        }
        self.post(shard);
    }

    fn handed(&mut self, conn: ConnId, bytes: &[u8]) {
        let frames = heard(bytes);
        note!(self, "{conn:?} is sent {} bytes, {} frames", bytes.len(), frames.len());
        let socket = self.sockets.get_mut(&conn).expect("a send to whom nobody knows");
        assert!(socket.flight.is_none(), "two sends in flight to {conn:?}");
        assert!(!socket.is_over, "a send to {conn:?} after its end");
        for frame in &frames {
            assert!(socket.closed.is_none(), "{conn:?} is sent {frame:?} after its Close");
            match frame {
                Heard::Http(status) => assert!(socket.status.replace(*status).is_none(), "{conn:?} is answered twice"),
                Heard::Close(code) => socket.closed = Some(*code),
                Heard::Text(_) | Heard::Binary(_) | Heard::Ping => {
                    assert_eq!(socket.status, Some(101), "{conn:?} hears {frame:?} before its 101");
                }
            }
        }
        socket.flight = Some(frames);
        self.check_flight(conn, bytes.len());
    }

    pub(crate) fn finish_a_send(&mut self) {
        let waiting: Vec<ConnId> = self.in_flight().collect();
        if !waiting.is_empty() {
            let conn = *self.dice.pick(&waiting);
            let stalls = self.sockets.get(&conn).map_or(0, |socket| socket.stalls);
            if !self.dice.percent(stalls) {
                self.finish_send(conn);
            }
        }
    }

    pub(crate) fn in_flight(&self) -> impl Iterator<Item = ConnId> {
        self.sockets.iter().filter(|(_, socket)| socket.flight.is_some()).map(|(conn, _)| *conn)
    }

    /// A send has left: its peer hears it.
    pub(crate) fn finish_send(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        let Some(frames) = socket.flight.take() else { return };
        socket.inbox.extend(frames);
        let now = self.now;
        if !socket.is_over {
            self.feed(conn.shard.index()).sent(conn, now);
        }
        self.hear_all(conn);
    }

    /// The peer looks at all that has arrived.
    fn hear_all(&mut self, conn: ConnId) {
        while let Some(socket) = self.sockets.get_mut(&conn)
            && let Some(frame) = socket.inbox.pop_front()
        {
            let pongs = socket.pongs;
            let agent = if let Who::Agent(which, _) = socket.who { Some(which) } else { None };
            match frame {
                Heard::Ping if pongs && agent.is_none_or(|which| !self.is_silent(which)) => _ = self.say(conn, &Speech::Pong),
                Heard::Ping => {}
                frame => match agent {
                    Some(which) => self.agent_hears(which, conn, frame),
                    None => self.viewer_hears(conn, frame),
                },
            }
        }
    }

    /// Sockets that are over at both ends are forgotten.
    pub(crate) fn release(&mut self) {
        let over: Vec<ConnId> = self.sockets.iter().filter(|(_, own)| own.is_over && own.flight.is_none()).map(|(c, _)| *c).collect();
        for conn in over {
            self.hear_all(conn);
            let Some(socket) = self.sockets.remove(&conn) else { continue };
            self.released(conn, &socket);
        }
    }

    pub(crate) fn let_time_pass(&mut self) {
        let milliseconds = match self.dice.below(100) {
            0..65 => self.dice.between(1, 60),
            65..90 => self.dice.between(100, 1_000),
            90..98 => self.dice.between(1_000, 7_000),
            _ => self.dice.between(7_000, 40_000),
        };
        self.pass(Duration::from_millis(milliseconds as u64));
    }

    /// Moves both clocks; shards that have something due are turned.
    pub(crate) fn pass(&mut self, time: Duration) {
        (0..self.shards.len()).for_each(|shard| self.turn(shard));
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
        let now = self.now;
        for shard in 0..self.shards.len() {
            let stopped = self.fault == Some(Fault::StoppedClock) && shard == self.home;
            if self.shards[shard].next_deadline().is_some_and(|due| due <= now.moment) && !stopped {
                self.feed(shard).tick(now);
                let next = self.shards[shard].next_deadline();
                assert!(next.is_none_or(|next| next > now.moment), "shard {shard}: after its tick something is still due");
                self.turn(shard);
            }
        }
        self.check_revoked();
    }
}

fn brief(speech: &Speech) -> String {
    match speech {
        Speech::Text(text) => {
            let mut text = text.to_string();
            text.truncate(text.floor_char_boundary(200));
            text
        }
        Speech::Binary(bytes) => format!("{} bytes", bytes.len()),
        Speech::Pong => "Pong".into(),
    }
}

fn words(letter: &Letter) -> String {
    match letter {
        Letter::Deliver(conn, frame) => format!("deliver {conn:?} {:.160}", String::from_utf8_lossy(frame)),
        Letter::Tunnel { to, proxy, word: TunnelWord::Bytes(chunk), .. } => format!("{} bytes to {to:?} {proxy:?}", chunk.len()),
        other => {
            let mut text = format!("{other:?}");
            text.truncate(text.floor_char_boundary(300));
            text
        }
    }
}

/// What a Close says, for stories.
pub(crate) fn is_usual(code: u16) -> bool {
    [Farewell::Over, Farewell::Text, Farewell::NoPong, Farewell::Broken, Farewell::TooMuch].iter().any(|why| why.code() == code)
}
