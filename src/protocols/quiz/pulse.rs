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

/// A pulse as another process goes on with it, whose clock began at another time: in microseconds, until the next Ping, and since the first
/// that was not answered.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Rhythm {
    next: u64,
    unanswered: Option<u64>,
}

impl Pulse {
    pub(super) fn rhythm(&self, now: Moment) -> Rhythm {
        Rhythm { next: micros(self.next.since(now)), unanswered: self.unanswered.map(|since| micros(now.since(since))) }
    }

    pub(super) fn carried(rhythm: &Rhythm, now: Moment) -> Pulse {
        let Rhythm { next, unanswered } = rhythm;
        Pulse { next: now + Duration::from_micros(*next), unanswered: unanswered.map(|since| now - Duration::from_micros(since)) }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::wheel::TICK_MICROS;
    use hashbrown::HashMap;

    const INTERVAL: Duration = Duration::from_secs(5);
    const TIMEOUT: Duration = Duration::from_secs(10);
    const SECOND: Duration = Duration::from_secs(1);

    /// Holds that no tick of the wheel has more than twice the mean over the interval from `from` on, in which each connection is due once.
    fn is_spread(first_pings: &[Moment], from: Moment) {
        let mut ticks: HashMap<u64, usize> = HashMap::new();
        for first in first_pings {
            let intervals = from.since(*first).as_micros().div_ceil(INTERVAL.as_micros()) as u32;
            let due = *first + INTERVAL * intervals;
            assert!(due >= from && due < from + INTERVAL);
            *ticks.entry(due.0.div_ceil(TICK_MICROS)).or_default() += 1;
        }
        let most = ticks.into_values().max().unwrap_or_default();
        let mean = first_pings.len() as f64 * TICK_MICROS as f64 / INTERVAL.as_micros() as f64;
        // A tick cannot have half a Ping.
        let bound = (2.0 * mean).ceil();
        assert!(most as f64 <= bound, "{most} in one tick, {mean:.2} on average");
    }

    #[test]
    fn pings_of_connections_that_came_at_once_are_spread_evenly() {
        for connections in [1, 2, 100, 1_000, 2_000, 3_000, 5_000, 10_000, 18_000, 20_000] {
            let mut phases = Phases::default();
            let now = Moment(123_456_789);
            let first: Vec<_> = (0..connections).map(|_| now + phases.first_ping(now, INTERVAL)).collect();
            assert!(first.iter().all(|at| *at > now && *at <= now + INTERVAL));
            is_spread(&first, now + INTERVAL);
        }
    }

    #[test]
    fn pings_of_connections_that_came_in_waves_are_spread_evenly() {
        let mut phases = Phases::default();
        let mut now = Moment(77);
        let mut first = Vec::new();
        for wave in 0..18_u64 {
            now = now + Duration::from_micros(1_300_000 + 1_017 * wave);
            first.extend((0..1_000).map(|_| now + phases.first_ping(now, INTERVAL)));
        }
        is_spread(&first, now + INTERVAL);
    }

    #[test]
    fn half_of_them_gone_the_others_are_spread_nearly_as_well() {
        let mut phases = Phases::default();
        let now = Moment(5);
        let all: Vec<_> = (0..18_000).map(|_| now + phases.first_ping(now, INTERVAL)).collect();
        is_spread(&all[9_000..], now + INTERVAL);
        is_spread(&all[..9_000], now + INTERVAL);
    }

    #[test]
    fn a_first_ping_is_due_within_the_interval_whatever_it_is() {
        let mut phases = Phases::default();
        let phases_of_four: HashMap<_, _> = (0..4).map(|n| (phases.first_ping(Moment(0), INTERVAL).as_micros(), n)).collect();
        assert_eq!(phases_of_four, HashMap::from([(5_000_000, 0), (2_500_000, 1), (1_250_000, 2), (3_750_000, 3)]));
        assert_eq!(phases.first_ping(Moment(9), Duration::ZERO), Duration::from_micros(1));
    }

    #[test]
    fn a_late_beat_leaves_pings_out_and_keeps_the_phase() {
        let mut pulse = Pulse::new(SECOND, Moment(0));
        let late = Moment(0) + Duration::from_secs(13);
        assert_eq!(pulse.beat(late, INTERVAL, TIMEOUT), Beat::Ping(3 * SECOND));
        assert_eq!(pulse.beat(late + 3 * SECOND, INTERVAL, TIMEOUT), Beat::Ping(5 * SECOND));
    }

    #[test]
    fn a_timeout_shorter_than_the_interval_has_its_own_beat() {
        let timeout = 2 * SECOND;
        let mut pulse = Pulse::new(SECOND, Moment(0));
        assert_eq!(pulse.beat(Moment(1_000_000), INTERVAL, timeout), Beat::Ping(timeout));
        let mut answered = pulse;
        answered.answered();
        assert_eq!(answered.beat(Moment(3_000_000), INTERVAL, timeout), Beat::Rest(3 * SECOND));
        assert_eq!(answered.beat(Moment(6_000_000), INTERVAL, timeout), Beat::Ping(timeout));
        assert_eq!(pulse.beat(Moment(2_999_999), INTERVAL, timeout), Beat::Rest(Duration::from_micros(1)));
        assert_eq!(pulse.beat(Moment(3_000_000), INTERVAL, timeout), Beat::Stopped);
    }
}
