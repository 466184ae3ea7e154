//! Both clocks of the house. All shards share one start, so that their moments can be compared.

use crate::realtime::{Moment, Now, UnixMicros};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Reads CLOCK_MONOTONIC and CLOCK_REALTIME. Copied to every thread that needs the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose moments count from now.
    pub fn started_now() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Both clocks, at once. A wall clock before 1970 reads as 1970.
    pub fn now(&self) -> Now {
        Now { moment: self.moment(), wall: wall() }
    }

    /// The monotonic clock alone.
    pub fn moment(&self) -> Moment {
        Moment(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

fn wall() -> UnixMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_forward() {
        let clock = Clock::started_now();
        let first = clock.now();
        let second = clock.now();
        assert!(second.moment >= first.moment);
        assert!(first.wall.seconds() > 1_600_000_000);
    }
}
