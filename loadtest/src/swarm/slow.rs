//! Members who do not read, or read a little at a time; in the end they wake up and read what is left.

use super::{
    Swarm,
    member::{Next, Phase},
};
use crate::{clock, contract::Tick, crew::letters::Stage, fault::Fault, order::Slow, tally::Measure};
use rustix::event::epoll::EventFlags;
use std::time::Duration;

/// A slow reader takes its sips this far apart.
const SIP_NS: u64 = 100_000_000;

/// When slow members read.
#[derive(Default)]
pub(super) struct Sips {
    from_ns: u64,
    next_ns: u64,
    is_counted: bool,
}

impl Sips {
    /// They are slow from this moment on.
    pub(super) fn begin(&mut self, at_ns: u64) {
        *self = Sips { from_ns: at_ns, next_ns: at_ns.saturating_add(SIP_NS), is_counted: false };
    }
}

impl Swarm {
    /// What the kernel may keep for the member of this place.
    pub(super) fn receive_buffer(&self, place: u32) -> Option<u32> {
        self.order.slow.filter(|_| self.members[place as usize].is_slow)?.receive_buffer
    }

    /// Whether this member takes no notice of what comes.
    pub(super) fn is_dozing(&self, place: u32) -> bool {
        let member = &self.members[place as usize];
        let is_stalled = self.stage.is_some_and(|(stage, from_ns)| stage == Stage::Stall && clock::now_ns() >= from_ns);
        is_stalled && member.is_slow && member.phase == Phase::Signed
    }

    /// Whether an end of this member is no fault of the server's: it was slow.
    pub(super) fn is_cut_off(&self, place: u32) -> bool {
        self.members[place as usize].is_slow && matches!(self.stage, Some((Stage::Stall | Stage::Calm, _)))
    }

    /// A slow member's connection has ended.
    pub(super) fn note_cut_off(&mut self, fault: Option<Fault>) {
        self.tally.slow.cut_off += 1;
        let end = fault.map_or_else(|| "closed".to_owned(), |fault| fault.to_string());
        *self.tally.slow_ends.entry(end).or_default() += 1;
    }

    /// Slow members take their sips; returns when the next are due.
    pub(super) fn begin_sips(&mut self) -> u64 {
        let now_ns = clock::now_ns();
        if now_ns < self.sips.from_ns {
            return self.sips.from_ns;
        }
        if !self.sips.is_counted {
            self.tally.slow.members = self.dozing().len() as u64;
            self.sips.is_counted = true;
        }
        let Some(rate) = self.order.slow.and_then(|slow| slow.rate) else { return u64::MAX };
        if now_ns < self.sips.next_ns {
            return self.sips.next_ns;
        }
        // What a late sip was meant to take is not made up for: a slow reader is slower then.
        self.sips.next_ns = now_ns.saturating_add(SIP_NS);
        let most = (rate * SIP_NS as f64 / 1e9).max(1.0) as usize;
        for place in self.dozing() {
            self.gulp(place, most);
        }
        self.sips.next_ns
    }

    fn dozing(&self) -> Vec<u32> {
        (0..self.members.len() as u32).filter(|place| self.is_dozing(*place)).collect()
    }

    /// All read again what is left for them.
    pub(super) fn awake(&mut self) {
        for place in 0..self.members.len() as u32 {
            if self.members[place as usize].is_slow && self.members[place as usize].phase == Phase::Signed {
                self.ready(place, EventFlags::IN | EventFlags::RDHUP);
            }
        }
    }

    fn gulp(&mut self, place: u32, most: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let next = self.read(place, &mut buffer, false, most);
        self.buffer = buffer;
        if let Next::End(fault) = next {
            self.end(place, fault);
        }
    }

    /// What this delivery is measured as; what slow members hear is not.
    pub(super) fn delivery(&mut self, place: u32, tick: Tick) -> Option<Measure> {
        if self.members[place as usize].is_slow {
            self.tally.slow.heard += 1;
            return None;
        }
        let is_beside = self.sips.from_ns > 0 && tick.at_ns >= self.sips.from_ns;
        Some(if is_beside { Measure::Beside } else { Measure::Delivery })
    }

    /// Whether a stretch of the order has lasted as long as it should.
    pub(super) fn is_over(&self, from_ns: u64, lasting: fn(&Slow) -> Duration) -> bool {
        self.order.slow.as_ref().is_none_or(|slow| clock::now_ns() >= from_ns.saturating_add(clock::nanos(lasting(slow))))
    }
}
