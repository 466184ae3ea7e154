//! When each operation of a schedule is meant to begin, where rates follow one another.

use crate::clock;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Rates one after the other; the last goes on for ever.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Tempo {
    legs: [Leg; 3],
}

/// Operations a second, for a time.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Leg {
    pub(crate) rate: f64,
    pub(crate) lasting: Duration,
}

impl Tempo {
    /// One rate for ever.
    pub(crate) const fn steady(rate: f64) -> Tempo {
        Tempo { legs: [Leg { rate, lasting: Duration::MAX }; 3] }
    }

    /// Two rates, one after the other; whatever is left then goes on at the higher of them.
    pub(crate) fn of(first: Leg, second: Leg) -> Tempo {
        let rest = Leg { rate: first.rate.max(second.rate), lasting: Duration::MAX };
        Tempo { legs: [first, second, rest] }
    }

    /// When operation `number`, from 0, is meant to begin, nanoseconds after the first. It may lie between two whole numbers.
    pub(crate) fn after_ns(&self, number: f64) -> u64 {
        let (mut left, mut from_ns) = (number, 0);
        for leg in &self.legs {
            let holds = leg.rate * leg.lasting.as_secs_f64();
            if left < holds {
                return from_ns + (left * 1e9 / leg.rate) as u64;
            }
            left -= holds;
            from_ns = clock::nanos(leg.lasting).saturating_add(from_ns);
        }
        u64::MAX
    }

    /// How many begin within both of two rates.
    pub(crate) fn total(&self) -> u64 {
        let both = self.legs.iter().filter(|leg| leg.lasting < Duration::MAX);
        both.map(|leg| leg.rate * leg.lasting.as_secs_f64()).sum::<f64>().round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_another_without_a_gap() {
        let leg = |rate, seconds| Leg { rate, lasting: Duration::from_secs(seconds) };
        let tempo = Tempo::of(leg(10.0, 2), leg(100.0, 1));
        let moments = [0.0, 19.0, 20.0, 21.0, 119.0, 120.0, 121.0].map(|number| tempo.after_ns(number) / 1_000_000);
        assert_eq!(moments, [0, 1_900, 2_000, 2_010, 2_990, 3_000, 3_010]);
        assert_eq!(tempo.total(), 120);
        assert_eq!(Tempo::of(leg(0.0, 5), leg(2.0, 1)).after_ns(0.0), 5_000_000_000);
        assert_eq!(Tempo::steady(4.0).after_ns(6.0), 1_500_000_000);
    }
}
