//! When bytes are pushed and keys pressed, and how they leave.

use super::{
    BEGINS_PER_TURN, Lab, Whose,
    order::{Direction, Keys, Role},
    socket::{Half, Phase},
    stream::{self, BATCH, Proof},
};
use crate::{
    clock,
    fault::Fault,
    tally::Measure,
    tempo::Tempo,
    wire::{frames, poll::Lines},
};
use std::cmp::Ordering;

/// So often a socket is given something before the others are looked at.
const STEPS_PER_TURN: usize = 8;

/// One way of a tunnel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// What its blocks are told by.
    pub(super) key: u64,
    /// Blocks that were begun, and those whose moment has come.
    next: u64,
    due: u64,
    /// How many bytes may be sent, where that is counted.
    pub(super) credit: Option<u64>,
    /// Whether it is among those of its agent that may have something.
    listed: bool,
    /// What came of it at the other end.
    pub(super) proof: Proof,
}

impl Flow {
    /// Of which nothing was sent.
    pub(super) fn new(key: u64) -> Flow {
        Flow { key, next: 0, due: 0, credit: None, listed: false, proof: Proof::default() }
    }

    /// Takes the blocks that may go out now: the first of them, and how many.
    fn take(&mut self, chunk: u64) -> Option<(u64, usize)> {
        let credit = self.credit.map_or(u64::MAX, |credit| credit / chunk);
        let blocks = (self.due - self.next).min(credit).min(BATCH as u64);
        let first = self.next;
        self.next += blocks;
        self.credit = self.credit.map(|credit| credit - blocks * chunk);
        (blocks > 0).then_some((first, blocks as usize))
    }
}

/// The traffic of a stage.
#[derive(Default)]
pub(super) struct Schedule {
    from_ns: u64,
    end_ns: u64,
    /// Whether pushing has ended.
    over: bool,
    /// Places of sessions.
    bulk: Vec<u32>,
    typists: Vec<u32>,
    keys: Metronome,
    blocks: Metronome,
}

/// Moments, so many of them.
#[derive(Clone, Copy, Default)]
struct Metronome {
    from_ns: u64,
    tempo: Option<Tempo>,
    /// Every so manyth moment of the tempo is one of these.
    every: f64,
    next: u64,
    count: u64,
}

impl Metronome {
    /// At even distances over that time.
    fn even(from_ns: u64, lasting_ns: u64, count: u64) -> Metronome {
        let tempo = Tempo::steady(count as f64 * 1e9 / lasting_ns.max(1) as f64);
        Metronome { from_ns, tempo: Some(tempo), every: 1.0, next: 0, count }
    }

    /// The moments of `own` of `all` who share them.
    fn shared(from_ns: u64, keys: Keys, own: u64, all: u64) -> Metronome {
        let count = keys.count * own / all.max(1);
        Metronome { from_ns, tempo: Some(keys.tempo), every: all as f64 / own.max(1) as f64, next: 0, count }
    }

    /// The next moment; none is left.
    fn due_ns(&self) -> Option<u64> {
        let tempo = self.tempo.filter(|_| self.next < self.count)?;
        Some(self.from_ns.saturating_add(tempo.after_ns(self.next as f64 * self.every)))
    }
}

impl Lab {
    /// Traffic begins at `from_ns`.
    pub(super) fn open_schedule(&mut self, from_ns: u64) {
        let lasting_ns = clock::nanos(self.order.lasting);
        let of = |role| (0..).zip(&self.sessions).filter(move |(_, session)| session.role == role).map(|(place, _)| place);
        let (bulk, typists): (Vec<u32>, Vec<u32>) = (of(Role::Bulk).collect(), of(Role::Typist).collect());
        let seconds = self.order.lasting.as_secs_f64();
        let each = self.order.bulk_rate.map_or(0, |rate| (rate * seconds / f64::from(self.order.chunk)) as u64);
        self.schedule = Schedule {
            from_ns,
            end_ns: from_ns.saturating_add(lasting_ns),
            over: false,
            keys: Metronome::shared(from_ns, self.order.keys, typists.len() as u64, self.order.typists.into()),
            blocks: Metronome::even(from_ns, lasting_ns, each * bulk.len() as u64),
            bulk,
            typists,
        };
        if !self.schedule.bulk.is_empty() || !self.schedule.typists.is_empty() {
            self.tally.streaming.hold(from_ns);
        }
        if self.order.bulk_rate.is_none() {
            for place in self.schedule.bulk.clone() {
                self.allow(place, u64::MAX);
            }
        }
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.stage.is_some_and(|(stage, _)| stage == crate::crew::letters::Stage::Stream)
    }

    /// Blocks up to this number may leave.
    fn allow(&mut self, place: u32, blocks: u64) {
        let session = &mut self.sessions[place as usize];
        if session.tunnel.is_none() || session.socket.phase != Phase::Open {
            return;
        }
        let (agent, direction) = (session.agent, self.order.direction);
        if direction != Direction::Up {
            session.down.due = blocks;
            self.list(place);
            self.eager.push_back(Whose::Agent(agent));
        }
        if direction != Direction::Down {
            self.sessions[place as usize].up.due = blocks;
            self.eager.push_back(Whose::Viewer(place));
        }
    }

    /// Its agent may have something to push.
    pub(super) fn list(&mut self, place: u32) {
        let session = &mut self.sessions[place as usize];
        if !session.down.listed && session.down.due > session.down.next {
            session.down.listed = true;
            self.agents[session.agent as usize].ready.push_back(place);
        }
    }

    /// What is due begins; returns when the next thing is.
    pub(super) fn begin_traffic(&mut self) -> u64 {
        let now_ns = clock::now_ns();
        if now_ns >= self.schedule.end_ns && !self.schedule.over {
            self.schedule.over = true;
            self.stop_at_full_speed();
        }
        let blocks_ns = self.begin_blocks();
        let keys_ns = self.begin_keys();
        let end_ns = if self.schedule.over { self.give_up_ns() } else { self.schedule.end_ns };
        blocks_ns.min(keys_ns).min(end_ns)
    }

    fn stop_at_full_speed(&mut self) {
        if self.order.bulk_rate.is_some() {
            return;
        }
        for place in &self.schedule.bulk {
            let session = &mut self.sessions[*place as usize];
            session.down.due = session.down.due.min(session.down.next);
            session.up.due = session.up.due.min(session.up.next);
        }
    }

    fn begin_blocks(&mut self) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            let Some(due_ns) = self.schedule.blocks.due_ns() else { return u64::MAX };
            let now_ns = clock::now_ns();
            if now_ns < due_ns {
                return due_ns;
            }
            self.tally.record(Measure::Lag, now_ns - due_ns);
            let (number, streams) = (self.schedule.blocks.next, self.schedule.bulk.len() as u64);
            self.schedule.blocks.next += 1;
            let place = self.schedule.bulk[(number % streams) as usize];
            let Flow { next, due, .. } = self.sessions[place as usize].down;
            self.tally.lab.held_back += u64::from(self.order.direction == Direction::Down && next < due);
            self.allow(place, number / streams + 1);
        }
        0
    }

    fn begin_keys(&mut self) -> u64 {
        for _ in 0..BEGINS_PER_TURN {
            let Some(due_ns) = self.schedule.keys.due_ns() else { return u64::MAX };
            let now_ns = clock::now_ns();
            if now_ns < due_ns {
                return due_ns;
            }
            self.tally.record(Measure::Lag, now_ns - due_ns);
            let (number, typists) = (self.schedule.keys.next, self.schedule.typists.len() as u64);
            self.schedule.keys.next += 1;
            let place = self.schedule.typists[(number % typists) as usize];
            if let Err(fault) = self.press(place, due_ns) {
                self.over(Whose::Viewer(place), fault);
            }
        }
        0
    }

    /// A key is pressed that was meant to be at this moment.
    fn press(&mut self, place: u32, intended_ns: u64) -> Result<(), Fault> {
        let mask = self.mask(Whose::Viewer(place));
        let session = &mut self.sessions[place as usize];
        if session.socket.phase != Phase::Open {
            return Ok(());
        }
        self.tally.lab.held_back += u64::from(session.socket.out_sent < session.socket.out.len());
        frames::put_binary(&mut session.socket.out, &stream::key(intended_ns, session.pressed), &[], mask);
        session.pressed += 1;
        self.tally.lab.keys_sent += 1;
        self.pump(Whose::Viewer(place))
    }

    /// Whether all that was sent has come, or nobody waits for it any more.
    pub(super) fn is_all_heard(&self) -> bool {
        let lab = &self.tally.lab;
        let is_begun = self.schedule.over && self.schedule.blocks.due_ns().is_none() && self.schedule.keys.due_ns().is_none();
        let sent = self.schedule.bulk.iter().all(|place| {
            let session = &self.sessions[*place as usize];
            session.down.next == session.down.due && session.up.next == session.up.due
        });
        let heard = (lab.down_heard, lab.up_heard, lab.keys_heard) == (lab.down_sent, lab.up_sent, lab.keys_sent);
        is_begun && (sent && heard || clock::now_ns() >= self.give_up_ns())
    }

    fn give_up_ns(&self) -> u64 {
        self.schedule.end_ns.max(self.schedule.from_ns).saturating_add(clock::nanos(self.order.timeout))
    }

    /// Gives a socket what there is for it, but not for ever.
    pub(super) fn pump(&mut self, whose: Whose) -> Result<(), Fault> {
        for _ in 0..STEPS_PER_TURN {
            if !self.step(whose)? {
                return Ok(());
            }
        }
        self.eager.push_back(whose);
        Ok(())
    }

    /// Blocks that were begun come first, then what was said, then new blocks. False: it is full, or nothing is left.
    fn step(&mut self, whose: Whose) -> Result<bool, Fault> {
        if self.socket(whose).line.socket.is_none() || self.socket(whose).line.dialling {
            return Ok(false);
        }
        if let Some(half) = self.socket(whose).half {
            return self.send_half(whose, half);
        }
        let socket = self.socket(whose);
        if socket.out_sent < socket.out.len() {
            let sent = socket.line.send_some(&socket.out[socket.out_sent..])?;
            socket.out_sent += sent;
            if socket.out_sent < socket.out.len() {
                return Ok(false);
            }
            socket.out.clear();
            socket.out_sent = 0;
        }
        self.begin_half(whose);
        Ok(self.socket(whose).half.is_some())
    }

    fn begin_half(&mut self, whose: Whose) {
        let chunk = u64::from(self.order.chunk);
        let is_open = self.socket(whose).phase == Phase::Open;
        let taken = match whose {
            _ if !is_open => None,
            Whose::Viewer(place) => self.sessions[place as usize].up.take(chunk).map(|taken| (place, taken)),
            Whose::Agent(place) => self.take_turns(place, chunk),
        };
        let Some((session, (first, blocks))) = taken else { return };
        let bytes = blocks as u64 * chunk;
        match whose {
            Whose::Agent(_) => self.tally.lab.down_sent += bytes,
            Whose::Viewer(_) => self.tally.lab.up_sent += bytes,
        }
        let tunnel = self.sessions[session as usize].tunnel.unwrap_or_default();
        self.socket(whose).half = Some(Half { session, tunnel, first, blocks, sent: 0 });
    }

    /// The next of an agent's sessions that may push something.
    fn take_turns(&mut self, place: u32, chunk: u64) -> Option<(u32, (u64, usize))> {
        let agent = &mut self.agents[place as usize];
        while let Some(session) = agent.ready.pop_front() {
            let at = &mut self.sessions[session as usize];
            let taken = if at.tunnel.is_some() { at.down.take(chunk) } else { None };
            at.down.listed = taken.is_some();
            if let Some(taken) = taken {
                agent.ready.push_back(session);
                return Some((session, taken));
            }
        }
        None
    }

    fn send_half(&mut self, whose: Whose, mut half: Half) -> Result<bool, Fault> {
        let at = &self.sessions[half.session as usize];
        let bytes = match whose {
            Whose::Agent(_) => self.down.stamp(half.tunnel, at.down.key, half.first, half.blocks),
            Whose::Viewer(_) => self.up.stamp(0, at.up.key, half.first, half.blocks),
        };
        let length = bytes.len();
        let socket = match whose {
            Whose::Agent(place) => &mut self.agents[place as usize].socket,
            Whose::Viewer(place) => &mut self.sessions[place as usize].socket,
        };
        half.sent += socket.line.send_some(&bytes[half.sent..])?;
        match half.sent.cmp(&length) {
            Ordering::Less => {
                socket.half = Some(half);
                Ok(false)
            }
            Ordering::Equal | Ordering::Greater => {
                socket.half = None;
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_even_and_counted() {
        let all = |mut metronome: Metronome| {
            let mut all = Vec::new();
            while let Some(due_ns) = metronome.due_ns() {
                all.push(due_ns);
                metronome.next += 1;
            }
            all
        };
        assert_eq!(all(Metronome::even(1_000, 100, 4)), [1_000, 1_025, 1_050, 1_075]);
        assert_eq!(Metronome::even(0, 0, 0).due_ns(), None);
        // A thousand a second over eight typists, two of whom are this worker's.
        let keys = Keys { tempo: Tempo::steady(1_000.0), count: 12 };
        assert_eq!(all(Metronome::shared(7, keys, 2, 8)), [7, 4_000_007, 8_000_007]);
        assert_eq!(Metronome::shared(7, keys, 0, 8).due_ns(), None);
    }

    #[test]
    fn blocks_go_out_as_due_and_as_credit_allows() {
        let mut flow = Flow::new(0);
        assert_eq!(flow.take(100), None, "nothing is due");
        flow.due = 20;
        assert_eq!(flow.take(100), Some((0, BATCH)));
        flow.credit = Some(250);
        assert_eq!(flow.take(100), Some((8, 2)));
        assert_eq!((flow.take(100), flow.credit), (None, Some(50)));
        flow.credit = None;
        flow.take(100);
        assert_eq!((flow.take(100), flow.take(100)), (Some((18, 2)), None));
    }
}
