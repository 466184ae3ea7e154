//! `compare`: runs side by side, each against the first, with the spread of every difference.
//!
//! A percentile's spread is that of its slices: a run is cut into slices of time, each has a percentile of its own, and how far these
//! scatter tells how far the run's figure would move if it were run again (two standard errors, so about 95 %). What happens less than
//! once in a run, such as a pause of the machine, is not in it.

use crate::{
    args::Compare,
    page::{
        self, Source, escape,
        record::{Record, SliceLatency},
    },
    summary::time,
    tally::Measure,
};
use std::{collections::BTreeMap, fmt::Write, fs, io};

/// Standard errors to either side.
const ERRORS: f64 = 2.0;
/// Fewer slices than these tell no spread.
const FEWEST: usize = 4;

/// A percentile of a slice.
type OfSlice = fn(&SliceLatency) -> u64;

/// A figure and how far it may be off.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Estimate {
    value: f64,
    spread: Option<f64>,
}

/// What one run has against the first, as shares of the first's.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Difference {
    share: f64,
    spread: Option<f64>,
}

/// A figure of all runs.
pub(crate) struct Row {
    name: String,
    is_time: bool,
    of_runs: Vec<Option<Estimate>>,
}

impl Estimate {
    fn against(self, first: Estimate) -> Option<Difference> {
        if first.value <= 0.0 {
            return None;
        }
        let spread = self.spread.zip(first.spread).map(|(own, firsts)| own.hypot(firsts) / first.value);
        Some(Difference { share: self.value / first.value - 1.0, spread })
    }

    fn told(self, is_time: bool) -> String {
        let tell = |value: f64| match value {
            _ if is_time => time(value as u64),
            ..10.0 => format!("{value:.3}"),
            _ => format!("{value:.1}"),
        };
        self.spread.map_or_else(|| tell(self.value), |spread| format!("{} ± {}", tell(self.value), tell(spread)))
    }
}

impl Difference {
    /// Whether it is more than its spread.
    fn is_clear(self) -> bool {
        self.spread.is_some_and(|spread| self.share.abs() > spread)
    }

    fn told(self) -> String {
        let share = format!("{:+.1} %", self.share * 100.0);
        match self.spread {
            None => format!("{share} (spread not known)"),
            Some(spread) if self.is_clear() => format!("{share} ± {:.1}", spread * 100.0),
            Some(spread) => format!("{share} ± {:.1}: no difference that can be told", spread * 100.0),
        }
    }
}

/// Compares reports; writes the table to standard output.
///
/// # Errors
/// A file that cannot be read or is no report, or a page that cannot be written.
pub(crate) fn run(args: &Compare) -> io::Result<()> {
    let sources = args.reports.iter().map(|path| {
        let fault = |what: &dyn std::fmt::Display| io::Error::other(format!("{}: {what}", path.display()));
        let json = fs::read_to_string(path).map_err(|error| fault(&error))?;
        let record: Record = serde_json::from_str(&json).map_err(|error| fault(&format!("no report of a run: {error}")))?;
        Ok(Source { name: path.display().to_string(), record, json })
    });
    let sources = sources.collect::<io::Result<Vec<_>>>()?;
    let rows = rows(&sources);
    print!("{}", text(&sources, &rows));
    if let Some(path) = &args.html {
        let page = page::of_several(&sources, &table(&sources, &rows));
        fs::write(path, page).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// Every figure that the first run and another have.
pub(crate) fn rows(sources: &[Source]) -> Vec<Row> {
    let mut rows = Vec::new();
    let Some((first, others)) = sources.split_first() else { return rows };
    let shared = |measure: &Measure| others.iter().any(|other| other.record.latencies.contains_key(measure));
    for measure in first.record.latencies.keys().filter(|measure| shared(measure)) {
        let percentiles: [(&str, OfSlice); 3] = [("p50", |one| one.p50), ("p90", |one| one.p90), ("p99", |one| one.p99)];
        for (name, of_slice) in percentiles {
            let estimate = |source: &Source| percentile(&source.record, *measure, name, of_slice);
            let name = format!("{}.{name}", measure.name());
            rows.push(Row { name, is_time: true, of_runs: sources.iter().map(estimate).collect() });
        }
    }
    rows.extend(plain_rows(sources, "rates", |record| record.rates.clone()));
    rows.extend(plain_rows(sources, "server", |record| {
        let server = record.server.iter().flatten().filter(|(name, _)| name.as_str() != "pid");
        server.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
    }));
    rows
}

fn plain_rows(sources: &[Source], section: &str, of: fn(&Record) -> BTreeMap<String, f64>) -> Vec<Row> {
    let all: Vec<BTreeMap<String, f64>> = sources.iter().map(|source| of(&source.record)).collect();
    let Some(first) = all.first() else { return Vec::new() };
    let there = first.iter().filter(|(_, value)| **value > 0.0);
    let row = |name: &String| Row {
        name: format!("{section}.{name}"),
        is_time: false,
        of_runs: all.iter().map(|one| Some(Estimate { value: *one.get(name)?, spread: None })).collect(),
    };
    there.map(|(name, _)| row(name)).collect()
}

/// A percentile of the whole run, with the scatter of those of its slices.
fn percentile(record: &Record, measure: Measure, name: &str, of_slice: OfSlice) -> Option<Estimate> {
    let figures = record.latencies.get(&measure)?;
    let value = match name {
        "p50" => figures.p50,
        "p90" => figures.p90,
        _ => figures.p99,
    };
    let slices = record.series.slices.iter().filter_map(|slice| slice.measures.get(&measure));
    let values: Vec<f64> = slices.map(|slice| of_slice(slice) as f64).collect();
    Some(Estimate { value: value as f64, spread: spread(&values) })
}

/// Two standard errors of the mean.
fn spread(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    if values.len() < FEWEST {
        return None;
    }
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some(ERRORS * (variance / count).sqrt())
}

fn differences(row: &Row) -> impl Iterator<Item = Option<Difference>> + '_ {
    let first = row.of_runs.first().copied().flatten();
    row.of_runs.iter().skip(1).map(move |other| other.and_then(|other| other.against(first?)))
}

fn doubts(sources: &[Source]) -> Vec<String> {
    let mut doubts: Vec<String> = sources
        .iter()
        .filter(|source| source.record.verdict.outcome != "passed")
        .map(|source| format!("{} is {}", source.name, source.record.verdict.outcome.replace('_', " ")))
        .collect();
    let asked =
        |source: &Source| (source.record.asked.scenario.clone(), source.record.asked.students, source.record.asked.then.clone());
    if sources.windows(2).any(|pair| asked(&pair[0]) != asked(&pair[1])) {
        doubts.push("not the same was asked of all".to_owned());
    }
    let host = |source: &Source| (source.record.environment.kernel.clone(), source.record.environment.cpu.clone());
    if sources.windows(2).any(|pair| host(&pair[0]) != host(&pair[1])) {
        doubts.push("the runs are of different hosts".to_owned());
    }
    doubts
}

fn text(sources: &[Source], rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let first = row.of_runs.first().copied().flatten().map_or_else(String::new, |first| first.told(row.is_time));
        let _ = writeln!(out, "{:<36}{first}", row.name);
        for ((source, other), difference) in sources.iter().zip(&row.of_runs).skip(1).zip(differences(row)) {
            let told = other.map_or_else(|| "not measured".to_owned(), |other| other.told(row.is_time));
            let _ = writeln!(out, "    {:<32}{told}   {}", source.name, difference.map_or_else(String::new, Difference::told));
        }
    }
    for doubt in doubts(sources) {
        let _ = writeln!(out, "beware: {doubt}");
    }
    out
}

/// The table as HTML.
pub(crate) fn table(sources: &[Source], rows: &[Row]) -> String {
    let mut out: String = doubts(sources).iter().map(|doubt| format!("<p class=\"no\">Beware: {}</p>", escape(doubt))).collect();
    out += "<div class=\"wide\"><table class=\"words\"><tr><th>Figure";
    for source in sources {
        let _ = write!(out, "<th>{}", escape(&source.name));
    }
    out += "</tr>";
    for row in rows {
        let _ = write!(out, "<tr><td>{}", escape(&row.name));
        let mut differences = std::iter::once(None).chain(differences(row));
        for estimate in &row.of_runs {
            let told = estimate.map_or_else(|| "not measured".to_owned(), |estimate| estimate.told(row.is_time));
            let difference = differences.next().flatten();
            let class = if difference.is_some_and(Difference::is_clear) { "" } else { " class=\"soft\"" };
            let _ = write!(out, "<td>{told}<br><span{class}>{}</span>", difference.map_or_else(String::new, Difference::told));
        }
        out += "</tr>";
    }
    out + "</table></div><p class=\"soft\">Differences are against the first run; ± is two standard errors of the slices.</p>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_two_standard_errors() {
        assert_eq!(spread(&[1.0, 2.0, 3.0]), None);
        assert_eq!(spread(&[5.0; 10]), Some(0.0));
        // A standard deviation of 2 over 16 values: the mean is known within 0.5, twice that is 1.
        let values: Vec<f64> = (0..16).map(|i| if i % 2 == 0 { 8.0 } else { 12.0 }).collect();
        assert!((spread(&values).unwrap_or(0.0) - 2.0 * 2.0 * (16.0_f64 / 15.0).sqrt() / 4.0).abs() < 1e-9);
    }

    #[test]
    fn a_difference_within_its_spread_is_none() {
        let estimate = |value: f64, spread: f64| Estimate { value, spread: Some(spread) };
        let near = estimate(105.0, 6.0).against(estimate(100.0, 4.0)).unwrap();
        assert!(!near.is_clear() && near.told().ends_with("no difference that can be told"), "{}", near.told());
        let far = estimate(150.0, 6.0).against(estimate(100.0, 4.0)).unwrap();
        assert!(far.is_clear() && far.told().starts_with("+50.0 % ± "), "{}", far.told());
        assert_eq!(estimate(1.0, 0.1).against(estimate(0.0, 0.0)), None);
        let from_nothing_sure = estimate(0.3, 0.1).against(estimate(4.0, 5.0)).unwrap();
        assert!(!from_nothing_sure.is_clear(), "{}", from_nothing_sure.told());
    }
}
