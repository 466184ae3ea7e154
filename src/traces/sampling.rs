//! Which traces are told of, and the numbers of new ones.

use super::Context;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// How many of the traces that begin here are told of. One that began elsewhere is told of where it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sampler {
    /// Of the 2^63 values that are looked at, those below this.
    below: u64,
}

impl Sampler {
    /// Of 0 to 1; what lies outside counts as the nearer of both.
    pub fn new(ratio: f64) -> Sampler {
        // A float that is too large becomes the largest number, and one below zero, or none, becomes 0.
        Sampler { below: (ratio * (1_u64 << 63) as f64) as u64 }
    }

    /// A span: of the trace of its parent, or of one that begins with it.
    pub fn begin(&self, parent: Option<Context>, dice: &mut Dice) -> Context {
        let span = dice.span();
        match parent {
            Some(Context { trace, is_sampled, .. }) => Context { trace, span, is_sampled },
            None => {
                let trace = dice.trace();
                Context { trace, span, is_sampled: self.tells_of(trace) }
            }
        }
    }

    /// By the low eight bytes, as the SDKs of OpenTelemetry do it (TraceIdRatioBased): where services have the same ratio they choose the
    /// same traces.
    fn tells_of(&self, trace: u128) -> bool {
        (trace as u64) >> 1 < self.below
    }
}

/// Numbers that look random, of a seed that is: each asks for the next.
#[derive(Debug)]
pub struct Dice {
    seed: u64,
    stream: u64,
    thrown: u64,
}

impl Dice {
    /// No two with the same seed may have the same stream.
    pub fn new(seed: u64, stream: u64) -> Dice {
        Dice { seed, stream, thrown: 0 }
    }

    fn throw(&mut self) -> u128 {
        self.thrown += 1;
        let bytes = [self.stream.to_le_bytes(), self.thrown.to_le_bytes()].concat();
        xxh3_128_with_seed(&bytes, self.seed)
    }

    /// The number of a trace.
    fn trace(&mut self) -> u128 {
        self.throw().max(1)
    }

    /// The number of a span.
    fn span(&mut self) -> u64 {
        (self.throw() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn whoever_began_a_trace_decides() {
        let mut dice = Dice::new(7, 0);
        for (ratio, is_sampled) in [(0.0, true), (1.0, false), (0.0, false), (1.0, true)] {
            let parent = Context { trace: 5, span: 6, is_sampled };
            let child = Sampler::new(ratio).begin(Some(parent), &mut dice);
            assert_eq!((child.trace, child.is_sampled), (5, is_sampled));
            assert_ne!(child.span, 6);
        }
    }

    #[test]
    fn of_new_traces_so_many_as_the_ratio_says() {
        for (ratio, least, most) in [(0.0, 0, 0), (-1.0, 0, 0), (f64::NAN, 0, 0), (0.1, 900, 1_100), (1.0, 10_000, 10_000)] {
            let (sampler, mut dice) = (Sampler::new(ratio), Dice::new(3, 1));
            let sampled = (0..10_000).filter(|_| sampler.begin(None, &mut dice).is_sampled).count();
            assert!((least..=most).contains(&sampled), "{ratio}: {sampled}");
        }
        assert_eq!(Sampler::new(2.0), Sampler { below: u64::MAX });
        let half = Sampler::new(0.5);
        assert!(half.tells_of(u128::from(u64::MAX >> 1)) && !half.tells_of(u128::from(u64::MAX >> 1) + 1));
        assert!(half.tells_of(u128::MAX << 64), "the high half does not count");
    }

    #[test]
    fn numbers_are_not_used_twice() {
        let mut seen = HashSet::new();
        for (seed, stream) in [(1, 0), (1, 1), (2, 0)] {
            let (sampler, mut dice) = (Sampler::new(1.0), Dice::new(seed, stream));
            for _ in 0..1_000 {
                let one = sampler.begin(None, &mut dice);
                assert!(one.trace != 0 && one.span != 0);
                assert!(seen.insert(one.trace) && seen.insert(one.span.into()));
            }
        }
    }
}
