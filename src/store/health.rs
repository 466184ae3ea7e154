//! How a store is doing: atomics that its thread writes and anyone reads.

use crate::{protocols::presence::record::StoreFault, realtime::Histogram};
use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// How the last commit went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There was none yet.
    Untried,
    /// It is on disk.
    Done,
    /// It failed so; or it took longer than a question may wait, which is `Busy` too.
    Fault(StoreFault),
}

/// A store's figures. Each is exact by itself; together they are not one moment's picture.
#[derive(Default, Debug)]
pub struct Health {
    outcome: AtomicU8,
    /// Enters and records that wait to be taken into a batch.
    pub queued: AtomicU64,
    /// Leaves that wait in memory: those that asked for more go before them, or a commit failed and is to be retried.
    pub overdue_leaves: AtomicU64,
    /// Enters, records and leaves in the last batch.
    pub batch_size: AtomicU64,
    /// Microseconds that the last batch took, from its begin to the end of its commit.
    pub batch_micros: AtomicU64,
    /// How long batches took that were committed, from their begin to the end of their commit; no heartbeats.
    pub commit: Histogram,
    /// Batches committed since the start, heartbeats with them.
    pub commits: AtomicU64,
    /// Batches that failed since the start, heartbeats with them.
    pub failures: AtomicU64,
    /// Enters and records answered `Busy` because they waited too long in the queue, since the start.
    pub expired: AtomicU64,
    /// Whether a former connection of this node's still has the mark by which others see that the node lives: when that one ends it would
    /// look dead.
    pub unmarked: AtomicBool,
}

impl Health {
    /// How the last commit went.
    pub fn outcome(&self) -> Outcome {
        match self.outcome.load(Relaxed) {
            0 => Outcome::Untried,
            1 => Outcome::Done,
            2 => Outcome::Fault(StoreFault::Busy),
            _ => Outcome::Fault(StoreFault::Failed),
        }
    }

    /// `patience`: how long a question may wait. A commit that takes longer holds, but whoever came meanwhile is refused.
    pub(super) fn tried(&self, result: Result<(), StoreFault>, size: usize, took: Duration, patience: Duration) {
        let (outcome, counter) = match result {
            Ok(()) if took > patience => (2, &self.commits),
            Ok(()) => (1, &self.commits),
            Err(StoreFault::Busy) => (2, &self.failures),
            Err(StoreFault::Failed) => (3, &self.failures),
        };
        self.outcome.store(outcome, Relaxed);
        // A heartbeat is no batch.
        if size > 0 {
            self.batch_size.store(size as u64, Relaxed);
            self.batch_micros.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
            if result.is_ok() {
                self.commit.record(took);
            }
        }
        counter.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_nobody_can_wait_for_is_busy() {
        let (health, patience) = (Health::default(), Duration::from_secs(5));
        for (took, outcome) in [(5, Outcome::Done), (6, Outcome::Fault(StoreFault::Busy)), (1, Outcome::Done)] {
            health.tried(Ok(()), 1, Duration::from_secs(took), patience);
            assert_eq!(health.outcome(), outcome);
        }
        assert_eq!((health.commits.load(Relaxed), health.failures.load(Relaxed)), (3, 0), "all of them hold");
        health.tried(Ok(()), 0, Duration::from_secs(1), patience);
        health.tried(Err(StoreFault::Failed), 1, Duration::from_secs(1), patience);
        assert_eq!(health.commit.read().count(), 3, "neither a heartbeat nor what failed");
    }
}
