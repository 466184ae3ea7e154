//! Pings: when they are sent, and when one that is not answered ends a connection.

use crate::realtime::Moment;
use std::time::Duration;

/// Deals out the moments of first Pings, so that the Pings of a shard are spread evenly over the interval however its connections came:
/// one after the other or thousands at once.
///
/// Phases are absolute: fractions of the interval since the moment 0. Each new one falls into the widest gap that those before it left
/// (a counter with its bits reversed, van der Corput's sequence).
#[derive(Default, Debug)]
pub struct Phases {
    dealt: u32,
}

impl Phases {
    /// How long after `now` the next connection is sent its first Ping: more than nothing, at most one interval.
    pub fn first_ping(&mut self, now: Moment, interval: Duration) -> Duration {
        let interval = micros(interval);
        let phase = (u128::from(self.dealt.reverse_bits()) * u128::from(interval)) >> u32::BITS;
        self.dealt = self.dealt.wrapping_add(1);
        let into = now.0 % interval;
        let after = (phase as u64 + interval - into) % interval;
        Duration::from_micros(if after == 0 { interval } else { after })
    }
}

/// One connection's Pings. Pongs set no timer: the next beat finds what they have done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pulse {
    next: Moment,
    unanswered: Option<Moment>,
}

/// What a beat asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beat {
    /// Beat again after this.
    Rest(Duration),
    /// Send a Ping, and beat again after this.
    Ping(Duration),
    /// A Ping has been unanswered for too long.
    Stopped,
}

impl Pulse {
    pub(super) fn new(first_ping: Duration, now: Moment) -> Pulse {
        Pulse { next: now + first_ping, unanswered: None }
    }

    /// A Pong came, whichever Ping it answers.
    pub(super) fn answered(&mut self) {
        self.unanswered = None;
    }

    /// The time that the last beat asked for has come.
    pub(super) fn beat(&mut self, now: Moment, interval: Duration, timeout: Duration) -> Beat {
        if self.unanswered.is_some_and(|since| now >= since + timeout) {
            return Beat::Stopped;
        }
        let is_due = now >= self.next;
        if is_due {
            self.unanswered.get_or_insert(now);
            // A late beat leaves Pings out and keeps the phase.
            let interval = micros(interval);
            self.next.0 += (now.since(self.next).as_micros() as u64 / interval + 1) * interval;
        }
        let until = self.unanswered.map_or(self.next, |since| self.next.min(since + timeout));
        let after = until.since(now);
        if is_due { Beat::Ping(after) } else { Beat::Rest(after) }
    }
}

fn micros(interval: Duration) -> u64 {
    u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1)
}
