//! How long every bench runs: short, so that all of them together take less than three minutes.

use criterion::Criterion;
use std::time::Duration;

/// 0.3 s of warm-up and 1 s of measurement for each figure.
pub(crate) fn brisk() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).without_plots()
}
