//! A timer wheel: set and cancel in constant time, no allocation for a timer, no work for a tick in which nothing is due.
//!
//! Hierarchical, not hashed: a shard's deadlines lie from milliseconds to hours apart, and a hashed wheel would look at every far
//! timer once a round, and at every tick after a long sleep. Here a timer moves down at most once a level (a 10 s timer once, a
//! 30 s timer twice), and bit maps of the slots in use lead from one due slot to the next, however far the clock has jumped.
//!
//! A level has 64 slots. Level 0 holds the ticks of the current block of 64, level 1 the blocks of the current block of 64², and
//! so on: a timer lies on the level of the highest base-64 digit in which its tick differs from the current one, so the lowest
//! level in use always holds the earliest timer.

use crate::realtime::Moment;
use std::num::NonZeroU32;

/// A deadline is rounded up to a multiple of this (2¹² µs, about 4 ms): timers of one tick fire together, so what they send
/// leaves in one batch.
pub const TICK_MICROS: u64 = 1 << TICK_BITS;
const TICK_BITS: u32 = 12;

const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// Enough for any `Moment`: 9 levels of 6 bits hold 54 bits, a rounded-up `u64` of microseconds has 53 bits of ticks.
const LEVELS: usize = 9;
const _: () = assert!(LEVELS as u32 * LEVEL_BITS > 64 - TICK_BITS);

/// No node.
const NONE: u32 = u32::MAX;
/// Set in `Node::next` of the last node of a list; the other bits are then the number of the list. So there is room for 2³¹ timers.
const END: u32 = 1 << 31;

/// The first allocation, and what an empty wheel may keep.
const KEPT_NODES: usize = 64;

/// Names a timer until it fires or is cancelled; afterwards it names nothing, also when its storage is in use again.
/// `Option<TimerId>` has 8 bytes as well.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimerId {
    index: u32,
    serial: NonZeroU32,
}

/// 20 bytes and the key: 32 with a key of 12.
struct Node<K> {
    at: Moment,
    /// In a list: the node after, or `END` and the list. Free: the next free node.
    next: u32,
    /// In a list: the node before; of the first, the last.
    previous: u32,
    /// `None`: free.
    serial: Option<NonZeroU32>,
    key: K,
}

/// The timers of one shard.
pub struct Wheel<K> {
    nodes: Vec<Node<K>>,
    free: u32,
    live: usize,
    /// Serials are dealt by the wheel, not by the node, so an id stays stale even if the storage was given back in between.
    /// Repeats after 2³² timers.
    serial: NonZeroU32,
    /// All earlier ticks have fired.
    tick: u64,
    levels_used: u16,
    slots_used: [u64; LEVELS],
    /// The first node of each list.
    lists: Box<[u32; LEVELS * SLOTS]>,
}

impl<K: Copy> Wheel<K> {
    /// An empty wheel. `start` should not be later than the first `now`.
    pub fn new(start: Moment) -> Wheel<K> {
        Wheel {
            nodes: Vec::new(),
            free: NONE,
            live: 0,
            serial: NonZeroU32::MIN,
            tick: start.0 >> TICK_BITS,
            levels_used: 0,
            slots_used: [0; LEVELS],
            lists: Box::new([NONE; LEVELS * SLOTS]),
        }
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// How many timers there is room for without asking for memory.
    pub fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    /// Fires `key` at `at`; when that has passed, at the next [`expire`](Wheel::expire).
    pub fn set(&mut self, at: Moment, key: K) -> TimerId {
        let serial = self.serial;
        self.serial = serial.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let node = Node { at, next: NONE, previous: NONE, serial: Some(serial), key };
        let index = if self.free == NONE {
            self.reserve();
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        } else {
            let index = self.free;
            self.free = self.nodes[index as usize].next;
            self.nodes[index as usize] = node;
            index
        };
        self.live += 1;
        self.link(index);
        TimerId { index, serial }
    }

    /// When a timer is due; `None` when it has fired or was cancelled.
    pub fn deadline(&self, timer: TimerId) -> Option<Moment> {
        let node = self.nodes.get(timer.index as usize)?;
        (node.serial == Some(timer.serial)).then_some(node.at)
    }

    /// Takes a timer back; `None` when it has fired or was cancelled before.
    pub fn cancel(&mut self, timer: TimerId) -> Option<K> {
        let node = self.nodes.get(timer.index as usize)?;
        if node.serial != Some(timer.serial) {
            return None;
        }
        let key = node.key;
        self.unlink(timer.index);
        self.release(timer.index);
        self.shrink_when_empty();
        Some(key)
    }

    /// Appends what is due at `now` to `fired`, with the deadline that was asked for: ordered by tick, within a tick in the order
    /// in which they were set. None fires early; one may fire up to [`TICK_MICROS`] after its deadline.
    pub fn expire(&mut self, now: Moment, fired: &mut Vec<(Moment, K)>) {
        let until = now.0 >> TICK_BITS;
        while let Some((level, slot, tick)) = self.earliest() {
            if tick > until {
                break;
            }
            self.tick = self.tick.max(tick);
            let mut index = self.take_list(level, slot);
            while index & END == 0 {
                let node = &self.nodes[index as usize];
                let next = node.next;
                if level == 0 {
                    fired.push((node.at, node.key));
                    self.release(index);
                } else {
                    self.link(index);
                }
                index = next;
            }
        }
        self.tick = self.tick.max(until);
        self.shrink_when_empty();
    }

    /// When to call [`expire`](Wheel::expire) again: never later than the end of the tick of the earliest deadline (when it can
    /// fire), and earlier only when a far timer has to be moved closer by then. `None`: no timer is set.
    pub fn next(&self) -> Option<Moment> {
        self.earliest().map(|(_, _, tick)| Moment(tick.saturating_mul(TICK_MICROS)))
    }

    /// The first list in use, and the tick at which it is due.
    fn earliest(&self) -> Option<(usize, usize, u64)> {
        if self.levels_used == 0 {
            return None;
        }
        let level = self.levels_used.trailing_zeros();
        let slot = self.slots_used[level as usize].trailing_zeros();
        let shift = level * LEVEL_BITS;
        let block = self.tick >> (shift + LEVEL_BITS) << (shift + LEVEL_BITS);
        Some((level as usize, slot as usize, block | u64::from(slot) << shift))
    }

    /// Appends a node to the list in which its deadline belongs now.
    fn link(&mut self, index: u32) {
        let tick = self.nodes[index as usize].at.0.div_ceil(TICK_MICROS).max(self.tick);
        let differing = tick ^ self.tick;
        let level = (63 - (differing | 1).leading_zeros()) / LEVEL_BITS;
        let slot = (tick >> (level * LEVEL_BITS)) as usize % SLOTS;
        self.levels_used |= 1 << level;
        self.slots_used[level as usize] |= 1 << slot;
        let number = level as usize * SLOTS + slot;
        let first = self.lists[number];
        let previous = if first == NONE {
            self.lists[number] = index;
            index
        } else {
            let last = std::mem::replace(&mut self.nodes[first as usize].previous, index);
            self.nodes[last as usize].next = index;
            last
        };
        let node = &mut self.nodes[index as usize];
        node.next = END | number as u32;
        node.previous = previous;
    }

    fn unlink(&mut self, index: u32) {
        let Node { next, previous, .. } = self.nodes[index as usize];
        let before = self.nodes[previous as usize].next;
        let number = (before & !END) as usize;
        match (before & END != 0, next & END != 0) {
            (true, true) => {
                self.take_list(number / SLOTS, number % SLOTS);
            }
            (true, false) => {
                self.lists[number] = next;
                self.nodes[next as usize].previous = previous;
            }
            (false, true) => {
                let first = self.lists[(next & !END) as usize];
                self.nodes[first as usize].previous = previous;
                self.nodes[previous as usize].next = next;
            }
            (false, false) => {
                self.nodes[next as usize].previous = previous;
                self.nodes[previous as usize].next = next;
            }
        }
    }

    /// Empties a list; returns what was its first node.
    fn take_list(&mut self, level: usize, slot: usize) -> u32 {
        self.slots_used[level] &= !(1 << slot);
        if self.slots_used[level] == 0 {
            self.levels_used &= !(1 << level);
        }
        std::mem::replace(&mut self.lists[level * SLOTS + slot], NONE)
    }

    fn release(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.serial = None;
        node.next = self.free;
        self.free = index;
        self.live -= 1;
    }

    /// Grows by a quarter, so no more than that is ever unused; doubling would cost up to 32 bytes more for each connection.
    fn reserve(&mut self) {
        if self.nodes.len() == self.nodes.capacity() {
            self.nodes.reserve_exact((self.nodes.len() / 4).max(KEPT_NODES));
        }
    }

    /// Storage is used again, last freed first; it goes back when the last timer has gone.
    fn shrink_when_empty(&mut self) {
        if self.live == 0 && self.nodes.len() > KEPT_NODES {
            self.nodes = Vec::new();
            self.free = NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn ticks(at: Moment) -> u64 {
        at.0.div_ceil(TICK_MICROS)
    }

    /// The wheel beside an ordered map that says what must come out.
    struct Pair {
        wheel: Wheel<u32>,
        model: BTreeMap<(u64, u32), Moment>,
        ids: Vec<(TimerId, u64)>,
        now: Moment,
        expired_until: u64,
    }

    impl Pair {
        fn new(start: Moment) -> Pair {
            let expired_until = start.0 / TICK_MICROS;
            Pair { wheel: Wheel::new(start), model: BTreeMap::new(), ids: Vec::new(), now: start, expired_until }
        }

        fn set(&mut self, at: Moment) {
            let key = self.ids.len() as u32;
            let tick = ticks(at).max(self.expired_until);
            self.ids.push((self.wheel.set(at, key), tick));
            self.model.insert((tick, key), at);
            self.check();
        }

        fn cancel(&mut self, key: u32) {
            let (id, tick) = self.ids[key as usize];
            let expected = self.model.remove(&(tick, key)).map(|_| key);
            assert_eq!(self.wheel.cancel(id), expected);
            assert_eq!(self.wheel.cancel(id), None);
            self.check();
        }

        fn expire(&mut self, now: Moment) {
            self.now = now;
            self.expired_until = now.0 / TICK_MICROS;
            let later = self.model.split_off(&(self.expired_until + 1, 0));
            let due = std::mem::replace(&mut self.model, later);
            let expected: Vec<_> = due.into_iter().map(|((_, key), at)| (at, key)).collect();
            let mut fired = Vec::new();
            self.wheel.expire(now, &mut fired);
            assert!(fired.iter().all(|(at, _)| *at <= now), "early");
            assert_eq!(fired, expected);
            self.check();
        }

        fn check(&self) {
            assert_eq!(self.wheel.len(), self.model.len());
            match (self.wheel.next(), self.model.first_key_value()) {
                (None, None) => {}
                (Some(next), Some(((tick, _), _))) => assert!(next.0 <= tick.saturating_mul(TICK_MICROS)),
                (next, first) => panic!("{next:?} beside {first:?}"),
            }
        }

        /// As a shell does: sleeps until `next`, over and over. Ends only if every wake-up makes progress.
        fn sleep_through(&mut self) {
            let mut wakes = 0;
            while let Some(next) = self.wheel.next() {
                let live = self.wheel.len();
                self.expire(next.max(self.now));
                wakes += 1;
                assert!(wakes <= LEVELS * (live + self.ids.len()), "a wake-up that moved nothing");
            }
            assert!(self.model.is_empty());
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(i64),
        Cancel(usize),
        Expire(u64),
    }

    fn far() -> impl Strategy<Value = u64> {
        (0..50_u32).prop_flat_map(|bits| 0..=1_u64 << bits)
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => far().prop_map(|after| Step::Set(after as i64)),
            1 => (0..100_000_i64).prop_map(|before| Step::Set(-before)),
            2 => any::<usize>().prop_map(Step::Cancel),
            1 => (0..30_000_u64).prop_map(Step::Expire),
            1 => far().prop_map(Step::Expire),
        ]
    }

    proptest! {
        #[test]
        fn equals_an_ordered_map(start in far(), steps in prop::collection::vec(step(), 1..200)) {
            let mut pair = Pair::new(Moment(start));
            for step in steps {
                match step {
                    Step::Set(after) => pair.set(Moment(pair.now.0.saturating_add_signed(after))),
                    Step::Cancel(which) if !pair.ids.is_empty() => pair.cancel((which % pair.ids.len()) as u32),
                    Step::Cancel(_) => {}
                    Step::Expire(after) => pair.expire(Moment(pair.now.0 + after)),
                }
            }
            pair.sleep_through();
        }
    }

    #[test]
    fn a_hundred_thousand_timers() {
        let mut pair = Pair::new(Moment(7));
        let mut state = 1_u64;
        let mut draw = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for round in 0..100_000 {
            pair.set(Moment(pair.now.0 + draw(120_000_000)));
            if draw(3) == 0 {
                pair.cancel(draw(round + 1) as u32);
            }
            if draw(500) == 0 {
                pair.expire(Moment(pair.now.0 + draw(200_000)));
            }
        }
        assert!(pair.wheel.len() > 30_000);
        assert!(pair.wheel.capacity() <= pair.wheel.len() * 2, "freed storage is used again");
        pair.sleep_through();
        assert!(pair.wheel.capacity() <= KEPT_NODES, "storage goes back");
    }

    #[test]
    fn a_stale_id_never_hits_the_next_tenant() {
        let mut wheel = Wheel::new(Moment(0));
        let mut fired = Vec::new();
        let first = wheel.set(Moment(10), 'a');
        wheel.expire(Moment(TICK_MICROS), &mut fired);
        assert_eq!(fired, [(Moment(10), 'a')]);
        assert_eq!(wheel.cancel(first), None);
        let second = wheel.set(Moment(10), 'b');
        assert_eq!(first.index, second.index, "the storage is used again");
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(wheel.cancel(second), Some('b'));
        let many: Vec<_> = (0..1_000).map(|_| wheel.set(Moment(5), 'c')).collect();
        wheel.expire(Moment(2 * TICK_MICROS), &mut fired);
        let again: Vec<_> = (0..1_000).map(|_| wheel.set(Moment(5), 'd')).collect();
        assert!(many.iter().all(|id| wheel.cancel(*id).is_none()), "also when the storage was given back in between");
        assert!(again.iter().all(|id| wheel.cancel(*id) == Some('d')));
    }

    #[test]
    fn fires_by_tick_then_in_the_order_of_setting() {
        let mut wheel = Wheel::new(Moment(0));
        let second = 1_000_000;
        for (at, key) in [(9 * second, 1), (3, 2), (9 * second - 1, 3), (2, 4), (9 * second, 5), (0, 6)] {
            wheel.set(Moment(at), key);
        }
        let mut fired = Vec::new();
        wheel.expire(Moment(60 * second), &mut fired);
        let keys: Vec<_> = fired.iter().map(|(_, key)| *key).collect();
        assert_eq!(keys, [6, 2, 4, 1, 3, 5]);
    }

    #[test]
    fn the_end_of_time_and_the_long_past() {
        let mut wheel = Wheel::new(Moment(u64::MAX / 2));
        wheel.set(Moment(u64::MAX), 1);
        wheel.set(Moment(0), 2);
        let mut fired = Vec::new();
        wheel.expire(Moment(u64::MAX / 2), &mut fired);
        assert_eq!(fired, [(Moment(0), 2)], "a past deadline fires without a step of the clock");
        wheel.expire(Moment(u64::MAX - TICK_MICROS), &mut fired);
        assert_eq!(fired.len(), 1);
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn sizes() {
        assert_eq!(size_of::<TimerId>(), 8);
        assert_eq!(size_of::<Option<TimerId>>(), 8);
        assert_eq!(size_of::<Node<(crate::realtime::ConnId, u8)>>(), 32);
    }
}
