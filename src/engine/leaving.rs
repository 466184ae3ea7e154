//! How long frames take from whoever published them to the sockets of those who listen. Noted once for each batch of a topic and once for
//! each send that waited behind another, not for each listener.

use super::Engine;
use crate::realtime::{Histogram, Moment, outbox::Outbox};
use std::mem;

/// What leaves: since when, and how many frames, each once for each listener.
#[derive(Default, Debug)]
pub(super) struct Leaving {
    /// With the turn under way.
    turn: Vec<(Moment, u64)>,
    /// With the sends that the shell has and may not have submitted.
    sends: Vec<(Moment, u64)>,
}

impl Leaving {
    pub(super) fn frames(&mut self, since: Moment, many: u64) {
        match self.turn.last_mut() {
            Some(last) if last.0 == since => last.1 += many,
            Some(_) | None => self.turn.push((since, many)),
        }
    }

    /// What waited behind a send of this outbox leaves now.
    pub(super) fn held_back(&mut self, since: u32, outbox: &Outbox, now: Moment) {
        let waited = u64::from((now.0 as u32).wrapping_sub(since));
        self.frames(Moment(now.0.saturating_sub(waited)), outbox.deliveries_in_flight().into());
    }

    /// The shell takes the sends of the turn. Of those before it says nothing any more, if it has not yet.
    fn hand_over(&mut self) {
        mem::swap(&mut self.turn, &mut self.sends);
        self.turn.clear();
    }

    fn submitted(&mut self, now: Moment, times: &Histogram) {
        for (since, many) in self.sends.drain(..) {
            times.record_many(now.since(since), many);
        }
    }
}

impl Engine {
    pub(super) fn sends_go(&mut self) {
        self.leaving.hand_over();
    }

    /// The sends of the last [`Engine::finish`] are with the kernel.
    pub fn submitted(&mut self, now: Moment) {
        self.leaving.submitted(now, &self.counters.delivery);
    }
}
