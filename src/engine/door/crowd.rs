//! How many connections each address or user has: one count over all shards, without a lock and without a letter.
//!
//! A table of fixed size that all shards share, eight counts to a cache line. A key may lie in two lines; where both are full of others it
//! is let in and not counted, so that a table that is too small refuses nobody wrongly. A count that falls to zero leaves its place to
//! others.

use foldhash::fast::FixedState;
use std::{
    fmt,
    hash::{BuildHasher, Hash},
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

const SLOTS: usize = 8;
/// A slot has its count in the low bits, and above it as much of its key's hash as finds room there. The line is chosen by the low bits.
const COUNT_BITS: u32 = 24;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// Eight to sixteen bytes for each connection that there may be, and a megabyte at most.
const MOST_SLOTS: usize = 1 << 17;
const FEWEST_SLOTS: usize = 1 << 10;

#[derive(Default)]
#[repr(align(64))]
struct Line([AtomicU64; SLOTS]);

/// See the file. Clones count together.
#[derive(Clone, Default)]
pub struct Crowd {
    limit: usize,
    seed: u64,
    /// None: nothing is counted. Else a power of two, and at most 2^24 slots.
    lines: Arc<[Line]>,
}

/// Where somebody was counted, to be given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) struct Place(NonZeroU64);

/// What came of counting one more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Counted {
    /// He is in, and was counted where there was a place for that.
    In(Option<Place>),
    /// There are as many as there may be: he was not counted.
    Full,
}

impl Crowd {
    /// Lets `limit` in for each key, where `all` come at most. No limit: nobody is counted. `seed` keeps the places of keys from being
    /// guessed.
    pub fn new(limit: Option<usize>, all: usize, seed: u64) -> Crowd {
        let Some(limit) = limit else { return Crowd::default() };
        let slots = all.clamp(FEWEST_SLOTS, MOST_SLOTS).next_power_of_two();
        Crowd { limit, seed, lines: (0..slots / SLOTS).map(|_| Line::default()).collect() }
    }

    /// The same with another limit, for all that go by it from now on; who is there stays counted. Without a limit there, and where
    /// somebody is counted, counting goes on. Where nobody was counted so far, it begins with those who come: `all` and `seed` as above.
    #[must_use]
    pub fn with_limit(&self, limit: Option<usize>, all: usize, seed: u64) -> Crowd {
        if self.lines.is_empty() {
            return Crowd::new(limit, all, seed);
        }
        Crowd { limit: limit.unwrap_or(COUNT as usize), ..self.clone() }
    }

    /// How many each may have.
    pub(in crate::engine) fn limit(&self) -> usize {
        self.limit
    }

    /// One more of `key`, where `spare` more than the limit are taken. Says how many there are with him, 0 where nobody counts.
    pub(in crate::engine) fn come(&self, key: &impl Hash, spare: usize) -> (Counted, usize) {
        if self.lines.is_empty() {
            return (Counted::In(None), 0);
        }
        let hash = FixedState::with_seed(self.seed).hash_one(key);
        let place = NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN);
        let most = (self.limit + spare).min(COUNT as usize) as u64;
        self.count(Place(place), most)
    }

    fn count(&self, place: Place, most: u64) -> (Counted, usize) {
        let tag = place.tag();
        loop {
            let there = self.slots(place).map(|slot| (slot, slot.load(Relaxed)));
            let (mut own, mut free, mut total) = (None, None, 0);
            for (slot, seen) in there {
                match seen & COUNT {
                    0 => free = free.or(Some((slot, seen))),
                    count if seen & !COUNT == tag => {
                        own = Some((slot, seen));
                        total += count;
                    }
                    _ => {}
                }
            }
            if total >= most {
                return (Counted::Full, total as usize);
            }
            let Some((slot, seen)) = own.or(free) else { return (Counted::In(None), 0) };
            if slot.compare_exchange(seen, tag | ((seen & COUNT) + 1), Relaxed, Relaxed).is_err() {
                continue;
            }
            // Two shards may have taken a place for one key at the same moment: both are counted, so the sum still holds.
            let total = self.total(place);
            if total > most {
                self.go(place);
                return (Counted::Full, total as usize);
            }
            return (Counted::In(Some(place)), total as usize);
        }
    }

    /// One less, of those that were counted.
    pub(in crate::engine) fn go(&self, place: Place) {
        loop {
            let found = self.slots(place).map(|slot| (slot, slot.load(Relaxed)));
            let own = found.into_iter().find(|(_, seen)| seen & COUNT != 0 && seen & !COUNT == place.tag());
            let Some((slot, seen)) = own else { return };
            let less = if seen & COUNT == 1 { 0 } else { seen - 1 };
            if slot.compare_exchange(seen, less, Relaxed, Relaxed).is_ok() {
                return;
            }
        }
    }

    fn total(&self, place: Place) -> u64 {
        let own = |seen: &u64| seen & !COUNT == place.tag();
        self.slots(place).map(|slot| slot.load(Relaxed)).filter(own).map(|seen| seen & COUNT).sum()
    }

    /// The two lines where a key may be, in the order in which it is looked for a place.
    fn slots(&self, place: Place) -> impl Iterator<Item = &AtomicU64> {
        let line = place.0.get() as usize & (self.lines.len() - 1);
        [line, line ^ 1].into_iter().filter_map(|line| self.lines.get(line)).flat_map(|line| &line.0)
    }
}

impl Place {
    fn tag(self) -> u64 {
        // All zeros would be a place without a key.
        (self.0.get() & !COUNT) | 1 << 63
    }
}

impl fmt::Debug for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crowd(at most {} of each)", self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come(crowd: &Crowd, key: u32) -> Counted {
        crowd.come(&key, 0).0
    }

    #[test]
    fn one_is_too_many_until_another_goes() {
        let crowd = Crowd::new(Some(3), 100, 1);
        let places: Vec<_> = (0..3).map(|_| come(&crowd, 7)).collect();
        let Counted::In(Some(place)) = places[0] else { panic!("{places:?}") };
        assert_eq!((come(&crowd, 7), come(&crowd.clone(), 7)), (Counted::Full, Counted::Full), "clones count together");
        assert_eq!(crowd.come(&7_u32, 1).1, 4, "one to spare");
        assert!(matches!(come(&crowd, 8), Counted::In(Some(_))), "another key has its own");
        crowd.go(place);
        assert_eq!(come(&crowd, 7), Counted::Full);
        crowd.go(place);
        assert!(matches!(come(&crowd, 7), Counted::In(Some(_))));
        (0..3).for_each(|_| crowd.go(place));
        crowd.go(place);
        assert_eq!(crowd.come(&7_u32, 0).1, 1, "what was never counted takes nothing away");
    }

    #[test]
    fn without_a_limit_nobody_is_counted() {
        let crowd = Crowd::new(None, 100, 1);
        assert!((0..100_000).all(|_| come(&crowd, 7) == Counted::In(None)));
    }

    #[test]
    fn another_limit_holds_for_those_who_come_and_forgets_nobody() {
        let crowd = Crowd::new(Some(3), 100, 1);
        let places: Vec<_> = (0..3).map(|_| come(&crowd, 7)).collect();
        let fewer = crowd.with_limit(Some(1), 1 << 20, 9);
        assert_eq!((come(&fewer, 7), come(&crowd, 7)), (Counted::Full, Counted::Full));
        let more = fewer.with_limit(Some(5), 100, 1);
        assert_eq!((more.come(&7_u32, 0).1, come(&crowd, 7)), (4, Counted::Full), "they count together");
        let any = more.with_limit(None, 100, 1);
        assert!((0..1000).all(|_| matches!(come(&any, 7), Counted::In(Some(_)))));
        let Counted::In(Some(place)) = places[0] else { panic!("{places:?}") };
        (0..1004).for_each(|_| any.go(place));
        assert_eq!(any.with_limit(Some(1), 100, 1).come(&7_u32, 0), (Counted::In(Some(place)), 1), "and all that went are gone");
        // Those who came while nobody counted hold no place.
        let begun = Crowd::new(None, 100, 1).with_limit(Some(1), 100, 1);
        assert!(matches!(come(&begun, 7), Counted::In(Some(_))) && come(&begun, 7) == Counted::Full);
    }

    #[test]
    fn a_table_that_is_too_small_refuses_nobody_and_forgets_everybody() {
        let crowd = Crowd::new(Some(1), 0, 3);
        let places: Vec<Place> = (0..5_000)
            .filter_map(|key| match come(&crowd, key) {
                Counted::In(place) => place,
                Counted::Full => panic!("{key} was refused"),
            })
            .collect();
        assert!((900..=FEWEST_SLOTS).contains(&places.len()), "{}", places.len());
        places.into_iter().for_each(|place| crowd.go(place));
        assert!(crowd.lines.iter().flat_map(|line| &line.0).all(|slot| slot.load(Relaxed) == 0));
    }

    #[test]
    fn a_full_server_counts_nearly_everybody() {
        let crowd = Crowd::new(Some(1), 20_000, 3);
        let counted = (0..20_000).filter(|key| matches!(come(&crowd, *key), Counted::In(Some(_)))).count();
        assert!(counted > 19_500, "{counted}");
        assert_eq!(size_of_val(&*crowd.lines), 256 << 10);
    }

    #[test]
    fn threads_that_count_together_never_let_in_more() {
        let crowd = Crowd::new(Some(50), 100, 5);
        let let_in: Vec<Vec<Place>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut places = Vec::new();
                        for round in 0..20_000 {
                            match come(&crowd, round % 3) {
                                Counted::In(Some(place)) => places.push(place),
                                Counted::In(None) => panic!("there is room"),
                                Counted::Full => {}
                            }
                            if round % 5 < 2
                                && let Some(place) = places.pop()
                            {
                                crowd.go(place);
                            }
                        }
                        places
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let left = let_in.iter().flatten().count();
        assert!(left <= 150, "{left}");
        for key in 0..3_u32 {
            let total = (0..200).filter(|_| matches!(come(&crowd, key), Counted::In(Some(_)))).count();
            let own = let_in.iter().flatten().filter(|place| **place == place_of(&crowd, key)).count();
            assert_eq!(total + own, 50, "{key}");
        }
    }

    fn place_of(crowd: &Crowd, key: u32) -> Place {
        Place(NonZeroU64::new(FixedState::with_seed(crowd.seed).hash_one(key)).unwrap())
    }
}
