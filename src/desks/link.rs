//! The agent's way to the control plane: when it is called, when it is given up, and when it hears of us.

use super::waits::wait;
use crate::realtime::Moment;
use std::time::Duration;

/// From the socket to `register_ack`.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);
/// After so many heartbeats without a word from there (each goes with a Ping) the connection is dead.
const SILENT_HEARTBEATS: u32 = 3;
/// A heartbeat is never awaited more often.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// What happens to the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A call was answered.
    Opened,
    /// It failed, or the connection is over.
    Lost,
    /// Something was heard.
    Heard,
    /// `register_ack` came.
    Registered {
        /// What it says.
        heartbeat_interval: Duration,
    },
    /// [`Link::deadline`] is reached.
    TimerFired,
}

/// What is to be done about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Call.
    Dial,
    /// Send `register`.
    Register,
    /// Send a heartbeat and a Ping.
    Beat,
    /// End the connection: nobody is there any more. [`Event::Lost`] is not awaited.
    Drop,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Waiting { until: Moment },
    Dialling,
    Registering { until: Moment },
    Up { interval: Duration, next_beat: Moment, heard: Moment },
}

/// See the file.
#[derive(Debug)]
pub struct Link {
    phase: Phase,
    in_vain: u32,
}

impl Link {
    /// Not connected; calls at once.
    pub fn new(now: Moment) -> Link {
        Link { phase: Phase::Waiting { until: now }, in_vain: 0 }
    }

    /// When [`Event::TimerFired`] is due; none: a call is under way.
    pub fn deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Waiting { until } | Phase::Registering { until } => Some(until),
            Phase::Dialling => None,
            Phase::Up { next_beat, .. } => Some(next_beat),
        }
    }

    /// Whether the control plane knows us on this connection.
    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up { .. })
    }

    /// Takes what happened. `random` is used where a wait begins.
    pub fn handle(&mut self, event: Event, now: Moment, random: u64) -> Option<Effect> {
        match (event, &mut self.phase) {
            (Event::Opened, _) => {
                self.phase = Phase::Registering { until: now + REGISTER_TIMEOUT };
                Some(Effect::Register)
            }
            (Event::Lost, _) => {
                self.back_off(now, random);
                None
            }
            (Event::Heard, Phase::Up { heard, .. }) => {
                *heard = now;
                None
            }
            (Event::Registered { heartbeat_interval }, Phase::Registering { .. }) => {
                self.in_vain = 0;
                let interval = heartbeat_interval.max(SHORTEST_INTERVAL);
                self.phase = Phase::Up { interval, next_beat: now, heard: now };
                None
            }
            (Event::TimerFired, phase) if Link::due(phase) <= Some(now) => self.fired(now, random),
            (Event::Heard | Event::Registered { .. } | Event::TimerFired, _) => None,
        }
    }

    fn due(phase: &Phase) -> Option<Moment> {
        match phase {
            Phase::Waiting { until } | Phase::Registering { until } => Some(*until),
            // Later than any moment: never due.
            Phase::Dialling => Some(Moment(u64::MAX)),
            Phase::Up { next_beat, .. } => Some(*next_beat),
        }
    }

    fn fired(&mut self, now: Moment, random: u64) -> Option<Effect> {
        match &mut self.phase {
            Phase::Waiting { .. } => {
                self.phase = Phase::Dialling;
                Some(Effect::Dial)
            }
            Phase::Dialling => None,
            Phase::Up { interval, next_beat, heard } if now.since(*heard) < *interval * SILENT_HEARTBEATS => {
                *next_beat = now + *interval;
                Some(Effect::Beat)
            }
            Phase::Registering { .. } | Phase::Up { .. } => {
                self.back_off(now, random);
                Some(Effect::Drop)
            }
        }
    }

    fn back_off(&mut self, now: Moment, random: u64) {
        self.phase = Phase::Waiting { until: now + wait(self.in_vain, random) };
        self.in_vain = self.in_vain.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ACK: Event = Event::Registered { heartbeat_interval: SECOND };

    fn up(now: Moment) -> Link {
        let mut link = Link::new(now);
        assert_eq!(link.handle(Event::TimerFired, now, 0), Some(Effect::Dial));
        assert_eq!((link.deadline(), link.handle(Event::TimerFired, now, 0)), (None, None));
        assert_eq!(link.handle(Event::Opened, now, 0), Some(Effect::Register));
        assert!(link.handle(ACK, now, 0).is_none() && link.is_up());
        link
    }

    #[test]
    fn it_beats_at_once_and_then_in_its_interval() {
        let (mut link, mut now) = (up(Moment(0)), Moment(0));
        for _ in 0..10 {
            assert_eq!(link.deadline(), Some(now));
            assert_eq!(link.handle(Event::TimerFired, now, 0), Some(Effect::Beat));
            assert_eq!(link.handle(Event::TimerFired, now, 0), None, "not before its time");
            now = now + SECOND;
            link.handle(Event::Heard, now, 0);
        }
    }

    #[test]
    fn silence_ends_it() {
        let mut link = up(Moment(0));
        for beat in 0..3 {
            assert_eq!(link.handle(Event::TimerFired, Moment(0) + SECOND * beat, 0), Some(Effect::Beat));
        }
        let now = Moment(0) + SECOND * 3;
        assert_eq!(link.handle(Event::TimerFired, now, u64::MAX), Some(Effect::Drop));
        assert_eq!((link.deadline(), link.is_up()), (Some(now + SECOND), false));
    }

    #[test]
    fn who_is_not_registered_in_time_waits_longer_each_time() {
        let (mut link, mut now) = (Link::new(Moment(0)), Moment(0));
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(link.handle(Event::TimerFired, now, 0), Some(Effect::Dial));
            link.handle(Event::Opened, now, 0);
            now = now + REGISTER_TIMEOUT;
            assert_eq!(link.handle(Event::TimerFired, now, u64::MAX), Some(Effect::Drop));
            assert_eq!(link.deadline(), Some(now + SECOND * seconds));
            now = now + SECOND * seconds;
        }
        link.handle(Event::TimerFired, now, 0);
        link.handle(Event::Opened, now, 0);
        link.handle(ACK, now, 0);
        link.handle(Event::Lost, now, u64::MAX);
        assert_eq!(link.deadline(), Some(now + SECOND), "a registration makes good what was in vain");
    }
}
