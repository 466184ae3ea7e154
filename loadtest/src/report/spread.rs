//! How far a figure would move if the run were taken again, from how far it moved within the run.
//!
//! A run is cut into slices of time, and each has a figure of its own. Twice the standard error of their mean is the ±, with Student's
//! factor where they are few, and as if they were fewer where neighbours are alike: a machine that is slow for a second is so in four
//! slices of it. What happens less than once in a run, such as a pause of the machine, is not in it.

use super::series::{SeriesFigures, SliceFigures, SliceLatency};
use crate::tally::Measure;
use std::collections::{BTreeMap, BTreeSet};

/// A percentile of a slice.
type OfSlice = fn(&SliceLatency) -> u64;

/// Fewer values than these tell no spread.
const FEWEST: usize = 4;
/// However alike values are, they count as so many that have nothing to do with each other.
const FEWEST_INDEPENDENT: f64 = 2.0;
/// The rates of a report, and what is counted for each.
const RATES: [(&str, Measure); 8] = [
    ("sign_ins_per_s", Measure::SignIn),
    ("publishes_per_s", Measure::Publish),
    ("deliveries_per_s", Measure::Delivery),
    ("starts_per_s", Measure::Start),
    ("answers_per_s", Measure::Answer),
    ("keys_per_s", Measure::Key),
    ("words_per_s", Measure::Word),
    ("tasks_per_s", Measure::Ended),
];
/// What an operation costs the server, and what is counted for each.
const COSTS: [(&str, Measure); 6] = [
    ("cpu_us_per_sign_in", Measure::SignIn),
    ("cpu_us_per_delivery", Measure::Delivery),
    ("cpu_us_per_answer", Measure::Answer),
    ("cpu_us_per_key", Measure::Key),
    ("cpu_us_per_word", Measure::Word),
    ("cpu_us_per_task", Measure::Ended),
];

/// The ± of every figure that has one, by its name in the report and in its unit: `delivery.p99` in nanoseconds, `rates.deliveries_per_s`,
/// `server.cpu_us_per_delivery`.
pub(crate) fn of(series: &SeriesFigures) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let measures: BTreeSet<Measure> = series.slices.iter().flat_map(|slice| slice.measures.keys().copied()).collect();
    for measure in &measures {
        let percentiles: [(&str, OfSlice); 3] = [("p50", |one| one.p50), ("p90", |one| one.p90), ("p99", |one| one.p99)];
        for (name, of_slice) in percentiles {
            let values = series.slices.iter().filter_map(|slice| slice.measures.get(measure));
            let values: Vec<f64> = values.map(|latency| of_slice(latency) as f64).collect();
            note(&mut all, format!("{}.{name}", measure.name()), &values);
        }
    }
    for (name, measure) in RATES.into_iter().filter(|(_, measure)| measures.contains(measure)) {
        let whole = whole_slices(series, measure).iter();
        let values: Vec<f64> = whole.map(|slice| slice.measures.get(&measure).map_or(0.0, |one| one.per_s)).collect();
        note(&mut all, format!("rates.{name}"), &values);
    }
    for (name, measure) in COSTS.into_iter().filter(|(_, measure)| measures.contains(measure)) {
        note(&mut all, format!("server.{name}"), &costs(series, measure));
    }
    all
}

fn note(all: &mut BTreeMap<String, f64>, name: String, values: &[f64]) {
    if let Some(error) = in_time(values) {
        all.insert(name, error);
    }
}

/// The slices from the first to the last that has something of a measure, without those two, which are not whole.
fn whole_slices(series: &SeriesFigures, measure: Measure) -> &[SliceFigures] {
    let has = |slice: &SliceFigures| slice.measures.contains_key(&measure);
    let (first, last) = (series.slices.iter().position(has), series.slices.iter().rposition(has));
    let (Some(first), Some(last)) = (first, last) else { return &[] };
    series.slices.get(first + 1..last).unwrap_or_default()
}

/// The server's CPU time for each of what was counted, microseconds, in each whole slice that the looks at the server cover.
fn costs(series: &SeriesFigures, measure: Measure) -> Vec<f64> {
    let slices = whole_slices(series, measure).iter();
    let cost = slices.filter_map(|slice| {
        let count = slice.measures.get(&measure)?.count;
        let cpu_s = series.server_cpu_s(slice.at_s, slice.at_s + series.step_s)?;
        Some(cpu_s * 1e6 / count as f64)
    });
    cost.collect()
}

/// The ± of the mean of values that follow each other in time.
fn in_time(values: &[f64]) -> Option<f64> {
    if values.len() < FEWEST {
        return None;
    }
    let (count, (mean, variance)) = (values.len() as f64, moments(values));
    if variance <= 0.0 {
        return Some(0.0);
    }
    // How alike values are that stand so far apart, from neighbours on, until they are no more (the sum is Geyer's, 1992).
    let alike = |apart: usize| {
        let pairs = values.iter().zip(values.iter().skip(apart)).map(|(one, other)| (one - mean) * (other - mean));
        pairs.sum::<f64>() / (variance * (count - 1.0))
    };
    let in_all: f64 = (1..=values.len() / 4).map(alike).take_while(|alike| *alike > 0.0).sum();
    let independent = (count / (1.0 + 2.0 * in_all)).max(FEWEST_INDEPENDENT);
    Some(student(independent - 1.0) * (variance / independent).sqrt())
}

/// The ± of the mean of values that have nothing to do with each other, such as those of repeated runs; none of fewer than two.
pub(crate) fn of_repeats(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    (values.len() >= 2).then(|| student(count - 1.0) * (moments(values).1 / count).sqrt())
}

/// Mean and variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0))
}

/// Student's factor for 95 % of both sides: exactly for one and two degrees of freedom, from three by the expansion of Abramowitz and
/// Stegun 26.7.5, right within 1 %.
fn student(freedom: f64) -> f64 {
    match freedom {
        ..1.5 => 12.706,
        ..2.5 => 4.303,
        _ => 1.960 + 2.372 / freedom + 2.823 / freedom.powi(2) + 2.556 / freedom.powi(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::mix;

    /// A number from 0 to 1.
    fn dice(seed: u64) -> f64 {
        mix(seed) as f64 / u64::MAX as f64
    }

    #[test]
    fn the_factor_is_students() {
        for (freedom, exact) in [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (4.0, 2.776), (9.0, 2.262), (30.0, 2.042)] {
            assert!((student(freedom) / exact - 1.0).abs() < 0.01, "{freedom}: {}", student(freedom));
        }
    }

    #[test]
    fn the_spread_is_that_of_the_mean() {
        assert_eq!((in_time(&[1.0, 2.0, 3.0]), of_repeats(&[1.0])), (None, None));
        assert_eq!((in_time(&[5.0; 10]), of_repeats(&[5.0; 3])), (Some(0.0), Some(0.0)));
        // 8, 12, 8, 12 …: a standard deviation of 2 over 16 values, and neighbours that are opposites count as independent.
        let values: Vec<f64> = (0..16).map(|i| if i % 2 == 0 { 8.0 } else { 12.0 }).collect();
        let expected = 2.131 * 2.0 * (16.0_f64 / 15.0).sqrt() / 4.0;
        assert!((in_time(&values).unwrap() / expected - 1.0).abs() < 0.01, "{:?}", in_time(&values));
        // The same number of values in runs of four: a quarter as many are new.
        let slow: Vec<f64> = (0..16).map(|i| if i / 4 % 2 == 0 { 8.0 } else { 12.0 }).collect();
        assert!(in_time(&slow).unwrap() > 1.5 * expected, "{:?}", in_time(&slow));
    }

    /// Runs of the same thing agree within their ± in nine of ten pairs and more, also where a slow second is slow for several slices; runs
    /// of things that differ by much more than it do not.
    #[test]
    fn runs_of_the_same_agree_and_others_do_not() {
        let run = |number: u64, level: f64| {
            let mut drift = 0.0;
            let values = (0..80).map(|slice| {
                drift = 0.6 * drift + dice(number << 20 | slice << 1) - 0.5;
                level + drift + dice(number << 20 | slice << 1 | 1)
            });
            values.collect::<Vec<f64>>()
        };
        let agrees = |a: &[f64], b: &[f64]| {
            let apart = (moments(a).0 - moments(b).0).abs();
            apart <= in_time(a).unwrap().hypot(in_time(b).unwrap())
        };
        let same = (0..400).filter(|pair| agrees(&run(2 * pair, 10.0), &run(2 * pair + 1, 10.0))).count();
        let other = (0..400).filter(|pair| agrees(&run(2 * pair, 10.0), &run(2 * pair + 1, 11.0))).count();
        assert!((350..=398).contains(&same) && other < 4, "{same} and {other} of 400");
    }
}
