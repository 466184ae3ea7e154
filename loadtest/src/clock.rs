//! One clock for all that is measured: CLOCK_MONOTONIC of the host of the boss, in nanoseconds, the same for every process of a run.
//!
//! A worker on another host has a clock of its own; how far that is from the boss's is estimated when it joins, and taken off here.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Duration,
};

/// What is added to this host's own clock.
static SHIFT_NS: AtomicI64 = AtomicI64::new(0);

/// Nanoseconds of the run's clock.
pub(crate) fn now_ns() -> u64 {
    own_ns(ClockId::Monotonic).saturating_add_signed(SHIFT_NS.load(Relaxed))
}

/// From now on the clock is so much later than it was: what a host that joined was found to be behind the boss.
pub(crate) fn shift(ns: i64) {
    SHIFT_NS.fetch_add(ns, Relaxed);
}

/// How far CLOCK_REALTIME of this host is ahead of the run's clock.
pub(crate) fn realtime_ahead_ns() -> i64 {
    own_ns(ClockId::Realtime).cast_signed().saturating_sub_unsigned(now_ns())
}

fn own_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The time until `due_ns`, for a wait; zero when it has passed.
pub(crate) fn until(due_ns: u64, now_ns: u64) -> Timespec {
    let left = due_ns.saturating_sub(now_ns);
    Timespec { tv_sec: (left / 1_000_000_000) as i64, tv_nsec: (left % 1_000_000_000) as i64 }
}

/// A duration in whole nanoseconds, at most 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
