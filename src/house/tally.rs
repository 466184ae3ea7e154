//! What became of the requests to one model or tool behind HTTP: counted where they end, read by whoever draws metrics or asks how the
//! house is.

use crate::models::{Fault, ToolOutcome, Word};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// With an answer.
    Answered,
    /// Not reached, or 5xx.
    Unreachable,
    /// 429.
    Busy,
    /// Not in time.
    TimedOut,
    /// In the middle of the answer.
    Cut,
    /// With something else than an answer.
    Malformed,
    /// With a 4xx: this request is not liked.
    Refused,
    /// With 401, 403 or 404: no request of ours would be.
    Denied,
    /// Of a tool: with no result.
    Failed,
    /// By us: nobody waited any more.
    Stopped,
}

/// What a request says of the one who was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    /// All is well.
    Well,
    /// Nobody seems to be there: whoever looks finds out.
    Absent,
    /// It is there, and does not do what it should: only the next request finds out.
    Ill,
}

impl Fate {
    /// Those of models.
    pub(super) const OF_MODELS: [Fate; 9] = [
        Fate::Answered,
        Fate::Unreachable,
        Fate::Busy,
        Fate::TimedOut,
        Fate::Cut,
        Fate::Malformed,
        Fate::Refused,
        Fate::Denied,
        Fate::Stopped,
    ];
    /// Those of tools.
    pub(super) const OF_TOOLS: [Fate; 4] = [Fate::Answered, Fate::Failed, Fate::TimedOut, Fate::Stopped];

    /// The label of metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Fate::Answered => "answered",
            Fate::Unreachable => "unreachable",
            Fate::Busy => "busy",
            Fate::TimedOut => "timed_out",
            Fate::Cut => "cut",
            Fate::Malformed => "malformed",
            Fate::Refused => "refused",
            Fate::Denied => "denied",
            Fate::Failed => "failed",
            Fate::Stopped => "stopped",
        }
    }

    /// What the last word of a model says; none: it is not the last.
    pub(super) fn of_word(word: &Word) -> Option<Fate> {
        Some(match word {
            Word::Delta(_) | Word::Call(_) => return None,
            Word::Ended { .. } => Fate::Answered,
            Word::Failed(Fault::Unreachable) => Fate::Unreachable,
            Word::Failed(Fault::Busy) => Fate::Busy,
            Word::Failed(Fault::TimedOut) => Fate::TimedOut,
            Word::Failed(Fault::Cut) => Fate::Cut,
            Word::Failed(Fault::Malformed) => Fate::Malformed,
            Word::Failed(Fault::Refused(401 | 403 | 404)) => Fate::Denied,
            Word::Failed(Fault::Refused(_)) => Fate::Refused,
        })
    }

    /// What came of a call.
    pub(super) fn of_call(outcome: &ToolOutcome) -> Fate {
        match outcome {
            ToolOutcome::Done(_) => Fate::Answered,
            ToolOutcome::TimedOut => Fate::TimedOut,
            ToolOutcome::Failed(_) | ToolOutcome::NotFound | ToolOutcome::BadArguments(_) => Fate::Failed,
        }
    }

    fn sign(self) -> Option<Sign> {
        match self {
            Fate::Answered | Fate::Refused => Some(Sign::Well),
            Fate::Unreachable | Fate::TimedOut => Some(Sign::Absent),
            Fate::Busy | Fate::Cut | Fate::Malformed | Fate::Denied | Fate::Failed => Some(Sign::Ill),
            Fate::Stopped => None,
        }
    }
}

/// See the file. Any thread may write it.
#[derive(Debug)]
pub(super) struct Tally {
    counts: [AtomicU64; Fate::Stopped as usize + 1],
    since: Instant,
    /// The last sign: milliseconds from `since`, and behind them, in two bits, which. 0: there was none.
    last: AtomicU64,
}

impl Tally {
    /// Nothing was asked yet.
    pub(super) fn new() -> Tally {
        Tally { counts: Default::default(), since: Instant::now(), last: AtomicU64::new(0) }
    }

    /// A request has ended so.
    pub(super) fn note(&self, fate: Fate) {
        self.counts[fate as usize].fetch_add(1, Relaxed);
        fate.sign().into_iter().for_each(|sign| self.shows(sign));
    }

    /// Something else than a request shows this.
    pub(super) fn shows(&self, sign: Sign) {
        let which = match sign {
            Sign::Well => 1,
            Sign::Absent => 2,
            Sign::Ill => 3,
        };
        self.last.store(self.now() << 2 | which, Relaxed);
    }

    /// How many have ended so.
    pub(super) fn count(&self, fate: Fate) -> u64 {
        self.counts[fate as usize].load(Relaxed)
    }

    /// The last sign, if it came within this time.
    pub(super) fn last(&self, within: Duration) -> Option<Sign> {
        let last = self.last.load(Relaxed);
        let sign = match last & 3 {
            0 => return None,
            1 => Sign::Well,
            2 => Sign::Absent,
            _ => Sign::Ill,
        };
        let age = Duration::from_millis(self.now().saturating_sub(last >> 2));
        (age < within).then_some(sign)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Stop, Usage};

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn the_last_sign_counts() {
        let tally = Tally::new();
        assert_eq!(tally.last(LONG), None);
        tally.note(Fate::Stopped);
        assert_eq!(tally.last(LONG), None, "we broke it off: that says nothing");
        for (fate, sign) in [
            (Fate::Unreachable, Sign::Absent),
            (Fate::Answered, Sign::Well),
            (Fate::Denied, Sign::Ill),
            (Fate::Stopped, Sign::Ill),
            (Fate::Refused, Sign::Well),
        ] {
            tally.note(fate);
            assert_eq!(tally.last(LONG), Some(sign), "{fate:?}");
        }
        tally.shows(Sign::Absent);
        assert_eq!((tally.last(LONG), tally.last(Duration::ZERO)), (Some(Sign::Absent), None), "that was too long ago");
        assert_eq!((tally.count(Fate::Unreachable), tally.count(Fate::Busy)), (1, 0));
    }

    #[test]
    fn every_end_has_a_fate() {
        let ended = Word::Ended { stop: Stop::Done, usage: Usage::default() };
        for (word, label) in [
            (Word::Delta("a".into()), None),
            (ended, Some("answered")),
            (Word::Failed(Fault::Refused(400)), Some("refused")),
            (Word::Failed(Fault::Refused(401)), Some("denied")),
            (Word::Failed(Fault::Cut), Some("cut")),
        ] {
            assert_eq!(Fate::of_word(&word).map(Fate::label), label);
        }
        assert_eq!(Fate::of_call(&ToolOutcome::Failed("x".into())), Fate::Failed);
        let labels: std::collections::BTreeSet<_> =
            Fate::OF_MODELS.iter().chain(&Fate::OF_TOOLS).map(|fate| fate.label()).collect();
        assert_eq!(labels.len(), Fate::Stopped as usize + 1, "each has a label of its own");
    }
}
