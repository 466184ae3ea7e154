//! Before a planned stop the connected are let go one by one, so that those who take them in are not overrun.
//!
//! Everybody has a turn, evenly over a time, in an order that nobody chooses. Whoever is in a classroom is told `terminated` at his turn,
//! and has a while to open a second connection before this one is closed; everybody else is closed at his turn. Whoever comes meanwhile
//! has no turn: he stays until the stop itself. Each Close says when to come back, for each connection another time.

use super::{Connection, Engine, Phase};
use crate::realtime::{Moment, Now, table::Key};
use foldhash::fast::FixedState;
use std::{
    collections::{HashSet, VecDeque},
    hash::BuildHasher,
    time::Duration,
};

/// How long the parts of it take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Before the first turn: for whoever balances the load to see that this process is not ready any more.
    pub lead: Duration,
    /// From the first turn to the last.
    pub over: Duration,
    /// Between `terminated` and the Close.
    pub grace: Duration,
}

impl Pace {
    /// Until everybody has had his turn. Those of the last moments still have their grace.
    pub fn length(&self) -> Duration {
        self.lead + self.over
    }
}

/// Who has come back within this time after a Close has not come at once with all others.
const SPREAD: Duration = Duration::from_secs(5);

/// How long this connection is asked to stay away before it comes back.
pub(super) fn pause(hasher: &FixedState, key: Key) -> Duration {
    let spread = u64::try_from(SPREAD.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(hasher.hash_one((key.slot, key.generation)) % spread)
}

/// The same as the text of a Close frame: seconds, as in the header of HTTP that has this name, but with tenths.
pub(super) fn reason(pause: Duration) -> String {
    format!("retry-after={:.1}", pause.as_secs_f64())
}

/// What is to be done with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// It is his turn.
    Turn(Key),
    /// His grace is over.
    Over(Key),
}

/// See the file.
#[derive(Default)]
pub(super) struct Thinning {
    turns: VecDeque<(Moment, Key)>,
    told: VecDeque<(Moment, Key)>,
    grace: Duration,
}

impl Thinning {
    fn new(mut keys: Vec<Key>, pace: Pace, hasher: &FixedState, now: Moment) -> Thinning {
        keys.sort_by_cached_key(|key| hasher.hash_one(("turn", key.slot, key.generation)));
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX).max(1);
        // In the middle of his part of the time: one alone is not the first of many.
        let due = |place: u32| now + pace.lead + pace.over * (2 * place + 1) / (2 * count);
        let turns = keys.into_iter().zip(0..).map(|(key, place)| (due(place), key)).collect();
        Thinning { turns, told: VecDeque::new(), grace: pace.grace }
    }

    fn next(&mut self, now: Moment) -> Option<Step> {
        let is_due = |line: &VecDeque<(Moment, Key)>| line.front().is_some_and(|(due, _)| *due <= now);
        if is_due(&self.told) {
            return self.told.pop_front().map(|(_, key)| Step::Over(key));
        }
        if is_due(&self.turns) { self.turns.pop_front().map(|(_, key)| Step::Turn(key)) } else { None }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let first = |line: &VecDeque<(Moment, Key)>| line.front().map(|(due, _)| *due);
        first(&self.turns).into_iter().chain(first(&self.told)).min()
    }

    /// Those who were told that they are to go, and whose grace is not over.
    fn told(&self) -> HashSet<Key> {
        self.told.iter().map(|(_, key)| *key).collect()
    }
}

impl Engine {
    /// From now on the connected are let go at this pace. What is served otherwise goes on being served.
    pub fn thin(&mut self, pace: Pace, now: Now) {
        let keys: Vec<Key> = self.connections.keys().collect();
        self.thinning = Thinning::new(keys, pace, &self.jitter, now.moment);
    }

    /// Everybody in a classroom is told `terminated` who has not been told yet.
    pub(super) fn tell_of_the_stop(&mut self, now: Now) {
        let told = std::mem::take(&mut self.thinning).told();
        for key in self.connections.keys().filter(|key| !told.contains(key)).collect::<Vec<_>>() {
            self.presence_stopping(key, now);
        }
    }

    /// Those whose turn it is go.
    pub(super) fn turn_thinning(&mut self, now: Now) {
        while let Some(step) = self.thinning.next(now.moment) {
            match step {
                Step::Turn(key) if self.is_live(key) => {
                    self.presence_stopping(key, now);
                    self.thinning.told.push_back((now.moment + self.thinning.grace, key));
                }
                // What it will be is not known yet. It has no longer than a handshake to become something.
                Step::Turn(key) if self.connections.at(key).is_some_and(Connection::waits) => {}
                Step::Turn(key) | Step::Over(key) => self.close_for_restart(key, now),
            }
        }
    }

    fn is_live(&self, key: Key) -> bool {
        matches!(self.connections.at(key), Some(Connection { phase: Phase::Presence(machine), .. }) if machine.is_live())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> Key {
        Key { slot, generation: 0 }
    }

    fn seconds(count: u64) -> Moment {
        Moment(count * 1_000_000)
    }

    #[test]
    fn turns_are_even_after_the_lead_and_everybody_has_one() {
        let pace = Pace { lead: Duration::from_secs(5), over: Duration::from_secs(60), grace: Duration::from_secs(10) };
        let mut thinning = Thinning::new((0..600).map(key).collect(), pace, &FixedState::with_seed(3), seconds(100));
        assert_eq!(thinning.next(seconds(105)), None);
        assert_eq!(thinning.next_deadline(), Some(seconds(105) + Duration::from_millis(50)));
        let mut gone = Vec::new();
        for second in 1..=60 {
            while let Some(Step::Turn(key)) = thinning.next(seconds(105 + second)) {
                gone.push(key.slot);
            }
            assert_eq!(gone.len() as u64, 10 * second);
        }
        assert_ne!(gone[..20], (0..20).collect::<Vec<_>>()[..], "not in the order of their places");
        gone.sort_unstable();
        assert_eq!(gone, (0..600).collect::<Vec<_>>());
        assert_eq!(thinning.next_deadline(), None);
    }

    #[test]
    fn nobody_at_all_and_no_time_at_all_are_no_faults() {
        let now = Pace { lead: Duration::ZERO, over: Duration::ZERO, grace: Duration::ZERO };
        let mut thinning = Thinning::new(Vec::new(), now, &FixedState::with_seed(3), seconds(1));
        assert_eq!(thinning.next(seconds(2)), None);
        let mut thinning = Thinning::new(vec![key(7)], now, &FixedState::with_seed(3), seconds(1));
        assert_eq!(thinning.next(seconds(1)), Some(Step::Turn(key(7))));
    }

    #[test]
    fn pauses_are_spread() {
        let hasher = FixedState::with_seed(3);
        let mut counts = [0; 5];
        for slot in 0..5_000 {
            counts[pause(&hasher, key(slot)).as_secs() as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
        assert_eq!(reason(Duration::from_millis(3_249)), "retry-after=3.2");
    }
}
