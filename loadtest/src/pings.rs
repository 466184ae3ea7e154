//! How evenly Pings come: counted in windows of time, all over one host.

use serde::Serialize;

const WINDOW_NS: u64 = 100_000_000;
/// A tick of the server's timer wheel.
const TICK_NS: u64 = 1 << 22;
/// A tick's Pings leave together: where in a tick they do is looked up in so many parts of it.
const PARTS: u64 = 64;

/// How the Pings of a hold came.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub(crate) struct PingFigures {
    /// How many.
    pub(crate) count: u64,
    /// In windows of 100 ms.
    pub(crate) windows: Spread,
    /// In windows of a tick of the server's wheel (4.1 ms), cut where the fewest come.
    pub(crate) ticks: Spread,
}

/// Counts of equal windows, without the first and the last, which are not whole.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub(crate) struct Spread {
    /// How many windows.
    pub(crate) windows: u64,
    /// Pings in one.
    pub(crate) mean: f64,
    /// Pings in the fullest.
    pub(crate) most: u64,
    /// Pings in the emptiest.
    pub(crate) least: u64,
    /// Windows with more than twice the mean.
    pub(crate) above_twice: u64,
}

impl PingFigures {
    /// From the moments at which they came, in nanoseconds, in any order. None when there are too few to tell.
    pub(crate) fn of(moments: &[u64]) -> Option<PingFigures> {
        let first = moments.iter().copied().min()?;
        let since: Vec<u64> = moments.iter().map(|moment| moment - first).collect();
        let (windows, ticks) = (Spread::of(&since, WINDOW_NS, 0)?, Spread::of(&since, TICK_NS, quiet_ns(&since))?);
        Some(PingFigures { count: moments.len() as u64, windows, ticks })
    }
}

impl Spread {
    fn of(moments: &[u64], window_ns: u64, offset_ns: u64) -> Option<Spread> {
        let window = |moment: &u64| ((moment + window_ns - offset_ns) / window_ns) as usize;
        let last = moments.iter().map(window).max()?;
        let mut counts = vec![0u64; last + 1];
        moments.iter().for_each(|moment| counts[window(moment)] += 1);
        let whole = counts.get(2..last).filter(|whole| !whole.is_empty())?;
        let mean = whole.iter().sum::<u64>() as f64 / whole.len() as f64;
        Some(Spread {
            windows: whole.len() as u64,
            mean,
            most: whole.iter().copied().max().unwrap_or(0),
            least: whole.iter().copied().min().unwrap_or(0),
            above_twice: whole.iter().filter(|count| **count as f64 > 2.0 * mean).count() as u64,
        })
    }
}

/// Where in a tick the fewest come: the middle of the eight parts in a row with the smallest sum.
fn quiet_ns(moments: &[u64]) -> u64 {
    let mut parts = [0u64; PARTS as usize];
    moments.iter().for_each(|moment| parts[(moment % TICK_NS * PARTS / TICK_NS) as usize] += 1);
    let around = |part: u64| (0..8).map(|next| parts[((part + next) % PARTS) as usize]).sum::<u64>();
    let quiet = (0..PARTS).min_by_key(|part| around(*part)).unwrap_or(0);
    (quiet + 4) % PARTS * (TICK_NS / PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_and_uneven_ticks_are_told_apart() {
        // Three in each tick, a little after it; in the second run forty in one of them.
        let even: Vec<u64> = (0..3_000).map(|i| 1_000_000_007 + i / 3 * TICK_NS + i % 3 * 20_000).collect();
        let figures = PingFigures::of(&even).unwrap();
        assert_eq!((figures.ticks.most, figures.ticks.least, figures.ticks.above_twice), (3, 3, 0));
        assert!(figures.windows.above_twice == 0 && (figures.windows.mean - 71.5).abs() < 0.5, "{figures:?}");
        let burst = (0..37).map(|i| 1_000_000_007 + 500 * TICK_NS + i * 1_000);
        let uneven: Vec<u64> = even.iter().copied().chain(burst).collect();
        let figures = PingFigures::of(&uneven).unwrap();
        assert_eq!((figures.ticks.most, figures.ticks.above_twice), (40, 1));
    }

    #[test]
    fn empty_windows_count_too() {
        let sparse: Vec<u64> = (0..10).map(|i| i * 10 * WINDOW_NS).collect();
        let Spread { mean, least, above_twice, .. } = Spread::of(&sparse, WINDOW_NS, 0).unwrap();
        assert!(mean < 0.11 && least == 0 && above_twice == 8, "{mean} {least} {above_twice}");
        assert_eq!(PingFigures::of(&[]), None);
    }
}
