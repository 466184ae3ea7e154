//! The sockets of both kinds: the way to `subscribed`, frames, Pings, the Close.

use super::{Hall, Whose};
use crate::{
    clock,
    crew::letters::Stage,
    fault::Fault,
    order::mix,
    wire::{
        frames::{self, Scan, opcode},
        http::Answer,
        line::Line,
        poll::{Lines, Whose as _},
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
    /// The upgrade was answered; what it is subscribed to was not heard.
    Joining,
    /// It was.
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
    /// Whether `attempt_closed` was heard.
    pub(super) told_closed: bool,
}

impl Hall {
    pub(super) fn socket(&mut self, whose: Whose) -> &mut Socket {
        match whose {
            Whose::Screen(place) => &mut self.screens[place as usize].socket,
            Whose::Desk(place) | Whose::Listener(place) => &mut self.desks[place as usize].socket,
        }
    }

    /// Begins a socket.
    pub(super) fn open_socket(&mut self, whose: Whose) {
        self.socket(whose).phase = Phase::Opening;
        self.open_sockets += 1;
        self.under_way += 1;
        self.await_next(whose, "upgrade");
        if let Err(fault) = self.dial(whose) {
            self.socket_over(whose, fault);
        }
    }

    /// TCP has answered.
    pub(super) fn connected(&mut self, whose: Whose) -> Result<(), Fault> {
        match whose {
            Whose::Screen(place) => {
                let owner = &self.order.owners[self.screens[place as usize].owner];
                self.upgrade.write_with(&mut self.request, "token", &owner.token.0);
            }
            Whose::Desk(place) | Whose::Listener(place) => {
                let session = self.desks[place as usize].attempt.as_ref().map_or("", |attempt| &attempt.session);
                self.upgrade.write_with(&mut self.request, "session", session);
            }
        }
        if matches!(whose, Whose::Listener(_)) && self.order.holds == super::order::Holds::Socket {
            let socket = self.socket(whose).line.socket.as_ref().ok_or(Fault::Ended)?;
            crate::wire::socket::stamp_arrivals(socket)?;
        }
        let request = std::mem::take(&mut self.request);
        let sent = self.socket(whose).line.send(&request);
        self.request = request;
        sent
    }

    /// Goes through whole messages and keeps the rest.
    pub(super) fn hear_frames(&mut self, whose: Whose, bytes: &[u8], now_ns: u64, stamp_ns: Option<u64>) -> Result<(), Fault> {
        let mut bytes = bytes;
        if self.socket(whose).phase == Phase::Opening {
            match self.upgrade.judge(bytes)? {
                Answer::Incomplete => {
                    self.socket(whose).line.rest.extend_from_slice(bytes);
                    return Ok(());
                }
                Answer::Whole((), end) => {
                    bytes = &bytes[end..];
                    self.upgraded(whose)?;
                }
            }
        }
        loop {
            match frames::scan(bytes) {
                Scan::Incomplete => {
                    self.socket(whose).line.rest.extend_from_slice(bytes);
                    return Ok(());
                }
                Scan::Broken(how) => return Err(Fault::Broken(how)),
                Scan::Frame { opcode, payload, bytes: end } => {
                    match opcode {
                        opcode::TEXT => self.hear_text(whose, payload, now_ns)?,
                        opcode::PING => self.ping(whose, payload, stamp_ns)?,
                        opcode::PONG => {}
                        opcode::CLOSE => self.hear_close(whose, payload)?,
                        _ => return Err(Fault::Broken("unexpected kind of frame")),
                    }
                    bytes = &bytes[end..];
                }
            }
        }
    }

    fn upgraded(&mut self, whose: Whose) -> Result<(), Fault> {
        self.socket(whose).phase = Phase::Joining;
        self.await_next(whose, "subscribed");
        match whose {
            Whose::Screen(place) => self.subscribe(place),
            Whose::Desk(_) | Whose::Listener(_) => Ok(()),
        }
    }

    /// It has heard to what it is subscribed.
    pub(super) fn joined(&mut self, whose: Whose) {
        let socket = self.socket(whose);
        socket.phase = Phase::Open;
        socket.line.rest_assured();
        self.under_way -= 1;
    }

    /// A mask for one frame.
    pub(super) fn mask(&self, whose: Whose) -> [u8; 4] {
        (mix(whose.token() ^ clock::now_ns()) as u32).to_be_bytes()
    }

    fn ping(&mut self, whose: Whose, payload: &[u8], stamp_ns: Option<u64>) -> Result<(), Fault> {
        if matches!(self.socket(whose).phase, Phase::Closing { .. }) {
            return Ok(());
        }
        let (frame, length) = frames::control(opcode::PONG, payload, self.mask(whose));
        self.tally.quiz.pings += 1;
        if matches!(self.stage, Some((Stage::Hold, _))) {
            self.tally.pinged_at_ns.extend(stamp_ns);
        }
        self.socket(whose).line.send(&frame[..length])
    }

    /// The server says goodbye: as it should to a participant whose attempt is over, and to others when they said it first.
    fn hear_close(&mut self, whose: Whose, payload: &[u8]) -> Result<(), Fault> {
        let code = payload.first_chunk().copied().map(u16::from_be_bytes);
        let (frame, length) = frames::control(opcode::CLOSE, payload, self.mask(whose));
        let socket = self.socket(whose);
        match socket.phase {
            Phase::Closing { .. } => socket.phase = Phase::Closing { answered: true },
            Phase::Open if socket.told_closed && code == Some(1000) => {
                socket.phase = Phase::Closing { answered: true };
                // The server has said goodbye: whether our answer still reaches it changes nothing.
                let _ = socket.line.send(&frame[..length]);
                self.await_next(whose, "close");
            }
            Phase::Nobody | Phase::Opening | Phase::Joining | Phase::Open => {
                let _ = socket.line.send(&frame[..length]);
                return Err(Fault::Closed(code));
            }
        }
        Ok(())
    }

    /// Sends the Close frame; the server answers it and ends the connection.
    pub(super) fn close_socket(&mut self, whose: Whose) {
        if self.socket(whose).phase != Phase::Open {
            return;
        }
        let (frame, length) = frames::control(opcode::CLOSE, &1000u16.to_be_bytes(), self.mask(whose));
        let socket = self.socket(whose);
        socket.phase = Phase::Closing { answered: false };
        match socket.line.send(&frame[..length]) {
            Ok(()) => self.await_next(whose, "close"),
            Err(fault) => self.socket_over(whose, fault),
        }
    }

    /// A socket is over, as it should be or not.
    pub(super) fn socket_over(&mut self, whose: Whose, fault: Fault) {
        let socket = self.socket(whose);
        let phase = std::mem::take(&mut socket.phase);
        socket.line.drop_socket();
        match phase {
            Phase::Nobody => return,
            Phase::Opening | Phase::Joining => self.under_way -= 1,
            Phase::Open => self.tally.quiz.lost += 1,
            Phase::Closing { .. } => {}
        }
        self.open_sockets -= 1;
        if phase == (Phase::Closing { answered: true }) && fault == Fault::Ended {
            self.tally.quiz.closed += 1;
        } else {
            self.blame(whose.when(), &fault);
        }
    }
}
