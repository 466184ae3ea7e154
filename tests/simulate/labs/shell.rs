//! The shell of labs: sockets, the mesh of letters, the clock. It keeps to the contract of `engine::port`, but where a fault is planted.

use super::{
    faults::Fault,
    nodes::place_of,
    socket::{Heard, Socket, Speech, Who, heard},
    world::Labs,
};
use crate::{
    clients::{head, masked},
    faults::double,
    nodes::nothing_left,
    world::note,
};
use homeroom::{
    engine::{Engine, Letter, Listener, Output, Question, Send},
    protocols::labs::{FromRegistry, Revocation, Standing, ToRegistry, TunnelWord, asks::Ask, letters::ViewOver},
    realtime::ConnId,
};
use std::time::Duration;
use uuid::Uuid;

const LISTENER: Listener = Listener(0);

impl Labs {
    /// Somebody comes to a path.
    pub(crate) fn accept(&mut self, path: &str, who: Who) -> ConnId {
        let shard = self.dice.below(self.shards.len());
        let now = self.now;
        note!(self, "{who:?} comes to {shard}");
        let (stalls, pongs) = (if self.dice.percent(35) { self.dice.between(20, 98) } else { 3 }, !self.dice.percent(8));
        let conn = self.feed(shard).accepted(LISTENER, now).expect("there is a seat");
        note!(self, "as {conn:?}");
        self.sockets.insert(conn, Socket::new(who, now.moment, stalls, pongs));
        self.feed(shard).received(conn, &head(path, true), now);
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
        let frame = match speech {
            Speech::Text(text) => masked(&mut self.dice, 0x81, text.to_string().as_bytes()),
            Speech::Binary(bytes) => masked(&mut self.dice, 0x82, bytes),
            Speech::Pong => masked(&mut self.dice, 0x8A, b""),
        };
        let now = self.now;
        let cut = if self.dice.percent(20) { self.dice.below(frame.len()) } else { 0 };
        let (first, second) = frame.split_at(cut);
        for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
            self.feed(place_of(conn.shard)).received(conn, part, now);
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
        self.feed(place_of(conn.shard)).ended(conn, now);
    }

    pub(crate) fn feed(&mut self, shard: usize) -> &mut Engine {
        self.fed[shard] = true;
        &mut self.shards[shard].engine
    }

    pub(crate) fn deliver_some(&mut self) {
        for _ in 0..self.dice.between(1, 6) {
            let (from, to) = (self.dice.below(self.shards.len()), self.dice.below(self.shards.len()));
            self.deliver(from, to);
            if self.dice.percent(10) {
                self.view_comes(to);
            }
        }
    }

    /// A letter arrives. Whether there was one.
    pub(crate) fn deliver(&mut self, from: usize, to: usize) -> bool {
        let pair = from * self.shards.len() + to;
        if !self.is_linked(from, to) {
            return false;
        }
        let Some(letter) = self.mesh[pair].pop_front() else { return false };
        note!(self, "letter {from} -> {to}: {}", words(&letter));
        if let Letter::LabsReply { number, .. } = &letter {
            // When the view changes some asks are asked again.
            let is_first = self.answered.insert((to, *number));
            assert!(is_first || self.nodes.is_some(), "{number} of {to} is answered twice");
        }
        let now = self.now;
        let from = self.shard_at(from);
        self.feed(to).letter(from, letter, now);
        true
    }

    fn post(&mut self, from: usize) {
        for (to, letter) in std::mem::take(self.shards[from].engine.letters()) {
            if self.shows(from, to) {
                self.send_letter(from, place_of(to), letter);
            }
        }
        for question in std::mem::take(self.shards[from].engine.questions()) {
            match question {
                Question::KeepLabs { ticket, record } => self.keep(from, ticket, record),
                Question::LoadLabs => self.read_all(from),
                Question::LoadRights { now } => self.read_rights(from, now),
                other => {
                    let answer = nothing_left(&other).unwrap_or_else(|| panic!("{other:?} is asked in labs"));
                    let now = self.now;
                    self.feed(from).answer(answer, now);
                }
            }
        }
    }

    fn send_letter(&mut self, from: usize, to: usize, letter: Letter) {
        let queue = from * self.shards.len() + to;
        let strikes = self.dice.percent(8);
        let is_bytes = matches!(&letter, Letter::Tunnel { word: TunnelWord::Bytes(_), .. });
        match (self.fault.filter(|_| strikes), &letter) {
            (Some(Fault::LostReply), Letter::LabsReply { .. }) => return,
            (Some(Fault::LostDisplacement), Letter::LabsConnection(_, FromRegistry::ViewOver(ViewOver::Displaced))) => return,
            (Some(Fault::LostGone), Letter::Registry(ToRegistry::AgentGone { .. })) => return,
            (_, Letter::Registry(ToRegistry::Resume { .. })) if self.strikes(Fault::LostReturn, 50) => return,
            (Some(Fault::LostBytes), _) if is_bytes => return,
            (Some(Fault::DoubledBytes), _) if is_bytes => self.mesh[queue].push_back(double(&letter)),
            (Some(Fault::DoubledReply), Letter::LabsReply { .. }) | (Some(Fault::DoubledOrder), Letter::Deliver(..)) => {
                self.mesh[queue].push_back(double(&letter));
            }
            (Some(Fault::SwappedBytes), _) if is_bytes => {
                let at = self.mesh[queue].len().saturating_sub(1);
                return self.mesh[queue].insert(at, letter);
            }
            (_, Letter::LabsConnection(_, FromRegistry::Lines(_))) if self.strikes(Fault::LostLines, 50) => return,
            (_, Letter::LabsConnection(_, FromRegistry::Lines(_))) if self.strikes(Fault::DoubledLines, 50) => {
                self.mesh[queue].push_back(double(&letter));
            }
            (_, Letter::LabsConnection(_, FromRegistry::LogOver)) if self.strikes(Fault::LostLogOver, 60) => return,
            (_, Letter::Deliver(..)) if self.strikes(Fault::SwappedOrders, 40) => {
                let at = self.mesh[queue].iter().rposition(|other| matches!(other, Letter::Deliver(..)));
                let at = at.unwrap_or(self.mesh[queue].len());
                return self.mesh[queue].insert(at, letter);
            }
            _ => {}
        }
        let is_limit = matches!(&letter, Letter::Registry(ToRegistry::Ask { ask, .. }) if matches!(**ask, Ask::Limit { .. }));
        let to = if is_limit && self.strikes(Fault::StrayLimit, 30) { self.dice.below(self.shards.len()) } else { to };
        let letter = self.spoil(letter);
        self.mesh[from * self.shards.len() + to].push_back(letter);
    }

    /// What becomes of a letter whose words a faulty transport changes.
    fn spoil(&mut self, letter: Letter) -> Letter {
        match letter {
            Letter::Tunnel { from, to, proxy, word: TunnelWord::Bytes(chunk) } if self.fault == Some(Fault::CrossedBytes) => {
                let strikes = self.dice.percent(20);
                let chunk = match self.crossed.take() {
                    Some((other, crossed)) if other != proxy && strikes => crossed,
                    before => {
                        self.crossed = before.or_else(|| Some((proxy, chunk.clone())));
                        chunk
                    }
                };
                Letter::Tunnel { from, to, proxy, word: TunnelWord::Bytes(chunk) }
            }
            Letter::Tunnel { from, to, proxy, word: TunnelWord::Credit(bytes) } if self.fault == Some(Fault::InflatedCredit) => {
                Letter::Tunnel { from, to, proxy, word: TunnelWord::Credit(bytes.saturating_mul(50)) }
            }
            Letter::Revoked { from, telling, what: Revocation::Token { expires_at, .. } }
                if self.strikes(Fault::ForgottenToken, 50) =>
            {
                Letter::Revoked { from, telling, what: Revocation::Token { token: Uuid::nil(), expires_at } }
            }
            Letter::Revoked { from, telling, what: Revocation::User(standing) } if self.strikes(Fault::ForgottenRole, 80) => {
                let what = Revocation::User(Standing { role: None, ..standing });
                Letter::Revoked { from, telling, what }
            }
            Letter::Registry(ToRegistry::Register { conn, since, mut hello }) if self.strikes(Fault::InflatedCapacity, 50) => {
                hello.capacity.max_sessions = hello.capacity.max_sessions.map(|most| most + 3);
                Letter::Registry(ToRegistry::Register { conn, since, hello })
            }
            letter => letter,
        }
    }

    /// Ends a turn and does what the engine wants done.
    pub(crate) fn turn(&mut self, shard: usize) {
        self.fed[shard] = false;
        let now = self.now;
        let mut output = Output::default();
        self.shards[shard].engine.finish(now, &mut output);
        for handoff in output.handoffs {
            let denial = handoff.refused.expect("nobody asks for plain HTTP");
            note!(self, "{:?} is refused: {denial:?}", handoff.conn);
            let socket = self.sockets.get_mut(&handoff.conn).expect("only what there is is refused");
            assert!(socket.status.replace(denial.status()).is_none(), "{:?} is answered twice", handoff.conn);
            assert!(socket.flight.is_none(), "{:?} is given away before all was sent", handoff.conn);
            socket.inbox.push_back(Heard::Http(denial.status()));
            socket.is_over = true;
        }
        self.sockets.iter_mut().filter(|(conn, _)| place_of(conn.shard) == shard).for_each(|(_, socket)| socket.said = 0);
        for Send { conn, segment, more, is_last: _ } in output.sends {
            let parts: Vec<&[u8]> = std::iter::once(&segment).chain(&more).map(|segment| segment.bytes()).collect();
            self.handed(conn, &parts.concat());
        }
        for conn in output.half_closes {
            note!(self, "{conn:?} FIN");
            let socket = self.sockets.get_mut(&conn).expect("only what there is is ended");
            assert!(socket.flight.is_none(), "a FIN to {conn:?} before all was sent");
            assert!(!std::mem::replace(&mut socket.is_half_closed, true), "a second FIN to {conn:?}");
        }
        for conn in output.closes {
            note!(self, "{conn:?} is closed");
            let socket = self.sockets.get_mut(&conn).expect("only what there is is closed");
            assert!(!std::mem::replace(&mut socket.is_over, true), "{conn:?} is closed twice");
        }
        for (conns, is_paused) in [(output.pauses, true), (output.resumes, false)] {
            for conn in conns {
                note!(self, "{conn:?} is {}", if is_paused { "paused" } else { "read again" });
                let socket = self.sockets.get_mut(&conn).expect("only what there is is paused");
                socket.is_paused = is_paused;
            }
        }
        self.post(shard);
        self.poll_asks();
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
        self.feed(place_of(conn.shard)).sent(conn, true, now);
        self.hear_all(conn);
    }

    /// The peer looks at all that has arrived.
    fn hear_all(&mut self, conn: ConnId) {
        while let Some(socket) = self.sockets.get_mut(&conn)
            && let Some(frame) = socket.inbox.pop_front()
        {
            let (pongs, follows) = (socket.pongs, socket.follower().is_some());
            let agent = if let Who::Agent(which) = socket.who { Some(which) } else { None };
            match frame {
                Heard::Ping if pongs && agent.is_none_or(|which| !self.is_silent(which)) => _ = self.say(conn, &Speech::Pong),
                Heard::Ping => {}
                frame => match agent {
                    Some(which) => self.agent_hears(which, conn, frame),
                    None if follows => self.follower_hears(conn, frame),
                    None => self.viewer_hears(conn, frame),
                },
            }
        }
    }

    /// Sockets that are over at both ends are forgotten.
    pub(crate) fn release(&mut self) {
        let over: Vec<ConnId> =
            self.sockets.iter().filter(|(_, own)| own.is_over && own.flight.is_none()).map(|(c, _)| *c).collect();
        for conn in over {
            self.hear_all(conn);
            let Some(socket) = self.sockets.remove(&conn) else { continue };
            note!(self, "{conn:?} is released");
            self.feed(place_of(conn.shard)).released(conn);
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
            if self.shards[shard].engine.next_deadline().is_some_and(|due| due <= now.moment) && !stopped {
                self.feed(shard).tick(now);
                let next = self.shards[shard].engine.next_deadline();
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
