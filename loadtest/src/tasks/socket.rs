//! The sockets: the way to the welcome and to all tasks, frames, Pings, the Close.

use super::{Office, Whose, contract};
use crate::{
    clock,
    fault::Fault,
    order::mix,
    tally::When,
    wire::{
        frames::{self, Scan, opcode},
        http::Answer,
        line::Line,
        poll::Lines,
    },
};

/// Where a socket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    /// There is none.
    #[default]
    Nobody,
    /// TCP has not answered, or not the upgrade.
    Opening,
    /// The upgrade was answered; the welcome was not heard.
    Arriving,
    /// It has asked for all tasks, and behind that for a Pong, which says that the asking was heard: there is no other answer to it.
    Joining,
    /// It listens.
    Open,
    /// We or the server sent Close.
    Closing {
        /// Both did.
        answered: bool,
    },
}

/// One socket, or the place for one.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) line: Line,
    pub(super) phase: Phase,
}

impl Office {
    /// Begins a socket.
    pub(super) fn open_socket(&mut self, place: u32) {
        self.sockets[place as usize].phase = Phase::Opening;
        self.open_sockets += 1;
        self.under_way += 1;
        self.await_next(Whose::Socket(place), "upgrade");
        if let Err(fault) = self.dial(Whose::Socket(place)) {
            self.socket_over(place, fault);
        }
    }

    /// TCP has answered.
    pub(super) fn connected(&mut self, place: u32) -> Result<(), Fault> {
        let holder = (place / self.each()) as usize;
        let users = self.order.users.len();
        let token = if holder < users { &self.order.users[holder] } else { &self.order.admins[holder - users] };
        self.upgrade.write_with(&mut self.request, "token", &token.0);
        self.sockets[place as usize].line.send(&self.request)
    }

    /// Goes through whole messages and keeps the rest.
    pub(super) fn hear_frames(&mut self, place: u32, bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        let mut bytes = bytes;
        if self.sockets[place as usize].phase == Phase::Opening {
            match self.upgrade.judge(bytes)? {
                Answer::Incomplete => {
                    self.sockets[place as usize].line.rest.extend_from_slice(bytes);
                    return Ok(());
                }
                Answer::Whole((), end) => {
                    bytes = &bytes[end..];
                    self.sockets[place as usize].phase = Phase::Arriving;
                    self.await_next(Whose::Socket(place), "connection_established");
                }
            }
        }
        loop {
            match frames::scan(bytes) {
                Scan::Incomplete => {
                    self.sockets[place as usize].line.rest.extend_from_slice(bytes);
                    return Ok(());
                }
                Scan::Broken(how) => return Err(Fault::Broken(how)),
                Scan::Frame { opcode, payload, bytes: end } => {
                    match opcode {
                        opcode::TEXT => self.hear_text(place, payload, now_ns)?,
                        opcode::PING => self.control(place, opcode::PONG, payload)?,
                        opcode::PONG => self.hear_pong(place),
                        opcode::CLOSE => self.hear_close(place, payload)?,
                        _ => return Err(Fault::Broken("unexpected kind of frame")),
                    }
                    bytes = &bytes[end..];
                }
            }
        }
    }

    /// The server says that it is here.
    pub(super) fn welcomed(&mut self, place: u32) -> Result<(), Fault> {
        self.sockets[place as usize].phase = Phase::Joining;
        self.await_next(Whose::Socket(place), "pong");
        self.say(place, &contract::subscribe_all())?;
        self.control(place, opcode::PING, b"")
    }

    fn hear_pong(&mut self, place: u32) {
        let socket = &mut self.sockets[place as usize];
        if socket.phase == Phase::Joining {
            socket.phase = Phase::Open;
            socket.line.rest_assured();
            self.under_way -= 1;
            self.tally.tasks.listening += 1;
        }
    }

    fn mask(&self, place: u32) -> [u8; 4] {
        (mix(u64::from(place) ^ clock::now_ns()) as u32).to_be_bytes()
    }

    /// Sends a text.
    pub(super) fn say(&mut self, place: u32, text: &str) -> Result<(), Fault> {
        let mask = self.mask(place);
        self.request.clear();
        frames::put_text(&mut self.request, text.as_bytes(), mask);
        self.sockets[place as usize].line.send(&self.request)
    }

    fn control(&mut self, place: u32, kind: u8, payload: &[u8]) -> Result<(), Fault> {
        let (frame, length) = frames::control(kind, payload, self.mask(place));
        let socket = &mut self.sockets[place as usize];
        if matches!(socket.phase, Phase::Closing { .. }) {
            return Ok(());
        }
        self.tally.tasks.pings += u64::from(kind == opcode::PONG);
        socket.line.send(&frame[..length])
    }

    /// The server says goodbye: as it should when we said it first.
    fn hear_close(&mut self, place: u32, payload: &[u8]) -> Result<(), Fault> {
        let code = payload.first_chunk().copied().map(u16::from_be_bytes);
        let (frame, length) = frames::control(opcode::CLOSE, payload, self.mask(place));
        let socket = &mut self.sockets[place as usize];
        match socket.phase {
            Phase::Closing { .. } => socket.phase = Phase::Closing { answered: true },
            Phase::Nobody | Phase::Opening | Phase::Arriving | Phase::Joining | Phase::Open => {
                // The server has said goodbye: whether our answer still reaches it changes nothing.
                let _ = socket.line.send(&frame[..length]);
                return Err(Fault::Closed(code));
            }
        }
        Ok(())
    }

    /// Sends the Close frame; the server answers it and ends the connection.
    pub(super) fn close_socket(&mut self, place: u32) {
        if self.sockets[place as usize].phase != Phase::Open {
            return;
        }
        let (frame, length) = frames::control(opcode::CLOSE, &1000u16.to_be_bytes(), self.mask(place));
        let socket = &mut self.sockets[place as usize];
        socket.phase = Phase::Closing { answered: false };
        match socket.line.send(&frame[..length]) {
            Ok(()) => self.await_next(Whose::Socket(place), "close"),
            Err(fault) => self.socket_over(place, fault),
        }
    }

    /// A socket is over, as it should be or not.
    pub(super) fn socket_over(&mut self, place: u32, fault: Fault) {
        let socket = &mut self.sockets[place as usize];
        let phase = std::mem::take(&mut socket.phase);
        socket.line.drop_socket();
        match phase {
            Phase::Nobody => return,
            Phase::Opening | Phase::Arriving | Phase::Joining => self.under_way -= 1,
            Phase::Open => self.tally.tasks.lost += 1,
            Phase::Closing { .. } => {}
        }
        self.open_sockets -= 1;
        if phase == (Phase::Closing { answered: true }) && fault == Fault::Ended {
            self.tally.tasks.closed += 1;
        } else {
            self.blame(When::Listening, &fault);
        }
    }
}
