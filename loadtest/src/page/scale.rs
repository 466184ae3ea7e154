//! Axes: where a number lies, which numbers are written beside, and how.

use crate::summary::{grouped, time};

/// What the numbers of an axis are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    /// Times in nanoseconds, on a logarithmic axis.
    Time,
    /// Plain numbers from 0.
    Count,
    /// Cores or shares of one, from 0.
    Cores,
    /// Bytes from 0.
    Bytes,
}

/// A vertical axis.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    unit: Unit,
    low: f64,
    high: f64,
    /// The numbers that are written beside it.
    pub(crate) ticks: Vec<f64>,
}

impl Unit {
    /// A number as it is written.
    pub(crate) fn tell(self, value: f64) -> String {
        match self {
            Unit::Time => time(value as u64),
            Unit::Count if value.fract() == 0.0 || value >= 100.0 => grouped(value as u64),
            Unit::Count => format!("{value:.1}"),
            Unit::Cores => format!("{value:.2}"),
            Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
        }
    }

    /// Its name, for the script.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Time => "time",
            Unit::Count => "count",
            Unit::Cores => "cores",
            Unit::Bytes => "bytes",
        }
    }
}

impl Scale {
    /// An axis that holds all these numbers.
    pub(crate) fn of(unit: Unit, values: impl Iterator<Item = f64>) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        match unit {
            Unit::Time => logarithmic(low.min(high), high),
            Unit::Count | Unit::Cores => linear(unit, high, 1.0),
            Unit::Bytes => linear(unit, high, f64::from(1 << 20)),
        }
    }

    /// Where a number lies: 0 below, 1 above.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let place = match self.unit {
            Unit::Time => (value.max(1.0).log10() - self.low) / (self.high - self.low),
            Unit::Count | Unit::Cores | Unit::Bytes => value / self.high,
        };
        place.clamp(0.0, 1.0)
    }

    /// What its numbers are.
    pub(crate) fn unit(&self) -> Unit {
        self.unit
    }
}

fn linear(unit: Unit, most: f64, of: f64) -> Scale {
    let step = nice(most.max(f64::MIN_POSITIVE) / of / 3.0) * of;
    let step = if most > 0.0 { step } else { of };
    let high = (most / step).ceil().max(1.0) * step;
    let ticks = (0..).map(|number| f64::from(number) * step).take_while(|tick| *tick <= high * 1.001).collect();
    Scale { unit, low: 0.0, high, ticks }
}

/// Whole decades.
fn logarithmic(least: f64, most: f64) -> Scale {
    let low = least.max(1.0).log10().floor();
    let high = most.max(10.0).log10().ceil().max(low + 1.0);
    let ticks = (low as i32..=high as i32).map(|power| 10f64.powi(power)).collect();
    Scale { unit: Unit::Time, low, high, ticks }
}

/// The next of 1, 2, 5 and their decades that is not smaller.
pub(crate) fn nice(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * decade).find(|step| *step >= value * 0.999).unwrap_or(10.0 * decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_their_numbers_and_say_few_of_them() {
        for most in [0.0, 0.3, 1.0, 7.0, 999.0, 15_000.0, 3.2e6] {
            let scale = Scale::of(Unit::Count, [0.0, most].into_iter());
            assert!(scale.high >= most && (2..=6).contains(&scale.ticks.len()), "{most}: {scale:?}");
        }
        let times = Scale::of(Unit::Time, [30_000.0, 2.5e7].into_iter());
        assert_eq!(times.ticks, [1e4, 1e5, 1e6, 1e7, 1e8]);
        assert!((times.place(1e6) - 0.5).abs() < 1e-9);
        assert_eq!(Scale::of(Unit::Time, [].into_iter()).ticks.len(), 2);
    }
}
