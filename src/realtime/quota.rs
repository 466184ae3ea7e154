//! Limits of requests: fixed windows of a minute, counted by the home of each key.
//!
//! A window begins with its first request and ends on a whole second, at most a minute later: so the second that a client is told is the
//! very one at which it may come again.

use super::{Moment, Now, UnixMicros};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, hash_map::Entry};
use std::{collections::VecDeque, hash::Hash, time::Duration};

const WINDOW_SECONDS: i64 = 60;
/// Windows that one shard counts at a time. Beyond it the one that ends first is forgotten early: some 60 MB at worst, and whoever comes
/// from so many addresses within a minute is not held by a count.
const WINDOWS_AT_MOST: usize = 1 << 19;

struct Window {
    requests: u32,
    /// A whole second by the wall clock of its beginning.
    ends: Moment,
}

/// The windows that have their home on this shard, each by what is counted (who, doing what).
pub struct Quota<K> {
    windows: HashMap<K, Window, FixedState>,
    /// In the order in which they end, but for leaps of the wall clock.
    ends: VecDeque<(Moment, K)>,
    most: usize,
}

/// How one more request was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Counted {
    /// Requests that may still come in this window; none: this one was too many.
    pub remaining: Option<u32>,
    /// When the window ends, in seconds since 1970.
    pub reset: i64,
}

impl Counted {
    /// Whole seconds, at least one, after which one that was too many may come again; none: it was not.
    pub fn wait(self, now: UnixMicros) -> Option<u32> {
        let seconds = u32::try_from(self.reset.saturating_sub(now.seconds())).unwrap_or(0);
        self.remaining.is_none().then_some(seconds.max(1))
    }
}

/// Whom a request without a user is counted by: an IPv4 address (mapped into IPv6), or the network of 64 bits that an IPv6 address is in,
/// all of which is one subscriber's.
pub fn network(mapped: u128) -> u128 {
    let is_ipv4 = mapped >> 32 == 0xffff;
    if is_ipv4 { mapped } else { mapped >> 64 << 64 }
}

impl<K: Copy + Eq + Hash> Quota<K> {
    /// Nobody has asked for anything. `seed` keeps the places of keys from being guessed.
    pub fn new(seed: u64) -> Quota<K> {
        Quota { windows: HashMap::with_hasher(FixedState::with_seed(seed)), ends: VecDeque::new(), most: WINDOWS_AT_MOST }
    }

    /// One more request of `limit` in a minute. One that was too many does not lengthen its window.
    pub fn count(&mut self, key: K, limit: u32, now: Now) -> Counted {
        self.forget(now.moment);
        let window = match self.windows.entry(key) {
            Entry::Occupied(entry) if now.moment < entry.get().ends => entry.into_mut(),
            entry => {
                let reset = now.wall.seconds() + WINDOW_SECONDS;
                let micros = reset.saturating_mul(1_000_000).saturating_sub(now.wall.0).unsigned_abs();
                let ends = now.moment + Duration::from_micros(micros);
                self.ends.push_back((ends, key));
                entry.insert(Window { requests: 0, ends }).into_mut()
            }
        };
        window.requests = window.requests.saturating_add(1);
        Counted { remaining: limit.checked_sub(window.requests), reset: second(window.ends, now) }
    }

    /// How many windows are counted.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    fn forget(&mut self, now: Moment) {
        while let Some(&(ends, key)) = self.ends.front()
            && (ends <= now || self.ends.len() >= self.most)
        {
            self.ends.pop_front();
            if self.windows.get(&key).is_some_and(|window| window.ends == ends) {
                self.windows.remove(&key);
            }
        }
    }
}

/// The second that is nearest to a moment to come, by the wall clock as it is now: that may have been set meanwhile.
fn second(moment: Moment, now: Now) -> i64 {
    let micros = i64::try_from(moment.0.saturating_sub(now.moment.0)).unwrap_or(i64::MAX);
    now.wall.0.saturating_add(micros).saturating_add(500_000).div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_700_000_000;

    fn at(micros: u64) -> Now {
        Now { moment: Moment(5_000_000 + micros), wall: UnixMicros(WALL * 1_000_000 + micros as i64) }
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut quota = Quota::new(1);
        for n in 0..1000 {
            quota.count(n, 100, at(0));
        }
        quota.count(7, 100, at(70_000_000));
        assert_eq!((quota.len(), quota.ends.len()), (1, 1));
    }

    #[test]
    fn many_keys_take_no_more_than_there_is_room_for() {
        let mut quota = Quota::new(1);
        quota.most = 100;
        for n in 0..1000 {
            quota.count(n, 100, at(n));
        }
        assert_eq!((quota.len(), quota.ends.len()), (100, 100));
        let counted = quota.count(999, 100, at(2000));
        assert_eq!(counted.remaining, Some(98), "the newest are those that are kept");
    }

    #[test]
    fn whoever_came_too_often_is_told_when_to_come_again() {
        let mut quota = Quota::new(1);
        assert_eq!(quota.count((), 1, at(750_000)), Counted { remaining: Some(0), reset: WALL + 60 });
        assert_eq!(quota.count((), 1, at(750_000)).wait(at(750_000).wall), Some(60));
        assert_eq!(quota.count((), 1, at(59_999_999)).wait(at(59_999_999).wall), Some(1));
        assert_eq!(quota.count((), 1, at(60_000_000)).wait(at(60_000_000).wall), None);
        let ahead = quota.count((), 1, at(60_000_000));
        assert_eq!(ahead.wait(UnixMicros(i64::MAX)), Some(1));
    }

    #[test]
    fn an_ipv6_network_is_one() {
        let v6 = 0x2001_0db8_0000_0001_u128 << 64;
        assert_eq!(network(0xffff_0a00_0001), 0xffff_0a00_0001);
        assert_eq!(network(v6 | 5), network(v6 | 6));
        assert_ne!(network(v6), network(0x2001_0db8_0000_0002_u128 << 64));
    }
}
