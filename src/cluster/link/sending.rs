//! What goes out under one pair: it is kept until the other end has said that it came.

use super::{Limits, Nonsense};
use crate::realtime::Moment;
use bytes::Bytes;
use std::{collections::VecDeque, time::Duration};

/// More waits than may.
#[derive(Debug)]
pub(super) struct Full;

/// The next packet that is to be put on the bus.
pub(super) struct Next {
    pub(super) sequence: u64,
    pub(super) body: Bytes,
    /// Bytes of the same letters that follow.
    pub(super) following: u32,
    /// Whether the other end is asked to answer at once.
    pub(super) urgent: bool,
    /// Whether it went out before.
    pub(super) again: bool,
}

#[derive(Debug)]
struct Held {
    body: Bytes,
    following: u32,
}

impl Held {
    fn costs(&self) -> usize {
        self.body.len() + Limits::PACKET_COSTS
    }
}

#[derive(Debug)]
pub(super) struct Sending {
    limits: Limits,
    /// All that is not acknowledged, in order; the first has the sequence `first`.
    held: VecDeque<Held>,
    first: u64,
    held_bytes: usize,
    /// How many of the held, from the first, are on their way.
    flying: usize,
    flying_bytes: usize,
    /// The greatest sequence that was ever put on the bus.
    highest: u64,
    /// What was on its way is doubted: one packet goes as a question, the rest when it is answered.
    doubts: bool,
    silent_at: Moment,
    wait: Duration,
}

impl Sending {
    pub(super) fn new(limits: Limits) -> Sending {
        Sending {
            limits,
            held: VecDeque::new(),
            first: 1,
            held_bytes: 0,
            flying: 0,
            flying_bytes: 0,
            highest: 0,
            doubts: false,
            silent_at: Moment::default(),
            wait: limits.resend_after,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// In pieces where it is large.
    pub(super) fn push(&mut self, mut body: Bytes) -> Result<(), Full> {
        let pieces = body.len().div_ceil(self.limits.piece_bytes);
        if self.held_bytes + body.len() + pieces * Limits::PACKET_COSTS > self.limits.held_bytes {
            return Err(Full);
        }
        while !body.is_empty() {
            let piece = body.split_to(body.len().min(self.limits.piece_bytes));
            let held = Held { body: piece, following: u32::try_from(body.len()).unwrap_or(u32::MAX) };
            self.held_bytes += held.costs();
            self.held.push_back(held);
        }
        Ok(())
    }

    /// Everything up to `sequence` has come. An older word of the same is nothing new.
    pub(super) fn acknowledge(&mut self, sequence: u64, now: Moment) -> Result<(), Nonsense> {
        if sequence > self.highest {
            return Err(Nonsense);
        }
        let mut is_news = false;
        while self.first <= sequence
            && let Some(held) = self.held.pop_front()
        {
            is_news = true;
            self.first += 1;
            self.held_bytes -= held.costs();
            if self.flying > 0 {
                self.flying -= 1;
                self.flying_bytes -= held.body.len();
            }
        }
        if is_news {
            self.doubts = false;
            self.hope(now);
        }
        Ok(())
    }

    /// What was on its way is lost, and the other end is there.
    pub(super) fn rewind(&mut self, now: Moment) {
        self.ground();
        self.doubts = false;
        self.hope(now);
    }

    /// What was on its way may be lost.
    pub(super) fn doubt(&mut self) {
        self.doubts = self.flying > 0 || self.doubts;
        self.ground();
        self.wait = self.limits.resend_after;
    }

    /// Once more there was silence.
    pub(super) fn doubt_longer(&mut self) {
        self.doubts = true;
        self.ground();
        self.wait = (self.wait * 2).min(self.limits.resend_after_at_most);
    }

    /// When silence lasts too long; none: nothing is on its way.
    pub(super) fn silent_at(&self) -> Option<Moment> {
        (self.flying > 0).then_some(self.silent_at)
    }

    pub(super) fn is_silent(&self, now: Moment) -> bool {
        self.silent_at().is_some_and(|at| at <= now)
    }

    /// The next that may be on its way; it is from now on.
    pub(super) fn next(&mut self, now: Moment) -> Option<Next> {
        let held = self.held.get(self.flying)?;
        let fits = self.flying_bytes + held.body.len() <= self.limits.flight_bytes && self.flying < self.limits.flight_packets;
        if self.flying > 0 && (self.doubts || !fits) {
            return None;
        }
        let sequence = self.first + self.flying as u64;
        if self.flying == 0 {
            self.silent_at = now + self.wait;
        }
        self.flying += 1;
        self.flying_bytes += held.body.len();
        let again = sequence <= self.highest;
        self.highest = self.highest.max(sequence);
        Some(Next { sequence, body: held.body.clone(), following: held.following, urgent: self.doubts, again })
    }

    /// The other end is there: patience begins anew.
    fn hope(&mut self, now: Moment) {
        self.wait = self.limits.resend_after;
        self.silent_at = now + self.wait;
    }

    fn ground(&mut self) {
        self.flying = 0;
        self.flying_bytes = 0;
    }
}
