//! `compare`: runs side by side, or groups of repeated runs, each against the first, with the spread of every difference.
//!
//! The ± of a run is what its report states: from how far its slices of time scatter (`report::spread`). That of a group is from how far
//! its runs scatter, which also holds what differs from run to run; its value is their median.

mod table;

use crate::{
    args::Compare,
    page::{self, Source, record::Record},
    report::spread,
    summary::time,
    tally::Measure,
};
use std::{collections::BTreeMap, fs, io};

/// A figure and how far it may be off.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Estimate {
    value: f64,
    spread: Option<f64>,
    /// Least and most of the runs of a group, where it has several.
    range: Option<(f64, f64)>,
}

/// What one group has against the first, as shares of the first's.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Difference {
    share: f64,
    spread: Option<f64>,
}

/// Runs that are told as one.
struct Group {
    name: String,
    /// Places among the reports.
    runs: Vec<usize>,
}

/// A figure of all groups.
struct Row {
    name: String,
    is_time: bool,
    of_groups: Vec<Option<Estimate>>,
}

/// The figures of one run by their names, each with its ± where that is known.
type Figures = BTreeMap<String, (f64, Option<f64>)>;

impl Estimate {
    /// Of the same figure of repeated runs.
    fn of(runs: &[(f64, Option<f64>)]) -> Option<Estimate> {
        let mut values: Vec<f64> = runs.iter().map(|(value, _)| *value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match (runs, values.as_slice()) {
            ([], _) | (_, []) => None,
            ([(value, spread)], _) => Some(Estimate { value: *value, spread: *spread, range: None }),
            (_, [least, .., most]) => {
                let value =
                    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
                Some(Estimate { value, spread: spread::of_repeats(&values), range: Some((*least, *most)) })
            }
            (_, [one]) => Some(Estimate { value: *one, spread: None, range: None }),
        }
    }

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
        let spread = self.spread.map_or_else(String::new, |spread| format!(" ± {}", tell(spread)));
        let range = self.range.map_or_else(String::new, |(least, most)| format!(" ({} to {})", tell(least), tell(most)));
        format!("{}{spread}{range}", tell(self.value))
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
            Some(spread) => {
                let (low, high) = ((self.share - spread) * 100.0, (self.share + spread) * 100.0);
                let verdict = if self.is_clear() { "" } else { ": no difference that can be told" };
                format!("{share}, from {low:+.1} to {high:+.1}{verdict}")
            }
        }
    }
}

/// Compares reports; writes the table to standard output.
///
/// # Errors
/// A file that cannot be read or is no report, or a page that cannot be written.
pub(crate) fn run(args: &Compare) -> io::Result<()> {
    let labelled: Vec<(Option<&str>, &str)> = args.reports.iter().map(|given| split(given)).collect();
    let sources = labelled.iter().map(|(_, path)| page::read(path)).collect::<io::Result<Vec<_>>>()?;
    let (text, page) = side_by_side(&labelled, &sources, args.repeats);
    print!("{text}");
    if let Some(path) = &args.html {
        fs::write(path, page).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// Reports with their names as given: the table for a terminal, and the page.
pub(crate) fn side_by_side(labelled: &[(Option<&str>, &str)], sources: &[Source], repeats: bool) -> (String, String) {
    let groups = groups(labelled, sources, repeats);
    let (rows, doubts) = (rows(sources, &groups), doubts(sources, &groups));
    let page = page::of_several(sources, &styles(&groups, sources.len()), &table::html(&groups, &rows, &doubts));
    (table::text(&groups, &rows, &doubts), page)
}

/// A group's name and a file, as they are given: `before=a.json`. A file that is there is one, whatever its name.
fn split(given: &str) -> (Option<&str>, &str) {
    match given.split_once('=') {
        Some((name, path)) if !name.is_empty() && !fs::exists(given).unwrap_or(false) => (Some(name), path),
        Some(_) | None => (None, given),
    }
}

/// Reports with the same name are one group; of those without a name each is its own, or with `repeats` those of the same configuration
/// are one.
fn groups(labelled: &[(Option<&str>, &str)], sources: &[Source], repeats: bool) -> Vec<Group> {
    let mut groups: Vec<(String, Group)> = Vec::new();
    for (place, ((label, path), source)) in labelled.iter().zip(sources).enumerate() {
        let key = match label {
            Some(label) => format!("name {label}"),
            None if repeats => format!("configuration {:?} {:?}", asked(&source.record, true), host(&source.record)),
            None => format!("report {place}"),
        };
        if let Some((_, group)) = groups.iter_mut().find(|(known, _)| *known == key) {
            group.runs.push(place);
        } else {
            groups.push((key, Group { name: label.unwrap_or(path).to_owned(), runs: vec![place] }));
        }
    }
    let named = |mut group: Group| {
        if group.runs.len() > 1 {
            group.name += &format!(" ({} runs)", group.runs.len());
        }
        group
    };
    groups.into_iter().map(|(_, group)| named(group)).collect()
}

/// The runs of a group are drawn alike.
fn styles(groups: &[Group], sources: usize) -> Vec<usize> {
    let style = |place: usize| groups.iter().position(|group| group.runs.contains(&place)).unwrap_or(place);
    (0..sources).map(style).collect()
}

/// Every figure that the first group and another have.
fn rows(sources: &[Source], groups: &[Group]) -> Vec<Row> {
    let figures: Vec<Figures> = sources.iter().map(|source| figures(&source.record)).collect();
    let of = |group: &Group, name: &str| {
        let runs: Vec<(f64, Option<f64>)> = group.runs.iter().filter_map(|run| figures[*run].get(name).copied()).collect();
        Estimate::of(&runs)
    };
    let Some((first, others)) = groups.split_first() else { return Vec::new() };
    let order = first.runs.first().map(|run| names(&sources[*run].record)).unwrap_or_default();
    let there = |name: &String| of(first, name).is_some_and(|estimate| estimate.value > 0.0);
    let shared = |name: &String| others.is_empty() || others.iter().any(|other| of(other, name).is_some());
    let row = |name: String| Row {
        is_time: !name.starts_with("rates.") && !name.starts_with("server."),
        of_groups: groups.iter().map(|group| of(group, &name)).collect(),
        name,
    };
    order.into_iter().filter(there).filter(shared).map(row).collect()
}

/// The names of the figures of a report, in the order in which they are told.
fn names(record: &Record) -> Vec<String> {
    let latencies = record.latencies.keys();
    let latencies = latencies.flat_map(|measure| ["p50", "p90", "p99"].map(|name| figure(*measure, name)));
    let rates = record.rates.keys().map(|name| format!("rates.{name}"));
    let server = record.server.iter().flatten().filter(|(name, _)| name.as_str() != "pid");
    latencies.chain(rates).chain(server.map(|(name, _)| format!("server.{name}"))).collect()
}

fn figure(measure: Measure, name: &str) -> String {
    format!("{}.{name}", measure.name())
}

fn figures(record: &Record) -> Figures {
    let spreads = record.all_spreads();
    let mut figures = Figures::new();
    let mut note = |name: String, value: f64| {
        let spread = spreads.get(&name).copied();
        figures.insert(name, (value, spread));
    };
    for (measure, latency) in &record.latencies {
        for (name, value) in [("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99)] {
            note(figure(*measure, name), value as f64);
        }
    }
    record.rates.iter().for_each(|(name, value)| note(format!("rates.{name}"), *value));
    let server = record.server.iter().flatten().filter(|(name, _)| name.as_str() != "pid");
    let server = server.filter_map(|(name, value)| Some((name, value.as_f64()?)));
    server.for_each(|(name, value)| note(format!("server.{name}"), value));
    figures
}

fn differences(row: &Row) -> impl Iterator<Item = Option<Difference>> + '_ {
    let first = row.of_groups.first().copied().flatten();
    row.of_groups.iter().skip(1).map(move |other| other.and_then(|other| other.against(first?)))
}

/// What was asked for, by what it is called. Where the server is, is of no matter for what was asked of it, but tells runs apart.
fn asked(record: &Record, with_place: bool) -> BTreeMap<&'static str, String> {
    let asked = &record.asked;
    let mut all = BTreeMap::from([
        ("scenario", asked.scenario.clone()),
        ("students", asked.students.to_string()),
        ("classrooms", asked.classrooms.to_string()),
        ("rate", asked.rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string())),
        ("in flight", asked.in_flight.to_string()),
        ("workers", asked.workers.to_string()),
        ("what then", asked.then.clone()),
    ]);
    if with_place {
        all.insert("url", asked.url.clone());
    }
    all
}

/// Where it ran, by what it is called.
fn host(record: &Record) -> BTreeMap<&str, String> {
    let environment = &record.environment;
    let settings = environment.sysctls.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let usual = [
        ("kernel", environment.kernel.clone()),
        ("CPU", environment.cpu.clone()),
        ("cores", environment.cores.to_string()),
        ("harness", environment.harness.clone()),
    ];
    usual.into_iter().chain(settings).collect()
}

/// Why the table may mislead: runs that did not pass, and what differs between them that should not.
fn doubts(sources: &[Source], groups: &[Group]) -> Vec<String> {
    let outcome = |source: &Source| source.record.verdict.outcome.replace('_', " ");
    let fallen = sources.iter().filter(|source| source.record.verdict.outcome != "passed");
    let mut doubts: Vec<String> = fallen.map(|source| format!("{} is {}", source.name, outcome(source))).collect();
    let several = |differs: Vec<String>, what: &str| (!differs.is_empty()).then(|| format!("{what}: {}", differs.join("; ")));
    doubts.extend(several(differing(sources, |source| asked(&source.record, false)), "not the same was asked of all"));
    doubts.extend(several(differing(sources, |source| host(&source.record)), "the runs are not of the same host"));
    let few = groups.iter().filter(|group| group.runs.len() == 2);
    doubts.extend(few.map(|group| format!("{}: two runs tell little of their spread; take three or more", group.name)));
    doubts
}

/// What is not the same everywhere, with the values that it has and where.
fn differing<'a>(sources: &'a [Source], of: impl Fn(&'a Source) -> BTreeMap<&'a str, String>) -> Vec<String> {
    let all: Vec<(&str, BTreeMap<&str, String>)> = sources.iter().map(|source| (source.name.as_str(), of(source))).collect();
    let Some((_, first)) = all.first() else { return Vec::new() };
    let told = |name: &&str| {
        let mut values: Vec<(&str, &str)> = Vec::new();
        for (source, fields) in &all {
            let value = fields.get(*name).map_or("none", String::as_str);
            if values.iter().all(|(known, _)| *known != value) {
                values.push((value, source));
            }
        }
        let values: Vec<String> = values.iter().map(|(value, source)| format!("{value} in {source}")).collect();
        (values.len() > 1).then(|| format!("{name} is {}", values.join(", ")))
    };
    first.keys().filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn single(value: f64, spread: f64) -> Estimate {
        Estimate { value, spread: Some(spread), range: None }
    }

    #[test]
    fn a_difference_within_its_spread_is_none() {
        let near = single(105.0, 6.0).against(single(100.0, 4.0)).unwrap();
        assert!(!near.is_clear() && near.told().ends_with("no difference that can be told"), "{}", near.told());
        let far = single(150.0, 6.0).against(single(100.0, 8.0)).unwrap();
        assert!(far.is_clear() && far.told() == "+50.0 %, from +40.0 to +60.0", "{}", far.told());
        assert_eq!(single(1.0, 0.1).against(single(0.0, 0.0)), None);
        let from_nothing_sure = single(0.3, 0.1).against(single(4.0, 5.0)).unwrap();
        assert!(!from_nothing_sure.is_clear(), "{}", from_nothing_sure.told());
    }

    #[test]
    fn a_group_is_its_median_and_the_scatter_of_its_runs() {
        let of = |values: &[f64]| Estimate::of(&values.iter().map(|value| (*value, Some(0.001))).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7.0]), Some(single(7.0, 0.001)));
        let three = of(&[9.0, 1.0, 5.0]).unwrap();
        // A standard deviation of 4 over three runs; Student's factor for two degrees of freedom is 4.303.
        assert!((three.value, three.range) == (5.0, Some((1.0, 9.0))), "{three:?}");
        assert!((three.spread.unwrap() - 4.303 * 4.0 / 3.0_f64.sqrt()).abs() < 0.01, "{three:?}");
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).unwrap().value, 2.5);
    }

    /// A run with a rate of sign-ins and so many workers.
    fn source(name: &str, rate: f64, workers: u64, then: &str) -> Source {
        let report = json!({
            "verdict": { "outcome": "passed", "reasons": [] },
            "asked": { "scenario": "bell", "url": "ws://127.0.0.1:1/ws", "students": 30, "classrooms": 3, "rate": rate, "in_flight": 1,
                "workers": workers, "seed": 1, "then": then },
            "rates": { "sign_ins_per_s": rate, "publishes_per_s": 0.0 },
            "spreads": { "rates.sign_ins_per_s": 2.0 },
            "latencies": {},
            "server": { "pid": 7, "program": "homeroom", "cpu_us_per_sign_in": 80.0, "cpu_us_per_delivery": null },
            "environment": { "harness": "h", "command": [], "started_unix_s": 0, "kernel": "6", "cpu": "c", "cores": 2, "sysctls": {} },
        });
        Source { name: name.to_owned(), record: serde_json::from_value(report.clone()).unwrap(), json: report.to_string() }
    }

    #[test]
    fn rates_and_what_the_server_uses_have_their_spread_too() {
        let sources = [source("a", 100.0, 1, ""), source("b", 110.0, 1, "")];
        let groups = groups(&[(None, "a"), (None, "b")], &sources, false);
        let rows = rows(&sources, &groups);
        assert_eq!(
            rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
            ["rates.sign_ins_per_s", "server.cpu_us_per_sign_in"]
        );
        let told: Vec<String> = differences(&rows[0]).flatten().map(Difference::told).collect();
        assert_eq!(told, ["+10.0 %, from +7.2 to +12.8"]);
        assert!(differences(&rows[1]).flatten().all(|difference| difference.told() == "+0.0 % (spread not known)"));
    }

    #[test]
    fn reports_are_grouped_by_name_or_by_what_was_asked() {
        let sources: Vec<Source> = [100.0, 100.0, 200.0, 200.0].map(|rate| source("r", rate, 1, "")).into();
        let runs = |groups: &[Group]| groups.iter().map(|group| group.runs.clone()).collect::<Vec<_>>();
        let plain = [(None, "a"), (None, "b"), (None, "c"), (None, "d")];
        assert_eq!(runs(&groups(&plain, &sources, false)), [[0], [1], [2], [3]]);
        assert_eq!(runs(&groups(&plain, &sources, true)), [[0, 1], [2, 3]]);
        let named = [(Some("x"), "a"), (Some("y"), "b"), (Some("x"), "c"), (Some("y"), "d")];
        let named = groups(&named, &sources, false);
        assert_eq!((runs(&named), named[0].name.as_str()), (vec![vec![0, 2], vec![1, 3]], "x (2 runs)"));
        assert_eq!(styles(&named, 4), [0, 1, 0, 1]);
    }

    #[test]
    fn what_differs_is_named() {
        let doubts_of = |sources: &[Source]| {
            let paths: Vec<(Option<&str>, &str)> = sources.iter().map(|source| (None, source.name.as_str())).collect();
            doubts(sources, &groups(&paths, sources, false))
        };
        assert!(doubts_of(&[source("a", 100.0, 1, "x"), source("b", 100.0, 1, "x")]).is_empty());
        let told = doubts_of(&[source("a", 100.0, 1, "x"), source("b", 200.0, 2, "x")]);
        assert_eq!(told, ["not the same was asked of all: rate is 100 in a, 200 in b; workers is 1 in a, 2 in b"]);
    }
}
