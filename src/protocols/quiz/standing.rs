//! The order of the attempts at one quiz, kept as they change: who leads, and what changed last. O(log n) for each change.

use super::model::AttemptId;
use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
};

/// What an attempt's rank follows from: points down, then time up, one without an answer after those with, then the id.
#[derive(Clone, Copy, Debug)]
pub struct Merit {
    /// Points so far.
    pub score: f64,
    /// Milliseconds from the start to the last answer; none: there is no answer. Submitting changes nothing.
    pub took_ms: Option<u64>,
    /// Whose.
    pub attempt: AttemptId,
}

impl Ord for Merit {
    fn cmp(&self, other: &Merit) -> Ordering {
        let time = |merit: &Merit| (merit.took_ms.is_none(), merit.took_ms);
        other
            .score
            .total_cmp(&self.score)
            .then_with(|| time(self).cmp(&time(other)))
            .then_with(|| self.attempt.cmp(&other.attempt))
    }
}

impl PartialOrd for Merit {
    fn partial_cmp(&self, other: &Merit) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Merit {
    fn eq(&self, other: &Merit) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Merit {}

/// The leaderboard. Values are the places of attempts.
#[derive(Default)]
pub struct Standing {
    order: BTreeMap<Merit, u32>,
}

impl Standing {
    /// Adds an attempt.
    pub fn insert(&mut self, merit: Merit, place: u32) {
        self.order.insert(merit, place);
    }

    /// The attempt at `place` had one merit and has another.
    pub fn change(&mut self, before: Merit, after: Merit, place: u32) {
        self.order.remove(&before);
        self.order.insert(after, place);
    }

    /// From the best on.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.values().copied()
    }
}

/// Attempts by their latest change.
#[derive(Default)]
pub struct Recent {
    order: BTreeMap<Reverse<u64>, u32>,
    last: u64,
}

impl Recent {
    /// The attempt at `place` changed; `before`: what this returned for it before, if it did.
    pub fn touch(&mut self, before: Option<u64>, place: u32) -> u64 {
        if let Some(before) = before {
            self.order.remove(&Reverse(before));
        }
        self.last += 1;
        self.order.insert(Reverse(self.last), place);
        self.last
    }

    /// From the latest on.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.values().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn merit(score: f64, took_ms: Option<u64>, attempt: u128) -> Merit {
        Merit { score, took_ms, attempt: Uuid::from_u128(attempt) }
    }

    #[test]
    fn points_then_time_then_id() {
        let in_order = [
            merit(10.5, Some(9_000), 9),
            merit(10.0, Some(0), 8),
            merit(10.0, Some(1), 2),
            merit(10.0, Some(1), 3),
            merit(0.0, Some(u64::MAX), 7),
            merit(0.0, None, 1),
            merit(0.0, None, 4),
        ];
        let mut standing = Standing::default();
        for place in [3, 0, 6, 2, 5, 1, 4] {
            standing.insert(in_order[place], place as u32);
        }
        assert_eq!(standing.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
        standing.change(in_order[6], merit(10.0, Some(0), 4), 6);
        assert_eq!(standing.iter().take(3).collect::<Vec<_>>(), [0, 6, 1]);
        assert_eq!(standing.iter().count(), in_order.len());
    }

    #[test]
    fn the_latest_change_comes_first() {
        let mut recent = Recent::default();
        let first = recent.touch(None, 1);
        recent.touch(None, 2);
        assert_eq!(recent.iter().collect::<Vec<_>>(), [2, 1]);
        recent.touch(Some(first), 1);
        assert_eq!(recent.iter().collect::<Vec<_>>(), [1, 2]);
    }

    proptest! {
        /// Whatever changes, the order is that of a sort.
        #[test]
        fn it_is_as_a_sort_would_have_it(changes in prop::collection::vec((0_u32..20, 0_u32..5, prop::option::of(0_u64..5)), 1..200)) {
            let mut standing = Standing::default();
            let mut merits: Vec<Option<Merit>> = vec![None; 20];
            for (place, score, took_ms) in changes {
                let after = merit(f64::from(score) / 2.0, took_ms, u128::from(place));
                match merits[place as usize].replace(after) {
                    Some(before) => standing.change(before, after, place),
                    None => standing.insert(after, place),
                }
            }
            let mut sorted: Vec<Merit> = merits.iter().flatten().copied().collect();
            sorted.sort();
            let places: Vec<u32> = sorted.iter().map(|merit| merit.attempt.as_u128() as u32).collect();
            prop_assert_eq!(standing.iter().collect::<Vec<_>>(), places);
        }
    }
}
