//! What agents' and viewers' sockets share: how they open, what waits to be sent, how they end.

use super::{Lab, Whose};
use crate::{
    clock,
    fault::Fault,
    order::mix,
    wire::{
        frames::{self, Scan, opcode},
        http::Answer,
        line::Line,
        poll::{Lines, Whose as _},
    },
};
use rustix::fd::OwnedFd;

/// Where a socket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    /// There is none.
    #[default]
    Nobody,
    /// TCP has not answered, or not the upgrade.
    Opening,
    /// The upgrade was answered; an agent's `register` was not.
    Registering,
    /// All may be said.
    Open,
    /// We sent Close.
    Closing {
        /// The server did.
        answered: bool,
    },
}

/// One socket, or the place for one.
#[derive(Default)]
pub(super) struct Socket {
    pub(super) line: Line,
    pub(super) phase: Phase,
    /// What waits to be sent, and how much of it was.
    pub(super) out: Vec<u8>,
    pub(super) out_sent: usize,
    /// Blocks of which a part was sent.
    pub(super) half: Option<Half>,
}

/// Blocks that are being sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    /// The place of their session.
    pub(super) session: u32,
    pub(super) tunnel: u32,
    pub(super) first: u64,
    pub(super) blocks: usize,
    /// Bytes that were sent.
    pub(super) sent: usize,
}

impl Socket {
    /// A connection that came by itself, and says nothing before it is used.
    pub(super) fn taken(&mut self, socket: OwnedFd) {
        self.line.socket = Some(socket.into());
        self.phase = Phase::Open;
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Nobody
    }
}

impl Lab {
    /// Begins a socket.
    pub(super) fn open(&mut self, whose: Whose) {
        self.socket(whose).phase = Phase::Opening;
        if let Whose::Viewer(place) = whose {
            self.begin_watch(place);
        }
        self.open += 1;
        self.under_way += 1;
        self.await_next(whose, "upgrade");
        if let Err(fault) = self.dial(whose) {
            self.over(whose, fault);
        }
    }

    /// TCP has answered.
    pub(super) fn connected(&mut self, whose: Whose) -> Result<(), Fault> {
        let path = match whose {
            Whose::Agent(place) => self.agent_path(place),
            Whose::Viewer(place) => self.viewer_path(place),
        };
        self.upgrade.write_to(&mut self.request, &path);
        let request = std::mem::take(&mut self.request);
        let sent = self.socket(whose).line.send(&request);
        self.request = request;
        sent
    }

    /// Goes through whole messages and keeps the rest.
    pub(super) fn hear(&mut self, whose: Whose, mut bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        if let (Whose::Agent(place), Some(_)) = (whose, &self.listener) {
            return self.agent_bytes(place, place, bytes, now_ns);
        }
        if self.socket(whose).phase == Phase::Opening {
            match self.upgrade.judge(bytes)? {
                Answer::Incomplete => {
                    self.socket(whose).line.rest.extend_from_slice(bytes);
                    return Ok(());
                }
                Answer::Whole((), end) => {
                    bytes = &bytes[end..];
                    match whose {
                        Whose::Agent(place) => self.agent_upgraded(place)?,
                        Whose::Viewer(place) => self.viewer_upgraded(place, now_ns),
                    }
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
                    self.hear_frame(whose, opcode, payload, now_ns)?;
                    bytes = &bytes[end..];
                }
            }
        }
    }

    fn hear_frame(&mut self, whose: Whose, kind: u8, payload: &[u8], now_ns: u64) -> Result<(), Fault> {
        match (kind, whose) {
            (opcode::PING, _) => self.ping(whose, payload),
            (opcode::PONG, _) => Ok(()),
            (opcode::CLOSE, _) => self.hear_close(whose, payload),
            (opcode::TEXT, Whose::Agent(place)) => self.agent_text(place, payload),
            (opcode::BINARY, Whose::Agent(place)) => self.agent_frame(place, payload, now_ns),
            (opcode::BINARY, Whose::Viewer(place)) => self.viewer_bytes(place, payload, now_ns),
            _ => Err(Fault::Broken("unexpected kind of frame")),
        }
    }

    /// A mask for one frame.
    pub(super) fn mask(&self, whose: Whose) -> [u8; 4] {
        (mix(whose.token() ^ clock::now_ns()) as u32).to_be_bytes()
    }

    /// Says a text.
    pub(super) fn say(&mut self, whose: Whose, text: &str) -> Result<(), Fault> {
        let mask = self.mask(whose);
        frames::put_text(&mut self.socket(whose).out, text.as_bytes(), mask);
        self.pump(whose)
    }

    fn control(&mut self, whose: Whose, kind: u8, payload: &[u8]) -> Result<(), Fault> {
        let (frame, length) = frames::control(kind, payload, self.mask(whose));
        self.socket(whose).out.extend_from_slice(&frame[..length]);
        self.pump(whose)
    }

    fn ping(&mut self, whose: Whose, payload: &[u8]) -> Result<(), Fault> {
        if matches!(self.socket(whose).phase, Phase::Closing { .. }) {
            return Ok(());
        }
        self.tally.lab.pings += 1;
        self.control(whose, opcode::PONG, payload)
    }

    /// The server says goodbye: as it should when we said it first.
    fn hear_close(&mut self, whose: Whose, payload: &[u8]) -> Result<(), Fault> {
        let code = payload.first_chunk().copied().map(u16::from_be_bytes);
        let socket = self.socket(whose);
        if let Phase::Closing { .. } = socket.phase {
            socket.phase = Phase::Closing { answered: true };
            return Ok(());
        }
        // Whether our answer still reaches it changes nothing.
        let _ = self.control(whose, opcode::CLOSE, payload);
        Err(Fault::Closed(code))
    }

    /// Sends the Close frame; the server answers it and ends the connection.
    pub(super) fn close(&mut self, whose: Whose) {
        let is_raw = matches!(whose, Whose::Agent(_)) && self.listener.is_some();
        match self.socket(whose).phase {
            Phase::Open if is_raw => self.over(whose, Fault::Ended),
            Phase::Open => {
                self.socket(whose).phase = Phase::Closing { answered: false };
                match self.control(whose, opcode::CLOSE, &1000u16.to_be_bytes()) {
                    Ok(()) => self.await_next(whose, "close"),
                    Err(fault) => self.over(whose, fault),
                }
            }
            Phase::Nobody | Phase::Opening | Phase::Registering | Phase::Closing { .. } => {}
        }
    }

    /// A socket is over, as it should be or not.
    pub(super) fn ended(&mut self, whose: Whose, fault: Fault) {
        // Behind what is not ours an agent's connection ends with its viewer's.
        let is_raw = matches!(whose, Whose::Agent(_)) && self.listener.is_some();
        let Socket { phase, .. } = std::mem::take(self.socket(whose));
        let should = match phase {
            Phase::Nobody => return,
            Phase::Opening | Phase::Registering => {
                self.under_way -= u32::from(matches!(whose, Whose::Agent(_)));
                false
            }
            Phase::Open => is_raw && !self.is_streaming(),
            Phase::Closing { answered } => answered && fault == Fault::Ended,
        };
        self.open -= 1;
        if let Whose::Viewer(place) = whose {
            self.end_watch(place);
        }
        match (should, whose) {
            (true, Whose::Agent(_)) => self.tally.lab.agents_closed += 1,
            (true, Whose::Viewer(_)) => self.tally.lab.viewers_closed += 1,
            (false, _) => {
                self.tally.lab.lost += u64::from(phase == Phase::Open);
                self.blame(whose.when(), &fault);
            }
        }
    }
}
