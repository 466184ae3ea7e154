//! One connection: where it stands, and what it does with what it hears.

use super::Swarm;
use crate::{
    clock,
    contract::{self, Heard, Tick},
    crew::letters::Stage,
    fault::Fault,
    order::{Fate, mix},
    tally::Measure,
    wire::{
        frames::{self, Scan, opcode},
        http::Answer,
        pipe::Pipe,
        socket::stamp_arrivals,
    },
};
use rustix::{event::epoll::EventFlags, io::Errno};

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
    /// We sent Close.
    Closing {
        /// The server has answered it.
        answered: bool,
    },
}

impl Phase {
    /// The name of the step that has a time-out, if it has one.
    pub(super) fn step(self) -> Option<&'static str> {
        match self {
            Phase::Nobody | Phase::Signed => None,
            Phase::Connecting => Some("connect"),
            Phase::Upgrading => Some("upgrade"),
            Phase::SigningIn => Some("sign-in"),
            Phase::Closing { .. } => Some("close"),
        }
    }
}

/// One place for a connection. Used again by the next when it is free.
#[derive(Default)]
pub(super) struct Member {
    pub(super) socket: Option<Pipe>,
    pub(super) phase: Phase,
    pub(super) room: u32,
    pub(super) step_began_ns: u64,
    /// When the step must be done, if it has a time-out.
    pub(super) due_ns: u64,
    student: u32,
    generation: u32,
    intended_ns: u64,
    last_tick: u64,
    /// It reads slowly when it is told to.
    pub(super) is_slow: bool,
    /// When it was meant to be back, while its own close is under way; 0: it is not waited for.
    pub(super) back_ns: u64,
    /// When the last Ping came, by the kernel; 0: none did, or nobody looks.
    pinged_ns: u64,
    /// A frame that is not whole yet. Empty, and mostly without memory, between frames.
    rest: Vec<u8>,
}

impl Member {
    /// A place that nobody has.
    pub(super) fn new(is_slow: bool) -> Member {
        Member { is_slow, ..Member::default() }
    }

    /// A new connection begins here.
    pub(super) fn start(&mut self, student: u32, room: u32, intended_ns: u64, now_ns: u64) {
        self.phase = Phase::Connecting;
        self.generation = (self.generation + 1) & 0x7fff_ffff;
        (self.student, self.room) = (student, room);
        (self.intended_ns, self.step_began_ns) = (intended_ns, now_ns);
        self.last_tick = 0;
        self.pinged_ns = 0;
        self.rest.clear();
    }

    /// The connection is over.
    pub(super) fn stop(&mut self) {
        self.phase = Phase::Nobody;
        self.socket = None;
        self.rest.clear();
    }

    /// Tells this connection from those that had the place before.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// How many connections had the place before.
    pub(super) fn uses(&self) -> u32 {
        self.generation
    }

    /// Whether this is the connection of that generation, and still one.
    pub(super) fn is(&self, generation: u32) -> bool {
        self.phase != Phase::Nobody && self.generation == generation
    }

    /// A mask for one frame.
    pub(super) fn mask(&self) -> [u8; 4] {
        (mix(u64::from(self.student) ^ self.step_began_ns) as u32).to_be_bytes()
    }

    /// Our Close is being sent.
    pub(super) fn begin_close(&mut self, now_ns: u64) {
        self.phase = Phase::Closing { answered: false };
        self.step_began_ns = now_ns;
    }

    /// The next step begins; returns how long the last one took.
    fn step(&mut self, phase: Phase, now_ns: u64) -> u64 {
        let took_ns = now_ns.saturating_sub(self.step_began_ns);
        (self.phase, self.step_began_ns) = (phase, now_ns);
        took_ns
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.socket.as_mut().ok_or(Fault::Ended)?.send_all(bytes)
    }
}

/// How a connection goes on after what it heard.
pub(super) enum Next {
    Stay,
    /// It ends, as it should (`None`) or not.
    End(Option<Fault>),
}

impl Swarm {
    /// The socket of this place can be read or written.
    pub(super) fn ready(&mut self, place: u32, flags: EventFlags) {
        if self.members[place as usize].phase == Phase::Connecting {
            if !flags.intersects(EventFlags::OUT | EventFlags::ERR | EventFlags::HUP) {
                return;
            }
            if let Err(fault) = self.connected(place) {
                return self.end(place, Some(fault));
            }
        }
        if flags.contains(EventFlags::OUT)
            && let Some(socket) = &mut self.members[place as usize].socket
            && let Err(fault) = socket.flush()
        {
            return self.end(place, Some(fault));
        }
        if self.is_dozing(place) {
            return;
        }
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::ERR | EventFlags::HUP) {
            let to_the_end = flags.intersects(EventFlags::RDHUP | EventFlags::ERR | EventFlags::HUP);
            let mut buffer = std::mem::take(&mut self.buffer);
            let next = self.read(place, &mut buffer, to_the_end, usize::MAX);
            self.buffer = buffer;
            if let Next::End(fault) = next {
                self.end(place, fault);
            }
        }
    }

    /// TCP has answered: the send of the upgrade also tells how.
    fn connected(&mut self, place: u32) -> Result<(), Fault> {
        let is_stamped = self.order.pings_every.is_some();
        let member = &mut self.members[place as usize];
        if let (true, Some(socket)) = (is_stamped, &member.socket) {
            stamp_arrivals(socket)?;
        }
        member.send(&self.upgrade.request)?;
        let took_ns = member.step(Phase::Upgrading, clock::now_ns());
        self.tally.record(Measure::Connect, took_ns);
        Ok(())
    }

    /// Reads all there is. A read that does not fill the buffer has emptied the socket, unless the peer has already ended.
    ///
    /// At most `most` bytes at once: less than all leaves the rest to the next time.
    pub(super) fn read(&mut self, place: u32, buffer: &mut [u8], to_the_end: bool, most: usize) -> Next {
        loop {
            let member = &mut self.members[place as usize];
            let Some(socket) = &mut member.socket else { return Next::Stay };
            let before = member.rest.len();
            let end = before.saturating_add(most).min(buffer.len());
            let read = match socket.read(&mut buffer[before..end], self.order.pings_every.is_some()) {
                Ok((0, _)) => return Next::End(ended(member.phase)),
                Ok((read, stamp_ns)) => {
                    self.stamp_ns = stamp_ns.unwrap_or(0);
                    read
                }
                Err(Fault::Os(Errno::AGAIN | Errno::INTR)) => return Next::Stay,
                Err(fault) => return Next::End(Some(fault)),
            };
            let full = before + read == end;
            buffer[..before].copy_from_slice(&member.rest);
            member.rest.clear();
            self.tally.counts.bytes_read += read as u64;
            if let end @ Next::End(_) = self.hear(place, &buffer[..before + read], clock::now_ns()) {
                return end;
            }
            if (!full && !to_the_end) || end < buffer.len() {
                return Next::Stay;
            }
        }
    }

    /// Goes through whole messages and keeps the rest.
    fn hear(&mut self, place: u32, mut bytes: &[u8], now_ns: u64) -> Next {
        if self.members[place as usize].phase == Phase::Upgrading {
            match self.upgrade.judge(bytes) {
                Err(fault) => return Next::End(Some(fault)),
                Ok(Answer::Incomplete) => {
                    self.members[place as usize].rest.extend_from_slice(bytes);
                    return Next::Stay;
                }
                Ok(Answer::Whole((), end)) => {
                    bytes = &bytes[end..];
                    if let Err(fault) = self.upgraded(place, now_ns) {
                        return Next::End(Some(fault));
                    }
                }
            }
        }
        loop {
            match frames::scan(bytes) {
                Scan::Incomplete => {
                    self.members[place as usize].rest.extend_from_slice(bytes);
                    return Next::Stay;
                }
                Scan::Broken(how) => return Next::End(Some(Fault::Broken(how))),
                Scan::Frame { opcode, payload, bytes: end } => {
                    if let next @ Next::End(_) = self.frame(place, opcode, payload, now_ns) {
                        return next;
                    }
                    bytes = &bytes[end..];
                }
            }
        }
    }

    fn upgraded(&mut self, place: u32, now_ns: u64) -> Result<(), Fault> {
        let member = &mut self.members[place as usize];
        let took_ns = member.step(Phase::SigningIn, now_ns);
        member.send(self.students.frame(member.student as usize))?;
        self.tally.record(Measure::Upgrade, took_ns);
        self.note_asked(place, now_ns);
        Ok(())
    }

    fn frame(&mut self, place: u32, kind: u8, payload: &[u8], now_ns: u64) -> Next {
        match kind {
            opcode::TEXT => self.text(place, payload, now_ns),
            opcode::PING => self.ping(place, payload),
            opcode::PONG => Next::Stay,
            opcode::CLOSE => self.closed(place, payload),
            _ => Next::End(Some(Fault::Broken("unexpected kind of frame"))),
        }
    }

    fn ping(&mut self, place: u32, payload: &[u8]) -> Next {
        let member = &mut self.members[place as usize];
        if matches!(member.phase, Phase::Closing { .. }) {
            return Next::Stay;
        }
        let (frame, length) = frames::control(opcode::PONG, payload, member.mask());
        self.tally.counts.pings += 1;
        let (before_ns, now_ns) = (member.pinged_ns, self.stamp_ns);
        member.pinged_ns = now_ns;
        if let (Some((Stage::Hold, _)), Some(every), 1.., 1..) = (self.stage, self.order.pings_every, before_ns, now_ns) {
            self.tally.record(Measure::Jitter, now_ns.saturating_sub(before_ns).abs_diff(clock::nanos(every)));
        }
        member.send(&frame[..length]).map_or_else(|fault| Next::End(Some(fault)), |()| Next::Stay)
    }

    fn closed(&mut self, place: u32, payload: &[u8]) -> Next {
        let member = &mut self.members[place as usize];
        let code = payload.first_chunk().copied().map(u16::from_be_bytes);
        if matches!(member.phase, Phase::Closing { .. }) {
            member.phase = Phase::Closing { answered: true };
            return Next::Stay;
        }
        let (frame, length) = frames::control(opcode::CLOSE, payload, member.mask());
        // The server has said goodbye: whether our answer still reaches it changes nothing.
        let _ = member.send(&frame[..length]);
        Next::End(Some(Fault::Closed(code)))
    }

    fn text(&mut self, place: u32, text: &[u8], now_ns: u64) -> Next {
        match contract::hear(text) {
            Heard::Success => return self.success(place, now_ns),
            Heard::Refused(kind) => return Next::End(Some(Fault::Contract(kind))),
            Heard::Tick(tick) => self.tick(place, tick, now_ns),
            Heard::Entered => {
                self.tally.counts.entered += 1;
                self.note_change(place, text);
            }
            Heard::Left => {
                self.tally.counts.left += 1;
                self.note_change(place, text);
            }
            Heard::Changed => {
                self.tally.counts.changed += 1;
                self.note_change(place, text);
            }
            Heard::Other | Heard::Foreign => self.tally.counts.other += 1,
        }
        self.tally.counts.early += u64::from(self.members[place as usize].phase == Phase::SigningIn);
        Next::Stay
    }

    fn success(&mut self, place: u32, now_ns: u64) -> Next {
        let member = &mut self.members[place as usize];
        if member.phase != Phase::SigningIn {
            self.tally.counts.doubled += 1;
            return Next::Stay;
        }
        let took_ns = member.step(Phase::Signed, now_ns);
        let (room, intended_ns) = (member.room as usize, member.intended_ns);
        self.tally.record(Measure::Admission, took_ns);
        self.tally.counts.signed_in += 1;
        self.note_in(place, now_ns);
        self.note_sign_in(place, intended_ns, now_ns, matches!(self.stage, Some((Stage::Storm, _))));
        if let Some(living) = self.living.get_mut(room) {
            *living += 1;
        }
        match self.order.fate {
            Fate::Stay => self.decide(now_ns),
            Fate::Leave => self.close(place),
        }
        Next::Stay
    }

    fn tick(&mut self, place: u32, tick: Tick, now_ns: u64) {
        let member = &mut self.members[place as usize];
        self.tally.counts.delivered += 1;
        self.tally.counts.disordered += u64::from(tick.sequence_id <= member.last_tick);
        member.last_tick = tick.sequence_id;
        let measure = self.delivery(place, tick);
        if let Some(measure) = measure {
            self.tally.record(measure, now_ns.saturating_sub(tick.at_ns));
        }
        self.tally.delivering.hold(now_ns);
        self.note_heard(place, tick, now_ns);
        if let Some(publisher) = &mut self.publisher {
            publisher.delivered(tick.number);
        }
    }
}

/// What the end of the stream means.
fn ended(phase: Phase) -> Option<Fault> {
    match phase {
        Phase::Closing { answered: true } => None,
        Phase::Closing { answered: false } => Some(Fault::Ended),
        Phase::Nobody | Phase::Connecting | Phase::Upgrading | Phase::SigningIn | Phase::Signed => Some(Fault::Ended),
    }
}
