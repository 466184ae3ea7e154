//! What happened when: slices of equal length, each with what was measured in it.
//!
//! A worker counts into one open slice for each measure and puts it away four times a second; a longer run has longer slices, never more
//! than [`MOST_SLICES`]. Slices are merged bucket by bucket, over workers and over time, so nothing but their length is lost.

use super::Measure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The length of a slice in a run of at most five minutes.
pub(crate) const FINEST_NS: u64 = 250_000_000;
/// When there would be more, two become one.
const MOST_SLICES: usize = 1_200;
/// Values below are counted each; above, an octave has half as many buckets: all are right within a hundredth.
const EXACT: u64 = 256;
const OCTAVE: u64 = EXACT / 2;
/// An hour needs 42 bits; what is longer counts as the longest.
const BITS: u32 = 42;
const INDICES: usize = (EXACT + (BITS as u64 - 8) * OCTAVE) as usize;

/// Values of one measure: the highest value of each bucket that holds something, and how many it holds, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Buckets(Vec<(u64, u64)>);

/// What is measured in the slice that is still open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fresh {
    counts: Vec<u32>,
    least: usize,
    most: usize,
}

/// A stretch of time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Slice {
    /// WebSockets that were open at its end.
    pub(crate) connections: u64,
    /// Faults in it.
    pub(crate) faults: u64,
    /// CPU time of the generator.
    pub(crate) cpu_ns: u64,
    /// The share of a core that its busiest worker wanted, 0 to 1.
    pub(crate) busiest: f64,
    /// Resident memory of the generator's workers.
    pub(crate) resident_bytes: u64,
    /// What was measured.
    pub(crate) measures: BTreeMap<Measure, Buckets>,
}

/// All slices, from the moment at which the first stage began.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Series {
    /// When the first one begins: nanoseconds of CLOCK_MONOTONIC; 0 before the first stage.
    pub(crate) origin_ns: u64,
    /// The length of each.
    pub(crate) step_ns: u64,
    /// In order.
    pub(crate) slices: Vec<Slice>,
}

/// The bucket of a value.
fn index(ns: u64) -> usize {
    let ns = ns.min((1 << BITS) - 1);
    if ns < EXACT {
        return ns as usize;
    }
    let octave = u64::from(ns.ilog2());
    (EXACT + (octave - 8) * OCTAVE + ((ns >> (octave - 7)) & (OCTAVE - 1))) as usize
}

/// The highest value of a bucket.
fn highest(index: usize) -> u64 {
    let Some(above) = (index as u64).checked_sub(EXACT) else { return index as u64 };
    let (octave, part) = (above / OCTAVE + 8, above % OCTAVE);
    ((OCTAVE + part + 1) << (octave - 7)) - 1
}

impl Default for Fresh {
    fn default() -> Self {
        Fresh { counts: vec![0; INDICES], least: INDICES, most: 0 }
    }
}

impl Fresh {
    /// Counts one value.
    pub(super) fn record(&mut self, ns: u64) {
        let index = index(ns);
        self.counts[index] = self.counts[index].saturating_add(1);
        (self.least, self.most) = (self.least.min(index), self.most.max(index));
    }

    /// What was counted, which begins anew; nothing where there was none.
    pub(super) fn take(&mut self) -> Option<Buckets> {
        let (least, most) = (self.least, self.most);
        let held = self.counts.get_mut(least..=most)?;
        let full = held.iter().enumerate().filter(|(_, count)| **count > 0);
        let buckets = Buckets(full.map(|(place, count)| (highest(least + place), u64::from(*count))).collect());
        held.fill(0);
        (self.least, self.most) = (INDICES, 0);
        Some(buckets)
    }
}

impl Buckets {
    /// How many values.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The value in nanoseconds that the share `quantile` (0 to 1) of all values does not exceed; 0 when there are none.
    pub(crate) fn at(&self, quantile: f64) -> u64 {
        let rank = (self.count() as f64 * quantile).ceil().max(1.0) as u64;
        let mut below = 0;
        let reached = self.0.iter().find(|(_, count)| {
            below += count;
            below >= rank
        });
        reached.or(self.0.last()).map_or(0, |(ns, _)| *ns)
    }

    fn add(&mut self, ns: u64, count: u64) {
        match self.0.binary_search_by_key(&ns, |(ns, _)| *ns) {
            Ok(place) => self.0[place].1 += count,
            Err(place) => self.0.insert(place, (ns, count)),
        }
    }

    /// Adds another's.
    pub(crate) fn merge(&mut self, other: &Buckets) {
        if self.0.is_empty() {
            return self.clone_from(other);
        }
        other.0.iter().for_each(|(ns, count)| self.add(*ns, *count));
    }
}

impl Slice {
    fn merge_measures(&mut self, other: &Slice) {
        for (measure, buckets) in &other.measures {
            self.measures.entry(*measure).or_default().merge(buckets);
        }
    }

    /// Adds what another worker did in the same time.
    fn join(&mut self, other: &Slice) {
        self.connections += other.connections;
        self.faults += other.faults;
        self.cpu_ns += other.cpu_ns;
        self.busiest = self.busiest.max(other.busiest);
        self.resident_bytes += other.resident_bytes;
        self.merge_measures(other);
    }

    /// Adds what the same worker did thereafter.
    fn follow(&mut self, later: &Slice) {
        self.connections = later.connections;
        self.faults += later.faults;
        self.cpu_ns += later.cpu_ns;
        self.busiest = self.busiest.max(later.busiest);
        self.resident_bytes = self.resident_bytes.max(later.resident_bytes);
        self.merge_measures(later);
    }

    /// A stretch in which nothing was looked at: the levels stay as they were.
    fn quiet(before: Option<&Slice>) -> Slice {
        let (connections, resident_bytes) = before.map_or((0, 0), |before| (before.connections, before.resident_bytes));
        Slice { connections, resident_bytes, ..Slice::default() }
    }
}

impl Series {
    /// The first stage begins.
    pub(crate) fn open(&mut self, origin_ns: u64) {
        if self.origin_ns == 0 {
            (self.origin_ns, self.step_ns) = (origin_ns, FINEST_NS);
        }
    }

    /// When the open slice ends.
    pub(crate) fn due_ns(&self, now_ns: u64) -> u64 {
        if self.origin_ns == 0 {
            return u64::MAX;
        }
        self.origin_ns + (now_ns.saturating_sub(self.origin_ns) / self.step_ns + 1) * self.step_ns
    }

    /// Puts the slice away whose end has come; `is_last`: the run ends in the middle of it. After a pause it is the last whole one.
    pub(crate) fn put(&mut self, now_ns: u64, slice: &Slice, is_last: bool) {
        if self.origin_ns == 0 {
            return;
        }
        let ended = now_ns.saturating_sub(self.origin_ns) / self.step_ns;
        let mut place = (if is_last { ended } else { ended.saturating_sub(1) }) as usize;
        while place >= MOST_SLICES {
            self.coarsen();
            place /= 2;
        }
        while self.slices.len() < place {
            self.slices.push(Slice::quiet(self.slices.last()));
        }
        match self.slices.get_mut(place) {
            Some(begun) => begun.follow(slice),
            None => self.slices.push(slice.clone()),
        }
    }

    /// Counts a value that belongs to a moment in the past; false where its slice is not yet put away.
    pub(super) fn place(&mut self, at_ns: u64, measure: Measure, ns: u64) -> bool {
        let since_ns = at_ns.saturating_sub(self.origin_ns);
        let slice = since_ns.checked_div(self.step_ns).and_then(|place| self.slices.get_mut(place as usize));
        let found = slice.map(|slice| slice.measures.entry(measure).or_default().add(highest(index(ns)), 1));
        found.is_some()
    }

    /// Two slices become one.
    fn coarsen(&mut self) {
        let pairs = self.slices.chunks(2).map(|pair| {
            let mut one = pair[0].clone();
            pair.iter().skip(1).for_each(|later| one.follow(later));
            one
        });
        self.slices = pairs.collect();
        self.step_ns *= 2;
    }

    /// Adds another worker's.
    pub(super) fn merge(&mut self, other: &Series) {
        if other.origin_ns == 0 {
            return;
        }
        if self.origin_ns == 0 {
            return self.clone_from(other);
        }
        let mut other = other.clone();
        while self.step_ns < other.step_ns {
            self.coarsen();
        }
        while other.step_ns < self.step_ns {
            other.coarsen();
        }
        self.slices.resize_with(self.slices.len().max(other.slices.len()), Slice::default);
        for (mine, theirs) in self.slices.iter_mut().zip(&other.slices) {
            mine.join(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN_NS: u64 = 1_000_000_007;

    fn slice(values: impl Iterator<Item = u64>) -> Slice {
        let mut fresh = Fresh::default();
        values.for_each(|ns| fresh.record(ns));
        let measures = fresh.take().map(|buckets| (Measure::Delivery, buckets)).into_iter().collect();
        Slice { connections: 3, faults: 1, cpu_ns: 10, busiest: 0.5, resident_bytes: 100, measures }
    }

    fn series(slices: u64, values: fn(u64) -> Vec<u64>) -> Series {
        let mut series = Series::default();
        series.open(ORIGIN_NS);
        for number in 0..slices {
            let now_ns = series.due_ns(ORIGIN_NS + number * FINEST_NS);
            // Longer slices are not yet over each time: what comes then belongs to them all the same.
            let now_ns = now_ns.min(ORIGIN_NS + (number + 1) * FINEST_NS);
            if now_ns == series.due_ns(now_ns - 1) {
                series.put(now_ns, &slice(values(number).into_iter()), false);
            }
        }
        series
    }

    fn all(series: &Series) -> Buckets {
        let mut sum = Buckets::default();
        series.slices.iter().filter_map(|slice| slice.measures.get(&Measure::Delivery)).for_each(|one| sum.merge(one));
        sum
    }

    #[test]
    fn buckets_are_right_within_a_hundredth_and_below_an_octave_exactly() {
        for ns in (0..1_000).chain((0..42).map(|bit| (1 << bit) + 12_345)).chain([u64::MAX]) {
            let (ns, found) = (ns.min((1 << BITS) - 1), highest(index(ns)));
            assert!(found >= ns && (found - ns) * 100 <= ns, "{ns}: {found}");
            assert_eq!(index(found), index(ns));
        }
        let Some(buckets) = slice(1..=10_000).measures.remove(&Measure::Delivery) else { panic!("nothing was counted") };
        for (quantile, exact) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = buckets.at(quantile) as f64;
            assert!((0.0..0.01).contains(&(found / exact - 1.0)), "{quantile}: {found} is not {exact}");
        }
    }

    #[test]
    fn an_open_slice_begins_anew() {
        let mut fresh = Fresh::default();
        assert_eq!(fresh.take(), None);
        fresh.record(5);
        assert_eq!(fresh.take().map(|buckets| buckets.count()), Some(1));
        assert_eq!(fresh, Fresh::default());
    }

    #[test]
    fn long_runs_have_longer_slices_and_lose_nothing() {
        let long = series(MOST_SLICES as u64 * 3, |number| vec![number * 1_000, 77]);
        assert!(long.slices.len() <= MOST_SLICES && long.step_ns == 4 * FINEST_NS, "{} of {}", long.slices.len(), long.step_ns);
        let kept = all(&long).count();
        let recorded: u64 = long.slices.iter().map(|slice| slice.faults * 2).sum();
        assert_eq!((kept, kept > 2 * MOST_SLICES as u64), (recorded, true));
        assert!(long.slices.iter().all(|slice| slice.connections == 3 && slice.resident_bytes == 100));
    }

    #[test]
    fn workers_add_up_even_when_one_went_on_for_longer() {
        let (short, long) = (series(1_200, |_| vec![10]), series(1_201, |_| vec![20]));
        assert!(short.step_ns < long.step_ns);
        for (mut sum, other) in [(short.clone(), &long), (long.clone(), &short)] {
            sum.merge(other);
            assert_eq!((sum.slices.len(), all(&sum).count()), (601, 2_401));
            assert_eq!((sum.slices[0].connections, sum.slices[0].resident_bytes, sum.slices[0].cpu_ns), (6, 200, 40));
            assert_eq!(sum.slices[0].measures[&Measure::Delivery].0, [(10, 2), (20, 2)]);
        }
    }

    #[test]
    fn a_pause_leaves_empty_slices_with_the_levels_of_before() {
        let mut series = series(2, |_| vec![10]);
        series.put(ORIGIN_NS + 20 * FINEST_NS + 5, &slice([1, 2].into_iter()), false);
        assert_eq!(series.slices.len(), 20);
        assert!(series.slices[2..19].iter().all(|slice| slice.connections == 3 && slice.measures.is_empty()));
        assert_eq!(series.slices[19].measures[&Measure::Delivery].count(), 2);
        assert!(series.place(ORIGIN_NS + 5 * FINEST_NS, Measure::Ended, 9) && !series.place(u64::MAX, Measure::Ended, 9));
        assert_eq!(series.slices[5].measures[&Measure::Ended].at(0.5), 9);
    }
}
