//! What became of members who read slowly, and of the others beside them, told.

use crate::tally::{Measure, Tally};
use serde::Serialize;
use std::collections::BTreeMap;

/// See the file.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SlowFigures {
    /// Slow members who were in when they began to be slow.
    pub(crate) members: u64,
    /// Those whose connection was ended, as they found when they read what was left.
    pub(crate) cut_off: u64,
    /// How it was ended, by the code of the Close frame or whatever else they found.
    pub(crate) ends: BTreeMap<String, u64>,
    /// Those whom the server says it cut off while others did not read; none: it does not tell.
    pub(crate) cut_off_by_server: Option<u64>,
    /// When the first and the last of them were seen to be cut off, seconds since they began to be slow, by the server's own count.
    pub(crate) first_cut_off_s: Option<f64>,
    pub(crate) last_cut_off_s: Option<f64>,
    /// Messages that they heard.
    pub(crate) heard: u64,
    /// How long the others waited for a message while some did not read, over how long they did while all read.
    pub(crate) p50_ratio: Option<f64>,
    pub(crate) p99_ratio: Option<f64>,
    /// Resident memory of the server beyond what it had when everybody still read, at its most; bytes.
    pub(crate) server_growth_bytes: Option<u64>,
}

impl SlowFigures {
    /// What the workers found. The rest is of the server.
    pub(crate) fn of(tally: &Tally) -> SlowFigures {
        let ratio = |quantile: f64| {
            let (before, beside) = (tally.measure(Measure::Delivery), tally.measure(Measure::Beside));
            let is_known = before.count() > 0 && beside.count() > 0;
            is_known.then(|| beside.at(quantile) as f64 / before.at(quantile).max(1) as f64)
        };
        SlowFigures {
            members: tally.slow.members,
            cut_off: tally.slow.cut_off,
            ends: tally.slow_ends.clone(),
            heard: tally.slow.heard,
            p50_ratio: ratio(0.5),
            p99_ratio: ratio(0.99),
            ..SlowFigures::default()
        }
    }
}
