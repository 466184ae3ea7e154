//! How long things took: counts in buckets whose bounds are powers of two to the eighth part, as Prometheus' native histograms have them.
//!
//! One thread writes; whoever draws metrics reads. To note a time costs some nanoseconds: no lock, no locked instruction, no memory.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Of Prometheus' native histograms: each power of two is divided into 2^3 buckets, so that a bucket's upper bound is 9 % above its lower.
pub const SCHEMA: i32 = 3;
/// What takes no longer is in the zero bucket: below the clocks' microsecond. In seconds; a bound of a bucket.
pub const ZERO_THRESHOLD: f64 = 1.0 / 1_048_576.0;
/// The bucket of a microsecond. The one called i holds what is above 2^((i-1)/8) seconds and not above 2^(i/8).
const FIRST: i32 = -159;
/// The last one ends at 4,096 s, and holds what is longer too.
const LAST: i32 = 96;
const PER_DOUBLING: i32 = 1 << SCHEMA;
const BUCKETS: usize = (LAST - FIRST + 1) as usize;
/// 2^(k/8).
const STEPS: [f64; PER_DOUBLING as usize] = [
    1.0,
    1.0905077326652577,
    1.189207115002721,
    1.2968395546510096,
    std::f64::consts::SQRT_2,
    1.5422108254079407,
    1.681792830507429,
    1.8340080864093424,
];

/// Times, counted. One writer.
#[derive(Debug)]
pub struct Histogram {
    zero: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { zero: AtomicU64::new(0), buckets: array::from_fn(|_| AtomicU64::new(0)), sum_micros: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Notes that something took so long.
    pub fn record(&self, time: Duration) {
        self.record_many(time, 1);
    }

    /// Notes that so many things took so long.
    pub fn record_many(&self, time: Duration, many: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let place = if micros == 0 { &self.zero } else { &self.buckets[place(micros)] };
        add(place, many);
        add(&self.sum_micros, micros.saturating_mul(many));
    }

    /// All that was noted until now.
    pub fn read(&self) -> Distribution {
        Distribution {
            zero: self.zero.load(Relaxed),
            buckets: self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect(),
            sum_micros: self.sum_micros.load(Relaxed),
        }
    }
}

/// One writer: a load and a store.
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Relaxed).wrapping_add(more), Relaxed);
}

/// Which bucket has so many microseconds, which are not 0.
fn place(micros: u64) -> usize {
    // Division rounds to the nearest, so that a power of two of seconds stays one.
    let seconds = micros as f64 / 1e6;
    let bits = seconds.to_bits();
    let exponent = (bits >> 52) as i32 - 1023;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    let step: i32 = STEPS.iter().map(|bound| i32::from(*bound < mantissa)).sum();
    ((exponent * PER_DOUBLING + step).clamp(FIRST, LAST) - FIRST) as usize
}

/// What a [`Histogram`] had counted at some time, or several together.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Distribution {
    zero: u64,
    /// None are there while nothing was added.
    buckets: Vec<u64>,
    sum_micros: u64,
}

/// Buckets that follow one another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first one's number, less the number of the one behind the last span; of the first span its number alone.
    pub offset: i32,
    /// What they hold.
    pub counts: Vec<u64>,
}

impl Distribution {
    /// How many were noted.
    pub fn count(&self) -> u64 {
        self.zero + self.buckets.iter().sum::<u64>()
    }

    /// How many took less than a microsecond.
    pub fn zero(&self) -> u64 {
        self.zero
    }

    /// Of all times, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum_micros as f64 / 1e6
    }

    /// How many took no longer than 2^`exponent` seconds. Exact: this is a bound of a bucket.
    pub fn within(&self, exponent: i32) -> u64 {
        let buckets = (exponent * PER_DOUBLING - FIRST + 1).clamp(0, BUCKETS as i32);
        self.zero + self.buckets.iter().take(buckets as usize).sum::<u64>()
    }

    /// The buckets that hold something, as native histograms list them. A gap of two at most is part of a span.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans: Vec<Span> = Vec::new();
        let mut next = 0;
        for (place, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let gap = place as i32 - next;
            match spans.last_mut() {
                Some(span) if gap <= 2 => {
                    span.counts.extend((0..gap).map(|_| 0));
                    span.counts.push(*count);
                }
                Some(_) => spans.push(Span { offset: gap, counts: vec![*count] }),
                None => spans.push(Span { offset: gap + FIRST, counts: vec![*count] }),
            }
            next = place as i32 + 1;
        }
        spans
    }

    /// How long the `share` (0 to 1) that was quickest took at most, about: the middle, by ratio, of the bucket where it ends. `None` where
    /// nothing was noted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let wanted = ((share * count as f64).ceil() as u64).clamp(1, count);
        let mut seen = self.zero;
        if seen >= wanted {
            return Some(Duration::ZERO);
        }
        let place = self.buckets.iter().position(|bucket| {
            seen += bucket;
            seen >= wanted
        })?;
        let seconds = (f64::from(place as i32 + FIRST) - 0.5) / f64::from(PER_DOUBLING);
        Some(Duration::from_secs_f64(seconds.exp2()))
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Distribution) {
        self.zero += other.zero;
        self.sum_micros = self.sum_micros.wrapping_add(other.sum_micros);
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(own, more)| *own += more);
    }

    /// What was noted since `earlier`, when this had counted so much.
    pub fn since(&self, earlier: &Distribution) -> Distribution {
        let earlier_at = |place: usize| earlier.buckets.get(place).copied().unwrap_or_default();
        Distribution {
            zero: self.zero.saturating_sub(earlier.zero),
            buckets: self.buckets.iter().enumerate().map(|(place, own)| own.saturating_sub(earlier_at(place))).collect(),
            sum_micros: self.sum_micros.wrapping_sub(earlier.sum_micros),
        }
    }
}

impl FromIterator<Distribution> for Distribution {
    fn from_iter<I: IntoIterator<Item = Distribution>>(all: I) -> Self {
        all.into_iter().fold(Distribution::default(), |mut sum, one| {
            sum.add(&one);
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(micros: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        micros.iter().for_each(|micros| histogram.record(Duration::from_micros(*micros)));
        histogram.read()
    }

    fn number(micros: u64) -> i32 {
        place(micros) as i32 + FIRST
    }

    #[test]
    fn powers_of_two_are_upper_bounds() {
        for (micros, bucket) in [(1_000_000, 0), (1_000_001, 1), (500_000, -8), (500_001, -7), (4_096_000_000, LAST)] {
            assert_eq!(number(micros), bucket, "{micros} µs");
        }
        assert_eq!((number(1), number(u64::MAX)), (FIRST, LAST));
        const { assert!(ZERO_THRESHOLD < 1e-6) };
        assert_eq!(ZERO_THRESHOLD.log2() * 8.0, f64::from(FIRST - 1), "the zero bucket ends where the first begins");
    }

    #[test]
    fn buckets_are_told_as_spans_with_short_gaps_filled() {
        let spans = of(&[0, 1_000_000, 1_000_000, 1_300_000, 64_000_000]).spans();
        assert_eq!(
            spans,
            [Span { offset: 0, counts: vec![2] }, Span { offset: 3, counts: vec![1] }, Span { offset: 43, counts: vec![1] }]
        );
        assert_eq!(of(&[1_000_000, 1_200_000]).spans(), [Span { offset: 0, counts: vec![1, 0, 0, 1] }]);
        assert_eq!(of(&[0]).spans(), []);
    }

    #[test]
    fn quantiles_are_right_within_a_bucket() {
        let times: Vec<u64> = (1..=1000).map(|number| number * 1000).collect();
        let counted = of(&times);
        for share in [0.01, 0.5, 0.9, 0.99, 1.0] {
            let told = counted.quantile(share).unwrap().as_secs_f64();
            assert!((told / share - 1.0).abs() < 0.05, "{share}: {told}");
        }
        assert_eq!(of(&[0, 0, 7]).quantile(0.5), Some(Duration::ZERO));
        assert_eq!(of(&[]).quantile(0.5), None);
    }

    #[test]
    fn what_came_since_is_told_alone_and_many_count_as_many() {
        let histogram = Histogram::default();
        histogram.record_many(Duration::from_millis(3), 100);
        let earlier = histogram.read();
        histogram.record(Duration::from_secs(2));
        let since = histogram.read().since(&earlier);
        assert_eq!((since.count(), since.sum(), since.within(0), since.within(1)), (1, 2.0, 0, 1));
        assert_eq!(histogram.read().since(&Distribution::default()).count(), 101);
        let all: Distribution = [earlier, since].into_iter().collect();
        assert_eq!(all, histogram.read());
    }

    proptest! {
        #[test]
        fn each_time_is_within_the_bounds_of_its_bucket(micros in 1_u64..4_096_000_000) {
            let (seconds, bucket) = (micros as f64 / 1e6, f64::from(number(micros)));
            let (low, high) = (((bucket - 1.0) / 8.0).exp2(), (bucket / 8.0).exp2());
            prop_assert!(seconds > low * (1.0 - 1e-12) && seconds <= high * (1.0 + 1e-12), "{seconds} in {low}..{high}");
        }

        #[test]
        fn bounds_of_classic_buckets_count_exactly(micros in proptest::collection::vec(0_u64..200_000_000, 0..50), exponent in -18_i32..8) {
            let bound = f64::from(exponent).exp2();
            let expected = micros.iter().filter(|micros| **micros as f64 / 1e6 <= bound).count() as u64;
            prop_assert_eq!(of(&micros).within(exponent), expected);
        }
    }
}
