//! How fast somebody comes: the new connections of an address at one shard, the messages of one connection.

use super::Address;
use crate::realtime::Moment;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::time::Duration;

/// Addresses that one shard keeps at a time, some 1.5 MiB. Beyond it whoever comes new is let in and not kept.
const MOST_KEPT: usize = 1 << 15;
/// When all places are taken it is looked again so often whether one is free.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(1);

/// So many in a row, and then one after each `every`, at each shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PaceRule {
    every: Duration,
    burst: Duration,
}

impl PaceRule {
    /// For each of `shards`, its part of `a_second` and of a `burst`; connections are dealt evenly among them.
    pub fn new(a_second: u32, burst: u32, shards: u16) -> PaceRule {
        let every = Duration::from_secs(1) * u32::from(shards.max(1)) / a_second.max(1);
        PaceRule { every, burst: every * (burst / u32::from(shards.max(1))).saturating_sub(1) }
    }
}

/// What becomes of one who comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Verdict {
    /// He may.
    In,
    /// He came too soon, and is told.
    Told,
    /// He came too soon, as so many did of late that he is not even told.
    Shut,
}

/// Up to when an address has used up its time, in coming and in being told.
#[derive(Clone, Copy, Default)]
struct Used {
    come: Moment,
    told: Moment,
}

/// The addresses that came to this shard of late.
pub(in crate::engine) struct Paces {
    used: HashMap<Address, Used, FixedState>,
    /// How many there were when those that do not count any more were last forgotten, and when that was.
    swept: (usize, Moment),
}

impl Paces {
    pub(in crate::engine) fn new(seed: u64) -> Paces {
        Paces { used: HashMap::with_hasher(FixedState::with_seed(seed)), swept: (0, Moment::default()) }
    }

    /// The rule is another: who waited by the old one begins anew.
    pub(in crate::engine) fn forgive(&mut self) {
        self.used.clear();
    }

    /// One more of an address. Who is told, or shut out, uses up nothing of what the next may.
    pub(in crate::engine) fn come(&mut self, address: Address, rule: PaceRule, now: Moment) -> Verdict {
        self.forget(now);
        if self.used.len() >= MOST_KEPT && !self.used.contains_key(&address) {
            return Verdict::In;
        }
        let used = self.used.entry(address).or_default();
        match (spend(&mut used.come, rule, now), Verdict::Told) {
            (true, _) => Verdict::In,
            (false, told) if spend(&mut used.told, rule, now) => told,
            (false, _) => Verdict::Shut,
        }
    }

    /// Addresses whose time is not used up are as good as new.
    fn forget(&mut self, now: Moment) {
        let (left, when) = self.swept;
        let is_full = self.used.len() >= MOST_KEPT && now.since(when) >= BETWEEN_SWEEPS;
        if is_full || self.used.len() > (2 * left).max(1024) {
            self.used.retain(|_, used| used.come > now || used.told > now);
            self.swept = (self.used.len(), now);
        }
    }
}

fn spend(used: &mut Moment, rule: PaceRule, now: Moment) -> bool {
    let begins = (*used).max(now);
    let may = begins.since(now) <= rule.burst;
    if may {
        *used = begins + rule.every;
    }
    may
}

/// The messages of a connection in the second that goes on.
#[derive(Clone, Copy, Default, Debug)]
pub(in crate::engine) struct Rate {
    second: u32,
    messages: u32,
}

impl Rate {
    /// `messages` more. False: they are more than `most` in this second.
    pub(in crate::engine) fn add(&mut self, messages: u64, most: u32, now: Moment) -> bool {
        let second = (now.0 / 1_000_000) as u32;
        if second != self.second {
            *self = Rate { second, messages: 0 };
        }
        self.messages = self.messages.saturating_add(u32::try_from(messages).unwrap_or(u32::MAX));
        self.messages <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{In, Shut, Told};

    fn at(millis: u64) -> Moment {
        Moment(5_000_000 + millis * 1_000)
    }

    #[test]
    fn a_burst_comes_at_once_and_then_one_after_another() {
        let (mut paces, rule) = (Paces::new(1), PaceRule::new(10, 3, 1));
        let mut come = |address, millis| paces.come(Address::of(address), rule, at(millis));
        let verdicts: Vec<_> = (0..8).map(|_| come(9, 0)).collect();
        assert_eq!(verdicts, [In, In, In, Told, Told, Told, Shut, Shut]);
        assert_eq!((come(9, 99), come(9, 100), come(9, 100)), (Shut, In, Told));
        assert_eq!(come(8 << 64, 100), In, "another address has its own");
        assert_eq!((0..4).map(|_| come(9, 10_000)).collect::<Vec<_>>(), [In, In, In, Told], "what was long ago does not count");
    }

    #[test]
    fn each_shard_has_its_part() {
        let (mut paces, rule) = (Paces::new(1), PaceRule::new(10, 6, 2));
        let verdicts: Vec<_> = (0..4).map(|_| paces.come(Address::of(9), rule, at(0))).collect();
        assert_eq!(verdicts, [In, In, In, Told]);
        assert_eq!(paces.come(Address::of(9), rule, at(199)), Told);
        assert_eq!(paces.come(Address::of(9), rule, at(200)), In);
    }

    #[test]
    fn addresses_are_forgotten_and_there_is_a_bound() {
        let (mut paces, rule) = (Paces::new(1), PaceRule::new(1, 1, 1));
        for address in 0..3 * MOST_KEPT as u128 {
            assert_eq!(paces.come(Address::of(address << 64), rule, at(0)), In);
        }
        assert_eq!(paces.used.len(), MOST_KEPT);
        paces.come(Address::of(7 << 64), rule, at(60_000));
        assert_eq!(paces.used.len(), 1);
    }

    #[test]
    fn messages_are_counted_by_the_second() {
        let mut rate = Rate::default();
        assert!(rate.add(3, 5, at(0)) && rate.add(2, 5, at(999)) && !rate.add(1, 5, at(999)) && rate.add(5, 5, at(1_000)));
        assert!(!rate.add(u64::MAX, 5, at(1_000)));
    }
}
