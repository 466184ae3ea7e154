//! A student and his connections: how he comes in, what he hears, and how he moves.

use super::{
    AGAIN_NS, Rolling,
    book::{Account, Book, Heard as Known},
};
use crate::{
    clock,
    contract::{self, Heard, Tick},
    crew::letters::Stage,
    fault::Fault,
    order::mix,
    tally::{Measure, When},
    wire::{
        frames::{self, Scan, opcode},
        http::Answer,
        line::Line,
        poll::Lines,
    },
};
use rustix::io::Errno;

/// Whose node goes away is told so by this, and whose place the next connection has taken by that.
const TERMINATED: &str = "terminated";
const REPLACED: &str = "replaced";
/// "Come again": a node that stops.
const RESTART: u16 = 1012;

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    /// There is none.
    #[default]
    Nobody,
    /// TCP has not answered.
    Connecting,
    /// The upgrade was sent.
    Upgrading,
    /// The `connect_request` was sent.
    SigningIn,
    /// `connect_success` was heard.
    Signed,
    /// The server has said that it is over, and ends it.
    Leaving,
    /// We sent Close.
    Closing {
        /// The server has answered it.
        answered: bool,
    },
}

/// One connection of a student, or the place for one.
#[derive(Default)]
pub(super) struct Seat {
    pub(super) line: Line,
    pub(super) phase: Phase,
    pub(super) node: u32,
    /// When its step began, and the number of the last event.
    step_ns: u64,
    last: u64,
}

/// A student.
pub(super) struct Pupil {
    room: u32,
    /// Where he goes next.
    next: u32,
    /// Which of his seats he was let in on last; since when he is in, 0: he was never.
    newest: u32,
    in_ns: u64,
    /// He is on his way in, since when he meant to be.
    is_coming: bool,
    meant_ns: u64,
    /// The connection that he had was told that the next one has its place.
    is_replaced: bool,
    /// He has none, which was counted.
    is_bare: bool,
    known: Known,
}

impl Pupil {
    pub(super) fn new(room: u32, next: u32) -> Pupil {
        Pupil {
            room,
            next,
            newest: 0,
            in_ns: 0,
            is_coming: false,
            meant_ns: 0,
            is_replaced: false,
            is_bare: false,
            known: Known::default(),
        }
    }

    /// What he should have heard, and has.
    pub(super) fn account(&self, book: &Book) -> Account {
        if self.in_ns == 0 { Account::default() } else { book.account(&self.known, self.room, self.in_ns) }
    }
}

impl Seat {
    fn step(&mut self, phase: Phase, now_ns: u64) -> u64 {
        let took_ns = now_ns.saturating_sub(self.step_ns);
        (self.phase, self.step_ns) = (phase, now_ns);
        took_ns
    }

    fn stop(&mut self) {
        self.line.drop_socket();
        self.phase = Phase::Nobody;
    }
}

impl Rolling {
    fn seat(&mut self, whose: u32) -> &mut Seat {
        &mut self.seats[whose as usize]
    }

    /// A student is meant to be in from this moment on.
    pub(super) fn send_in(&mut self, pupil: u32, meant_ns: u64) {
        let own = &mut self.pupils[pupil as usize];
        (own.is_coming, own.meant_ns) = (true, meant_ns);
        self.coming += 1;
        self.try_in(pupil);
    }

    /// Connects him to the next node that is ready, but not to that on which he is.
    pub(super) fn try_in(&mut self, pupil: u32) {
        let (own, now_ns) = (&self.pupils[pupil as usize], clock::now_ns());
        let whose = (2 * pupil..2 * pupil + 2).find(|whose| self.seats[*whose as usize].phase == Phase::Nobody);
        let former = &self.seats[(2 * pupil + own.newest) as usize];
        let left = (own.in_ns > 0 && former.phase != Phase::Nobody).then_some(former.node);
        let nodes = self.ways.len() as u32;
        let mut next = (0..nodes).map(|step| (own.next + step) % nodes);
        let node = next.find(|node| self.ways[*node as usize].is_ready && Some(*node) != left);
        let (Some(whose), Some(node)) = (whose, node) else { return self.try_later(pupil, now_ns) };
        self.pupils[pupil as usize].next = (node + 1) % nodes;
        let seat = self.seat(whose);
        (seat.node, seat.last) = (node, 0);
        seat.step(Phase::Connecting, now_ns);
        self.open += 1;
        self.await_next(whose, "sign-in");
        if let Err(fault) = self.dial(whose) {
            self.ended(whose, &fault);
        }
    }

    fn try_later(&mut self, pupil: u32, now_ns: u64) {
        let own = &mut self.pupils[pupil as usize];
        if now_ns < own.meant_ns.saturating_add(clock::nanos(self.order.crowd.timeout)) {
            return self.again.push_back((now_ns + AGAIN_NS, pupil));
        }
        own.is_coming = false;
        self.coming -= 1;
        self.blame(When::SignIn, &Fault::Timeout("finding a node"));
    }

    /// TCP has answered.
    pub(super) fn upgrade(&mut self, whose: u32) -> Result<(), Fault> {
        let seat = &mut self.seats[whose as usize];
        seat.line.send(&self.ways[seat.node as usize].upgrade.request)?;
        let took_ns = seat.step(Phase::Upgrading, clock::now_ns());
        self.tally.record(Measure::Connect, took_ns);
        Ok(())
    }

    /// Goes through whole messages and keeps the rest.
    pub(super) fn hear(&mut self, whose: u32, mut bytes: &[u8], now_ns: u64) -> Result<(), Fault> {
        let seat = &mut self.seats[whose as usize];
        if seat.phase == Phase::Upgrading {
            let Answer::Whole((), end) = self.ways[seat.node as usize].upgrade.judge(bytes)? else {
                seat.line.rest.extend_from_slice(bytes);
                return Ok(());
            };
            bytes = &bytes[end..];
            seat.line.send(self.students.frame(whose as usize / 2))?;
            let took_ns = seat.step(Phase::SigningIn, now_ns);
            self.tally.record(Measure::Upgrade, took_ns);
        }
        loop {
            match frames::scan(bytes) {
                Scan::Incomplete => {
                    self.seat(whose).line.rest.extend_from_slice(bytes);
                    return Ok(());
                }
                Scan::Broken(how) => return Err(Fault::Broken(how)),
                Scan::Frame { opcode, payload, bytes: end } => {
                    self.frame(whose, opcode, payload, now_ns)?;
                    bytes = &bytes[end..];
                }
            }
        }
    }

    fn frame(&mut self, whose: u32, kind: u8, payload: &[u8], now_ns: u64) -> Result<(), Fault> {
        match kind {
            opcode::TEXT => self.text(whose, payload, now_ns),
            opcode::PING if matches!(self.seat(whose).phase, Phase::Closing { .. }) => Ok(()),
            opcode::PING => {
                self.tally.counts.pings += 1;
                self.control(whose, opcode::PONG, payload)
            }
            opcode::PONG => Ok(()),
            opcode::CLOSE => self.closed(whose, payload),
            _ => Err(Fault::Broken("unexpected kind of frame")),
        }
    }

    fn control(&mut self, whose: u32, kind: u8, payload: &[u8]) -> Result<(), Fault> {
        let (frame, length) = frames::control(kind, payload, (mix(whose.into()) as u32).to_be_bytes());
        self.seat(whose).line.send(&frame[..length])
    }

    fn text(&mut self, whose: u32, text: &[u8], now_ns: u64) -> Result<(), Fault> {
        let is_early = self.seat(whose).phase == Phase::SigningIn;
        let counts = &mut self.tally.counts;
        match contract::hear(text) {
            Heard::Success => {
                self.signed(whose, now_ns);
                return Ok(());
            }
            Heard::Refused(kind) if is_early => return Err(Fault::Contract(kind)),
            Heard::Refused(kind) => {
                self.told(whose, kind, now_ns);
                return Ok(());
            }
            Heard::Tick(tick) => self.tick(whose, tick, now_ns)?,
            Heard::Entered => counts.entered += 1,
            Heard::Left => counts.left += 1,
            Heard::Changed => counts.changed += 1,
            Heard::Other | Heard::Foreign => counts.other += 1,
        }
        self.tally.counts.early += u64::from(is_early);
        Ok(())
    }

    fn signed(&mut self, whose: u32, now_ns: u64) {
        let seat = self.seat(whose);
        if seat.phase != Phase::SigningIn {
            self.tally.counts.doubled += 1;
            return;
        }
        let took_ns = seat.step(Phase::Signed, now_ns);
        seat.line.rest_assured();
        self.tally.record(Measure::Admission, took_ns);
        self.coming -= 1;
        let own = &mut self.pupils[whose as usize / 2];
        (own.newest, own.is_coming, own.is_replaced, own.is_bare) = (whose % 2, false, false, false);
        let waited_ns = now_ns.saturating_sub(own.meant_ns);
        if own.in_ns > 0 {
            self.tally.rolling.moved += 1;
            return self.tally.record(Measure::Return, waited_ns);
        }
        own.in_ns = now_ns;
        self.tally.counts.signed_in += 1;
        self.tally.signing_in.hold(now_ns);
        self.tally.record(Measure::SignIn, waited_ns);
    }

    /// An error of the contract on a connection that is in.
    fn told(&mut self, whose: u32, kind: String, now_ns: u64) {
        let own = &mut self.pupils[whose as usize / 2];
        match kind.as_str() {
            TERMINATED => {
                self.tally.rolling.told += 1;
                if !own.is_coming && own.newest == whose % 2 {
                    self.send_in(whose / 2, now_ns);
                }
            }
            REPLACED => {
                own.is_replaced = true;
                self.tally.rolling.replaced += 1;
                self.seat(whose).step(Phase::Leaving, now_ns);
            }
            _ => self.blame(When::Member, &Fault::Contract(kind)),
        }
    }

    fn tick(&mut self, whose: u32, tick: Tick, now_ns: u64) -> Result<(), Fault> {
        let seat = &mut self.seats[whose as usize];
        self.tally.counts.disordered += u64::from(tick.sequence_id <= seat.last);
        seat.last = tick.sequence_id;
        let own = &mut self.pupils[whose as usize / 2];
        match self.book.heard(&mut own.known, own.room, tick.number) {
            None => return Err(Fault::Broken("an event that was not published to the room")),
            Some(false) => self.tally.counts.twice += 1,
            Some(true) => {
                self.tally.counts.delivered += 1;
                self.tally.record(Measure::Delivery, now_ns.saturating_sub(tick.at_ns));
                self.tally.delivering.hold(now_ns);
            }
        }
        Ok(())
    }

    fn closed(&mut self, whose: u32, payload: &[u8]) -> Result<(), Fault> {
        let code = payload.first_chunk().copied().map(u16::from_be_bytes);
        let seat = self.seat(whose);
        match seat.phase {
            Phase::Closing { .. } => {
                seat.phase = Phase::Closing { answered: true };
                return Ok(());
            }
            Phase::Nobody | Phase::Connecting | Phase::Upgrading | Phase::SigningIn => return Err(Fault::Closed(code)),
            Phase::Signed => {
                seat.phase = Phase::Leaving;
                if code != Some(RESTART) {
                    self.tally.counts.lost += 1;
                    self.blame(When::Member, &Fault::Closed(code));
                }
                self.left(whose);
            }
            Phase::Leaving => {}
        }
        // The server has said goodbye: whether our answer still reaches it changes nothing.
        let _ = self.control(whose, opcode::CLOSE, payload);
        Ok(())
    }

    /// A student is in by this connection no more: he comes by another, if he does not already.
    fn left(&mut self, whose: u32) {
        self.note_bare(whose / 2);
        let own = &self.pupils[whose as usize / 2];
        let is_over = matches!(self.stage, Some((Stage::Close, _)));
        if own.newest == whose % 2 && !own.is_coming && !is_over {
            self.send_in(whose / 2, clock::now_ns());
        }
    }

    fn note_bare(&mut self, pupil: u32) {
        let mut seats = self.seats[2 * pupil as usize..][..2].iter().map(|seat| seat.phase);
        let own = &mut self.pupils[pupil as usize];
        let has_one = seats.any(|phase| phase == Phase::Signed || (phase == Phase::SigningIn && own.is_replaced));
        if own.in_ns > 0 && !has_one && !own.is_bare {
            own.is_bare = true;
            self.tally.rolling.bare += 1;
        }
    }

    /// Sends Close; the server answers it and ends the connection.
    pub(super) fn close(&mut self, whose: u32) {
        match self.seat(whose).phase {
            Phase::Nobody | Phase::Leaving | Phase::Closing { .. } => return,
            Phase::Connecting | Phase::Upgrading | Phase::SigningIn => return self.drop_seat(whose),
            Phase::Signed => {}
        }
        self.seat(whose).step(Phase::Closing { answered: false }, clock::now_ns());
        self.await_next(whose, "close");
        if let Err(fault) = self.control(whose, opcode::CLOSE, &1000u16.to_be_bytes()) {
            self.ended(whose, &fault);
        }
    }

    fn drop_seat(&mut self, whose: u32) {
        self.seat(whose).stop();
        self.open -= 1;
    }

    /// A connection has ended.
    pub(super) fn ended(&mut self, whose: u32, fault: &Fault) {
        let (phase, began_ns) = (self.seat(whose).phase, self.seat(whose).step_ns);
        if phase == Phase::Nobody {
            return;
        }
        self.drop_seat(whose);
        match phase {
            Phase::Nobody | Phase::Leaving => {}
            Phase::Connecting | Phase::Upgrading | Phase::SigningIn => {
                self.tally.rolling.retried += 1;
                if !is_of_one_that_leaves(fault) {
                    self.blame(When::SignIn, fault);
                }
                self.note_bare(whose / 2);
                if self.pupils[whose as usize / 2].is_coming {
                    self.try_later(whose / 2, clock::now_ns());
                }
            }
            Phase::Signed => {
                self.tally.counts.lost += 1;
                self.blame(When::Member, fault);
                self.left(whose);
            }
            Phase::Closing { answered: true } => {
                self.tally.counts.closed += 1;
                self.tally.record(Measure::Close, clock::now_ns() - began_ns);
            }
            Phase::Closing { answered: false } => self.blame(When::Closing, fault),
        }
    }
}

/// A node that is leaving, or is not there yet, turns away those who come: they try another.
fn is_of_one_that_leaves(fault: &Fault) -> bool {
    match fault {
        Fault::Os(Errno::CONNREFUSED | Errno::CONNRESET | Errno::PIPE) | Fault::Ended | Fault::Http(503) => true,
        Fault::Contract(kind) => kind == TERMINATED,
        Fault::Closed(code) => *code == Some(RESTART),
        Fault::Os(_) | Fault::Timeout(_) | Fault::Http(_) | Fault::Broken(_) | Fault::Tls(_) => false,
    }
}
