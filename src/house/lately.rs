//! How long frames took in the last minute, for those who look without a Prometheus of their own. Looked at and asked on the bridge's
//! threads alone.

use crate::{
    engine::Counters,
    realtime::{Distribution, Histogram},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What counts as lately.
const LATELY: Duration = Duration::from_secs(60);
/// How often it is noted how much was counted by then.
const EVERY: Duration = Duration::from_secs(5);

/// See the file.
#[derive(Default)]
pub(super) struct Lately {
    engines: Vec<Arc<Counters>>,
    /// The oldest is from a minute ago or a little more, or from the begin.
    seen: Mutex<VecDeque<(Instant, Distribution)>>,
}

impl Lately {
    pub(super) fn of(engines: &[Arc<Counters>]) -> Lately {
        Lately { engines: engines.to_vec(), seen: Mutex::default() }
    }

    fn counted(&self) -> Distribution {
        self.engines.iter().map(|counters| Histogram::read(&counters.delivery)).collect()
    }

    /// To be called every second or so.
    pub(super) fn look(&self, now: Instant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.back().is_some_and(|(at, _)| now.duration_since(*at) < EVERY) {
            return;
        }
        seen.push_back((now, self.counted()));
        while seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= LATELY) {
            seen.pop_front();
        }
    }

    /// Of the deliveries of the last minute; of less, while there has been less.
    pub(super) fn delivery(&self) -> Distribution {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.counted();
        seen.front().map_or_else(|| now.clone(), |(_, earlier)| now.since(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_counts_no_more() {
        let engines: [Arc<Counters>; 2] = Default::default();
        let lately = Lately::of(&engines);
        let begin = Instant::now();
        lately.look(begin);
        engines[0].delivery.record_many(Duration::from_millis(1), 10);
        assert_eq!(lately.delivery().count(), 10);
        (1..=30).for_each(|second| lately.look(begin + Duration::from_secs(second)));
        engines[1].delivery.record(Duration::from_millis(100));
        assert_eq!(lately.delivery().count(), 11, "over all shards");
        (31..=70).for_each(|second| lately.look(begin + Duration::from_secs(second)));
        assert_eq!(lately.delivery().count(), 1);
        assert!(lately.delivery().quantile(0.5).unwrap() > Duration::from_millis(90));
        (71..=200).for_each(|second| lately.look(begin + Duration::from_secs(second)));
        assert_eq!((lately.delivery().count(), lately.seen.lock().unwrap().len()), (0, 13));
    }
}
