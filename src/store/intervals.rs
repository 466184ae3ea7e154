//! Intervals of presence: when two are one, and what a reader is told. Pure.

use crate::{protocols::presence::record::Attendance, realtime::UnixMicros};

/// From when to when an agent was in a room, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Interval {
    pub(super) lower: UnixMicros,
    pub(super) upper: UnixMicros,
}

impl Interval {
    /// An end before the beginning (the wall clock was set back) counts as the beginning.
    pub(super) fn new(lower: UnixMicros, upper: UnixMicros) -> Interval {
        Interval { lower, upper: upper.max(lower) }
    }

    /// Whether the two overlap or touch.
    pub(super) fn meets(self, other: Interval) -> bool {
        self.lower <= other.upper && other.lower <= self.upper
    }

    /// The one interval that two that meet are.
    pub(super) fn joined(self, other: Interval) -> Interval {
        Interval { lower: self.lower.min(other.lower), upper: self.upper.max(other.upper) }
    }
}

/// What a reader is told of `rows`: each agent's intervals that meet as one (also with the one that still runs), those that intersect
/// `from..to`, ordered by agent and time.
pub(super) fn told(mut rows: Vec<Attendance>, from: UnixMicros, to: UnixMicros) -> Vec<Attendance> {
    rows.sort_unstable_by(|a, b| (&a.agent_id, a.entered).cmp(&(&b.agent_id, b.entered)));
    rows.dedup_by(|later, kept| {
        let meets = later.agent_id == kept.agent_id && kept.left.is_none_or(|left| later.entered <= left);
        if meets {
            kept.left = kept.left.zip(later.left).map(|(one, other)| one.max(other));
        }
        meets
    });
    rows.retain(|row| row.entered < to && (row.entered >= from || row.left.is_none_or(|left| left > from)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(agent_id: &str, entered: i64, left: impl Into<Option<i64>>) -> Attendance {
        Attendance { agent_id: agent_id.into(), entered: UnixMicros(entered), left: left.into().map(UnixMicros) }
    }

    fn within(rows: &[Attendance], from: i64, to: i64) -> Vec<Attendance> {
        told(rows.to_vec(), UnixMicros(from), UnixMicros(to))
    }

    #[test]
    fn meeting_intervals_are_one() {
        let rows = [row("a", 5, 9), row("a", 1, 3), row("a", 3, 4), row("a", 9, None), row("b", 2, 8), row("b", 3, 4)];
        assert_eq!(within(&rows, 0, 100), [row("a", 1, 4), row("a", 5, None), row("b", 2, 8)]);
    }

    #[test]
    fn the_range_is_half_open() {
        let rows = [row("a", 10, 20)];
        assert_eq!(within(&rows, 20, 30), [], "ended as the range began");
        assert_eq!(within(&rows, 0, 10), [], "began as the range ended");
        assert_eq!(within(&rows, 19, 20).len() + within(&rows, 10, 11).len() + within(&rows, 12, 13).len(), 3);
        assert_eq!(within(&[row("a", 10, 10)], 10, 11).len(), 1, "a moment at the very beginning");
        assert_eq!(within(&[row("a", 10, None)], 50, 60).len(), 1, "still there");
    }

    #[test]
    fn an_interval_never_ends_before_it_began() {
        let backwards = Interval::new(UnixMicros(9), UnixMicros(4));
        assert_eq!((backwards.lower, backwards.upper), (UnixMicros(9), UnixMicros(9)));
    }
}
