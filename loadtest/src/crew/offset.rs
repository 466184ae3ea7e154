//! How far the clock of a host that joined is from the boss's, and how sure that is.
//!
//! An exchange has four moments (RFC 5905, section 8): the boss sends, the worker reads, the worker answers, the boss reads. Half of what
//! the two ways took together is the most by which the estimate can be wrong, whichever way took longer; so the exchange with the
//! smallest round trip is the best.

use serde::{Deserialize, Serialize};

/// One exchange. Nanoseconds, the outer two of the boss's clock, the inner two of the worker's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// The boss sent.
    pub(crate) left_ns: u64,
    /// The worker read.
    pub(crate) came_ns: u64,
    /// The worker answered.
    pub(crate) answered_ns: u64,
    /// The boss read.
    pub(crate) back_ns: u64,
}

/// An estimate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Offset {
    /// How far the worker's clock is ahead of the boss's.
    pub(crate) ahead_ns: i64,
    /// The most by which that can be wrong.
    pub(crate) uncertainty_ns: u64,
}

/// A worker that joined, and its clock.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct HostFigures {
    /// The worker's number, from 0, of all workers of the run.
    pub(crate) worker: usize,
    /// The name that it joined under.
    pub(crate) name: String,
    /// The address that it joined from.
    pub(crate) address: String,
    /// Kernel release.
    pub(crate) kernel: String,
    /// The first CPU's model.
    pub(crate) cpu: String,
    /// CPUs that may be used there.
    pub(crate) cores: usize,
    /// How far its clock was ahead of the boss's when it joined; this was taken off. Nanoseconds, as are all that follow.
    pub(crate) offset_ns: i64,
    /// By how much its clock had moved on from there at the end of the run; this was not taken off.
    pub(crate) drift_ns: i64,
    /// The smallest round trip to it before the run.
    pub(crate) round_trip_ns: u64,
    /// The most by which a moment that it told can be wrong, the drift included.
    pub(crate) uncertainty_ns: u64,
}

impl Exchange {
    /// What the two ways took together.
    pub(crate) fn round_trip_ns(&self) -> u64 {
        let whole = self.back_ns.saturating_sub(self.left_ns);
        whole.saturating_sub(self.answered_ns.saturating_sub(self.came_ns))
    }

    fn offset(&self) -> Offset {
        let there = i128::from(self.came_ns) - i128::from(self.left_ns);
        let back = i128::from(self.answered_ns) - i128::from(self.back_ns);
        let ahead_ns = i64::try_from((there + back) / 2).unwrap_or(0);
        // One for what the division loses.
        Offset { ahead_ns, uncertainty_ns: self.round_trip_ns().div_ceil(2) + 1 }
    }
}

impl Offset {
    /// Of the exchange with the smallest round trip; nothing when there is none.
    pub(crate) fn of(exchanges: &[Exchange]) -> Option<Offset> {
        exchanges.iter().min_by_key(|exchange| exchange.round_trip_ns()).map(Exchange::offset)
    }

    /// The most by which a moment of the run can be wrong when this was taken off at its begin, and `left` is what there is at its end.
    pub(crate) fn over(&self, left: Offset) -> u64 {
        self.uncertainty_ns.max(left.ahead_ns.unsigned_abs() + left.uncertainty_ns)
    }
}

/// The most by which a latency from one host to another can be wrong: the two worst moments together.
pub(crate) fn between_ns(hosts: &[HostFigures]) -> u64 {
    let mut worst: Vec<u64> = hosts.iter().map(|host| host.uncertainty_ns).collect();
    worst.sort_unstable_by(|a, b| b.cmp(a));
    worst.iter().take(2).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worker's clock is `ahead` of the boss's, the ways take `there` and `back`, and the answer 7.
    fn exchange(ahead: i64, there: u64, back: u64) -> Exchange {
        let left_ns = 10_000_000_000;
        let came_ns = (left_ns + there).saturating_add_signed(ahead);
        Exchange { left_ns, came_ns, answered_ns: came_ns + 7, back_ns: left_ns + there + 7 + back }
    }

    #[test]
    fn an_estimate_is_wrong_by_no_more_than_it_says_however_lopsided_the_ways_are() {
        for ahead in [0, 3_000_000_000, -2_000_000_000, i64::from(i32::MIN), 17] {
            for (there, back) in [(100, 100), (0, 900), (900, 0), (1, 2), (50_000, 3)] {
                let found = exchange(ahead, there, back).offset();
                assert!(found.ahead_ns.abs_diff(ahead) <= found.uncertainty_ns, "{ahead} {there} {back}: {found:?}");
                assert!(found.uncertainty_ns <= (there + back) / 2 + 2);
            }
        }
    }

    #[test]
    fn the_exchange_with_the_smallest_round_trip_decides() {
        let all = [exchange(5_000, 4_000, 90_000), exchange(5_000, 30, 50), exchange(5_000, 70_000, 10)];
        assert_eq!(Offset::of(&all), Some(all[1].offset()));
        assert_eq!(Offset::of(&[]), None);
    }

    #[test]
    fn a_clock_that_drifts_is_less_sure() {
        let begin = Offset { ahead_ns: 3_000_000_000, uncertainty_ns: 40 };
        assert_eq!(begin.over(Offset { ahead_ns: 5, uncertainty_ns: 20 }), 40);
        assert_eq!(begin.over(Offset { ahead_ns: -500, uncertainty_ns: 20 }), 520);
    }

    #[test]
    fn between_two_hosts_both_are_wrong() {
        let host = |uncertainty_ns| HostFigures {
            worker: 0,
            name: String::new(),
            address: String::new(),
            kernel: String::new(),
            cpu: String::new(),
            cores: 1,
            offset_ns: 0,
            drift_ns: 0,
            round_trip_ns: 0,
            uncertainty_ns,
        };
        assert_eq!([between_ns(&[]), between_ns(&[host(7)]), between_ns(&[host(7), host(1), host(9)])], [0, 7, 16]);
    }
}
