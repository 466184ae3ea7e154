//! Measures by the phase of the day in which their operation was meant to begin.

use super::{Latencies, Measure};
use crate::clock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Phases in their order.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Phases(Vec<Phase>);

/// What was measured of operations that were meant to begin in it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Phase {
    /// Nanoseconds of CLOCK_MONOTONIC.
    from_ns: u64,
    pub(crate) measures: BTreeMap<Measure, Latencies>,
}

impl Phases {
    /// The next phase begins at this moment.
    pub(crate) fn open(&mut self, from_ns: u64) {
        self.0.push(Phase { from_ns, measures: BTreeMap::new() });
    }

    /// Counts a duration that ends now: it belongs to the phase in which it began, however late it ends.
    pub(super) fn record(&mut self, measure: Measure, ns: u64) {
        if !self.0.is_empty() {
            self.record_from(measure, ns, clock::now_ns().saturating_sub(ns));
        }
    }

    /// Counts a duration that began at `from_ns`.
    pub(super) fn record_from(&mut self, measure: Measure, ns: u64, from_ns: u64) {
        if let Some(phase) = self.0.iter_mut().rev().find(|phase| phase.from_ns <= from_ns) {
            phase.measures.entry(measure).or_default().record(ns);
        }
    }

    /// In their order.
    pub(crate) fn all(&self) -> &[Phase] {
        &self.0
    }

    /// Adds another worker's: all have the same phases.
    pub(super) fn merge(&mut self, other: &Phases) {
        for (place, theirs) in other.0.iter().enumerate() {
            if self.0.len() == place {
                self.0.push(Phase { from_ns: theirs.from_ns, measures: BTreeMap::new() });
            }
            for (measure, latencies) in &theirs.measures {
                self.0[place].measures.entry(*measure).or_default().merge(latencies);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_belongs_to_the_phase_in_which_it_began() {
        let mut phases = Phases::default();
        phases.record_from(Measure::SignIn, 5, 150);
        phases.open(100);
        phases.open(200);
        for (ns, from_ns) in [(500, 199), (5, 200), (7, 50)] {
            phases.record_from(Measure::SignIn, ns, from_ns);
        }
        let mut sum = phases.clone();
        sum.merge(&phases);
        let counts: Vec<_> = sum.all().iter().map(|phase| phase.measures[&Measure::SignIn].count()).collect();
        assert_eq!(counts, [2, 2]);
        assert_eq!(sum.all()[0].measures[&Measure::SignIn].at(1.0), 500);
    }
}
