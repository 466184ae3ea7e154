//! Pings, and what ends a connection that does not answer them.

use super::settings::Settings;
use crate::realtime::Moment;
use std::time::Duration;

/// One connection's Pings. What answers sets no timer: the next beat finds what it has done.
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
    pub(super) fn new(now: Moment, settings: &Settings) -> Pulse {
        Pulse { next: now + settings.ping_interval, unanswered: None }
    }

    /// The peer lives.
    pub(super) fn answered(&mut self) {
        self.unanswered = None;
    }

    /// The time that the last beat asked for has come. A late beat leaves Pings out.
    pub(super) fn beat(&mut self, now: Moment, settings: &Settings) -> Beat {
        let end = self.unanswered.map(|since| since + settings.pong_timeout);
        if end.is_some_and(|end| now >= end) {
            return Beat::Stopped;
        }
        let is_due = now >= self.next;
        if is_due {
            self.unanswered.get_or_insert(now);
            self.next = now + settings.ping_interval;
        }
        let end = self.unanswered.map_or(self.next, |since| since + settings.pong_timeout);
        let after = self.next.min(end).since(now);
        if is_due { Beat::Ping(after) } else { Beat::Rest(after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unanswered_ping_decides() {
        let (settings, start) = (Settings::default(), Moment(1_000_000));
        let at = |seconds| start + Duration::from_secs(seconds);
        let seconds = Duration::from_secs;
        let mut pulse = Pulse::new(start, &settings);
        assert_eq!(pulse.beat(at(53), &settings), Beat::Rest(seconds(1)));
        assert_eq!(pulse.beat(at(54), &settings), Beat::Ping(seconds(54)));
        pulse.answered();
        assert_eq!(pulse.beat(at(108), &settings), Beat::Ping(seconds(54)));
        assert_eq!(pulse.beat(at(162), &settings), Beat::Ping(seconds(54)));
        assert_eq!(pulse.beat(at(216), &settings), Beat::Ping(seconds(12)), "120 s after the one at 108");
        assert_eq!(pulse.beat(at(228), &settings), Beat::Stopped);
    }
}
