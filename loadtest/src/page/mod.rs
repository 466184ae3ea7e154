//! A run, or several side by side, as one file of HTML that opens without a network: no request leaves it, its charts are SVG, its raw data
//! is inside. What comes from outside (addresses, names, errors, command lines) is escaped wherever it is written.

mod chart;
pub(crate) mod picture;
pub(crate) mod record;
mod scale;
mod sections;

use crate::{
    report::{
        SeriesFigures,
        series::{Phase, SliceFigures, SliceLatency},
    },
    summary::grouped,
    tally::Measure,
};
use chart::{Chart, Line, Panel, Points, STYLES, Shade};
use record::Record;
use scale::Unit;
use std::{
    collections::BTreeSet,
    fmt::{Display, Write},
    fs, io,
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const LATENCY_HEIGHT: f64 = 190.0;
const OTHER_HEIGHT: f64 = 110.0;
const PERCENTILE_HEIGHT: f64 = 330.0;
/// More rates than these are not told apart.
const MOST_RATES: usize = 5;
/// Points of one line over percentiles.
const MOST_POINTS: usize = 400;

/// A text for HTML, inside elements and attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            other => out.push(other),
        }
    }
    out
}

/// A report and the JSON that it was read from.
pub(crate) struct Source {
    /// What it is called: a file's name.
    pub(crate) name: String,
    pub(crate) record: Record,
    pub(crate) json: String,
}

/// Reads a report.
///
/// # Errors
/// A file that cannot be read, or is no report; the fault names it.
pub(crate) fn read(path: &str) -> io::Result<Source> {
    let fault = |what: &dyn Display| io::Error::other(format!("{path}: {what}"));
    let json = fs::read_to_string(path).map_err(|error| fault(&error))?;
    let record = serde_json::from_str(&json).map_err(|error| fault(&format!("no report of a run: {error}")))?;
    Ok(Source { name: path.to_owned(), record, json })
}

/// The page of one run.
pub(crate) fn of_run(source: &Source) -> String {
    let record = &source.record;
    let mut body = sections::head(record);
    body += &sections::thresholds(record);
    body += &course(record);
    body += &sections::latencies(record);
    body += "<h2>Percentiles</h2>";
    body += &Chart::over_percentiles(&percentiles(record, None)).figure("Latency by percentile");
    body += &sections::faults(record);
    body += &sections::checks(record);
    body += &sections::costs(record);
    body += &sections::environment(record);
    document(&format!("{}: {}", record.asked.scenario, record.verdict.outcome), &body, &[source])
}

/// The page of several: the same axes for all. `styles` tells which lines look alike; `table` holds the differences, as HTML.
pub(crate) fn of_several(sources: &[Source], styles: &[usize], table: &str) -> String {
    let mut body = "<h1>Runs side by side</h1><ul>".to_owned();
    for Source { name, record, .. } in sources {
        let asked = &record.asked;
        let _ = write!(
            body,
            "<li><strong>{}</strong>: {} {}, {}; <span class=\"{}\">{}</span></li>",
            escape(name),
            escape(&asked.scenario),
            grouped(asked.students),
            escape(&asked.then),
            if record.verdict.outcome == "passed" { "yes" } else { "no" },
            escape(&sections::outcome(&record.verdict.outcome).1)
        );
    }
    body += "</ul><h2>Differences</h2>";
    body += table;
    body += "<h2>Over time</h2>";
    let end_s = sources.iter().map(|source| source.record.series.end_s()).fold(0.0, f64::max);
    body += &Chart::over_time(&side_by_side(sources, styles, None), &[], end_s).figure("All runs over time");
    body += "<h2>Percentiles</h2>";
    body += &percentiles_of_several(sources, styles);
    let all: Vec<&Source> = sources.iter().collect();
    document("Runs side by side", &body, &all)
}

/// All of it. The policy lets the page load nothing, from nowhere.
fn document(title: &str, body: &str, sources: &[&Source]) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\
         <title>{}</title><style>{STYLE}</style><main>{body}<h2>Raw data</h2><p>",
        escape(title)
    );
    for (place, source) in sources.iter().enumerate() {
        let name = escape(&source.name);
        let _ = write!(out, "<button type=\"button\" data-raw=\"raw{place}\" data-name=\"{name}\">Save {name}</button> ");
    }
    out += "</p></main>";
    for (place, source) in sources.iter().enumerate() {
        // Inside a script nothing is decoded; without `<` nothing ends it.
        let json = source.json.replace('<', "\\u003c");
        let _ = write!(out, "<script type=\"application/json\" id=\"raw{place}\">{json}</script>");
    }
    let _ = write!(out, "<script>{SCRIPT}</script></html>");
    out
}

fn line(name: &str, style: usize, points: Points) -> Line {
    Line { name: name.to_owned(), style, points }
}

fn panel(title: &str, unit: Unit, lines: Vec<Line>) -> Panel {
    Panel { title: title.to_owned(), unit, height: OTHER_HEIGHT, is_banded: false, lines }
}

/// Something of every slice, at its middle.
fn each(series: &SeriesFigures, value: impl Fn(&SliceFigures) -> Option<f64>) -> Points {
    series.slices.iter().map(|slice| (slice.at_s + series.step_s / 2.0, value(slice))).collect()
}

fn of_measure(series: &SeriesFigures, measure: Measure, value: fn(&SliceLatency) -> f64) -> Points {
    each(series, |slice| slice.measures.get(&measure).map(value))
}

/// How a measure is called in the page.
pub(super) fn spoken(measure: Measure) -> String {
    measure.name().replace('_', " ")
}

/// The charts over time.
fn course(record: &Record) -> String {
    let series = &record.series;
    if series.slices.is_empty() {
        return "<h2>Over time</h2><p>This report has no series.</p>".to_owned();
    }
    let shades = shades(series);
    let foremost = record.foremost();
    let mut panels: Vec<Panel> = foremost.into_iter().map(|measure| latency(series, measure)).collect();
    panels.extend([rates(record), connections(series), cpu(series), memory(series)]);
    if series.slices.iter().any(|slice| slice.faults > 0) {
        let faults = each(series, |slice| Some(slice.faults as f64 / series.step_s));
        panels.push(panel("Faults a second", Unit::Count, vec![line("faults", 1, faults)]));
    }
    let mut out = "<h2>Over time</h2><p class=\"soft\">The bands are from the median to 90 %, to 99 % and to the greatest; stages are shaded.</p>".to_owned();
    out +=
        &Chart::over_time(&panels, &shades, series.end_s()).figure("Latency, throughput, connections, CPU and memory over time");
    let others: Vec<Panel> =
        record.latencies.keys().filter(|measure| Some(**measure) != foremost).map(|measure| latency(series, *measure)).collect();
    if !others.is_empty() {
        let drawn = Chart::over_time(&others, &shades, series.end_s()).figure("The other latencies over time");
        let _ = write!(out, "<details><summary>The other {} latencies over time</summary>{drawn}</details>", others.len());
    }
    out
}

/// The stages of a run.
fn shades(series: &SeriesFigures) -> Vec<Shade> {
    let shade = |phase: &Phase| Shade { name: phase.stage.replace('_', " "), from: phase.from_s, to: phase.to_s };
    series.phases.iter().map(shade).collect()
}

fn latency(series: &SeriesFigures, measure: Measure) -> Panel {
    let lines = vec![
        line("p50", 0, of_measure(series, measure, |one| one.p50 as f64)),
        line("p90", 1, of_measure(series, measure, |one| one.p90 as f64)),
        line("p99", 2, of_measure(series, measure, |one| one.p99 as f64)),
        line("max", 3, of_measure(series, measure, |one| one.max as f64)),
    ];
    let title = format!("Latency: {}", spoken(measure));
    Panel { title, unit: Unit::Time, height: LATENCY_HEIGHT, is_banded: true, lines }
}

/// The measures that count operations, those with the most first.
fn rates(record: &Record) -> Panel {
    let is_operation = |measure: Measure| {
        !matches!(measure, Measure::Lag | Measure::Jitter | Measure::Connect | Measure::Upgrade | Measure::Admission)
    };
    let mut counted: Vec<(u64, Measure)> = record.latencies.iter().map(|(measure, figures)| (figures.count, *measure)).collect();
    counted.retain(|(_, measure)| is_operation(*measure));
    counted.sort_by(|a, b| b.cmp(a));
    let lines = counted.iter().take(MOST_RATES).enumerate().map(|(style, (_, measure))| {
        let rate = each(&record.series, |slice| Some(slice.measures.get(measure).map_or(0.0, |one| one.per_s)));
        line(&spoken(*measure), style, rate)
    });
    panel("Operations a second", Unit::Count, lines.collect())
}

fn connections(series: &SeriesFigures) -> Panel {
    let open = each(series, |slice| Some(slice.connections as f64));
    panel("Open WebSockets", Unit::Count, vec![line("connections", 0, open)])
}

fn cpu(series: &SeriesFigures) -> Panel {
    let server = series.server.iter().map(|point| (point.at_s, Some(point.cores))).collect();
    let lines = vec![
        line("server", 0, server),
        line("generator", 1, each(series, |slice| Some(slice.generator_cores))),
        line("busiest worker", 3, each(series, |slice| Some(slice.busiest_worker))),
    ];
    panel("CPU: cores used; of the busiest worker, wanted", Unit::Cores, lines)
}

fn memory(series: &SeriesFigures) -> Panel {
    let server = series.server.iter().map(|point| (point.at_s, Some(point.resident_bytes as f64))).collect();
    let generator = each(series, |slice| Some(slice.generator_bytes as f64));
    panel("Resident memory", Unit::Bytes, vec![line("server", 0, server), line("generator", 1, generator)])
}

/// The same panels for all runs, a line each; the measure is given, or that which the first run is about.
fn side_by_side(sources: &[Source], styles: &[usize], measure: Option<Measure>) -> Vec<Panel> {
    let several = |title: &str, unit: Unit, of: &dyn Fn(&Record) -> Points| {
        let lines = sources.iter().zip(styles).map(|(source, style)| line(&source.name, style % STYLES, of(&source.record)));
        panel(title, unit, lines.collect())
    };
    let foremost = sources.first().and_then(|first| first.record.foremost());
    let Some(measure) = measure.or(foremost) else { return Vec::new() };
    let spoken = spoken(measure);
    let median = |record: &Record| of_measure(&record.series, measure, |one| one.p50 as f64);
    let tail = |record: &Record| of_measure(&record.series, measure, |one| one.p99 as f64);
    let rate = |record: &Record| of_measure(&record.series, measure, |one| one.per_s);
    vec![
        several(&format!("p50 of {spoken}"), Unit::Time, &median),
        several(&format!("p99 of {spoken}"), Unit::Time, &tail),
        several(&format!("{spoken} a second"), Unit::Count, &rate),
        several("Open WebSockets", Unit::Count, &|record| each(&record.series, |slice| Some(slice.connections as f64))),
        several("Cores used by the server", Unit::Cores, &|record| {
            record.series.server.iter().map(|point| (point.at_s, Some(point.cores))).collect()
        }),
        several("Resident memory of the server", Unit::Bytes, &|record| {
            record.series.server.iter().map(|point| (point.at_s, Some(point.resident_bytes as f64))).collect()
        }),
    ]
}

fn percentile_panel(title: String, lines: Vec<Line>) -> Panel {
    Panel { title, unit: Unit::Time, height: PERCENTILE_HEIGHT, is_banded: false, lines }
}

/// Every measure of a run over the percentiles, or one.
fn percentiles(record: &Record, only: Option<Measure>) -> Panel {
    let lines = record.latencies.iter().enumerate().filter(|(_, (measure, _))| only.is_none_or(|only| only == **measure));
    let lines = lines.map(|(style, (measure, figures))| line(&spoken(*measure), style, curve(&figures.buckets)));
    percentile_panel("Latency by percentile".to_owned(), lines.collect())
}

/// A measure of several runs over the percentiles.
fn percentiles_side_by_side(sources: &[Source], styles: &[usize], measure: Measure) -> Panel {
    let lines = sources.iter().zip(styles).filter_map(|(source, style)| {
        let figures = source.record.latencies.get(&measure)?;
        Some(line(&source.name, style % STYLES, curve(&figures.buckets)))
    });
    percentile_panel(format!("Latency by percentile: {}", spoken(measure)), lines.collect())
}

/// A chart for each measure that any of the runs has.
fn percentiles_of_several(sources: &[Source], styles: &[usize]) -> String {
    let measures: BTreeSet<Measure> = sources.iter().flat_map(|source| source.record.latencies.keys().copied()).collect();
    let panels = measures.into_iter().map(|measure| percentiles_side_by_side(sources, styles, measure));
    panels.map(|panel| Chart::over_percentiles(&panel).figure(&panel.title)).collect()
}

/// A histogram over percentiles; few points, but always the greatest value.
fn curve(buckets: &[(u64, u64)]) -> Points {
    let all: u64 = buckets.iter().map(|(_, count)| count).sum();
    let (mut below, mut points) = (0, Points::new());
    let least = -(1.0 / all.max(1) as f64).log10() / MOST_POINTS as f64;
    for (place, (ns, count)) in buckets.iter().enumerate() {
        let at = -((all - below) as f64 / all as f64).log10();
        let is_far = points.last().is_none_or(|(last, _)| at - last >= least);
        if is_far || place + 1 == buckets.len() {
            points.push((at, Some(*ns as f64)));
        }
        below += count;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::Picture, compare};
    use serde_json::json;

    const EVIL: &str = "</script><script>alert('x')</script>\"&";

    fn source() -> Source {
        let slice = |at: u64| {
            let delivery =
                json!({ "count": 100, "per_s": 400.0, "p50": 100_000, "p90": 200_000 + at, "p99": 900_000, "max": 2_000_000 });
            json!({ "at_s": at as f64 / 4.0, "connections": 30, "faults": at % 2, "generator_cores": 0.2, "busiest_worker": 0.3,
                "generator_bytes": 9_000_000, "measures": { "delivery": delivery } })
        };
        let figures = json!({ "count": 3, "min": 1, "mean": 2.0, "p50": 100_000, "p90": 200_000, "p99": 900_000, "p999": 900_000,
            "p9999": 900_000, "max": 2_000_000, "buckets": [[100_000, 2], [2_000_000, 1]] });
        let report = json!({
            "version": 1,
            "verdict": { "outcome": "failed", "reasons": [EVIL] },
            "asked": { "scenario": "broadcast", "url": EVIL, "students": 30, "classrooms": 3, "rate": null, "in_flight": 1, "workers": 2,
                "sources": 8, "seed": 1, "then": EVIL },
            "rates": { "deliveries_per_s": 400.0 },
            "latencies": { "delivery": figures, "lag": figures },
            "series": { "step_s": 0.25, "slices": (0..8).map(slice).collect::<Vec<_>>(),
                "phases": [{ "stage": EVIL, "from_s": 0.0, "to_s": 2.0 }],
                "server": [{ "at_s": 0.5, "cores": 0.4, "resident_bytes": 50_000_000 }] },
            "faults": { "member": { EVIL: 2 } },
            "checks": [{ "what": "held", "expected": 5, "found": 5 }, { "what": EVIL, "expected": 5, "found": 4 }],
            "thresholds": [{ "required": "delivery.p99<20ms", "name": "delivery.p99", "unit": "ns", "bound": 2e7, "found": 9e5, "met": true }],
            "server": { "pid": 1, "program": EVIL, "samples": [], "cpu_us_per_delivery": 1.5 },
            "generator": [{ "stage": "publish", "judged": true, "workers": [{ "wall_ns": 100, "cpu_ns": 20, "waited_ns": 10 }] }],
            "environment": { "harness": "homeroom-load 0", "command": ["homeroom-load", EVIL], "started_unix_s": 1_800_000_000, "kernel": "6",
                "cpu": EVIL, "cores": 2, "sysctls": { "net/core/somaxconn": EVIL } },
        });
        let json = report.to_string();
        Source { name: EVIL.to_owned(), record: serde_json::from_value(report).unwrap(), json }
    }

    /// Both kinds of page: of one run, and of two with the table of their differences.
    fn pages() -> [String; 2] {
        let both = [source(), source()];
        [of_run(&source()), compare::side_by_side(&[(Some(EVIL), "a.json"), (None, EVIL)], &both, false).1]
    }

    /// The page without its own style and script.
    fn written(page: &str) -> String {
        page.replace(STYLE, "").replace(SCRIPT, "")
    }

    #[test]
    fn what_comes_from_outside_stays_text() {
        assert_eq!(escape("<\"'&>"), "&lt;&quot;&#39;&amp;&gt;");
        let picture = picture::draw(&[source(), source()], Measure::Delivery, Picture::Course, None);
        for page in pages().into_iter().chain([picture]) {
            assert!(!page.contains(EVIL) && !page.contains("<script>alert"), "{page}");
            assert!(page.contains(&escape(EVIL)), "{page}");
            let scripts = written(&page).matches("</script>").count();
            assert_eq!(scripts, written(&page).matches("<script").count());
        }
    }

    #[test]
    fn nothing_is_asked_of_a_network() {
        for page in pages() {
            assert!(page.contains("default-src 'none'"));
            for outside in ["http://", "https://", "src=", "@import", "url(", "<link", "fetch(", "XMLHttp"] {
                assert!(!page.contains(outside), "{outside}");
            }
        }
    }

    #[test]
    fn a_picture_stands_alone_in_light_and_dark() {
        for (what, sources) in [(Picture::Course, 1), (Picture::Course, 2), (Picture::Percentiles, 1), (Picture::Percentiles, 2)]
        {
            let sources: Vec<Source> = (0..sources).map(|_| source()).collect();
            let drawn = picture::draw(&sources, Measure::Delivery, what, Some("a & b"));
            assert!(drawn.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && drawn.ends_with("</g></svg>\n"), "{drawn}");
            assert!(drawn.contains("prefers-color-scheme:dark") && drawn.contains("--c0:") && drawn.contains("a &amp; b"));
            for foreign in ["<figure", "data-points", "hidden", "class=\"cursor", "body{", "https://", "url("] {
                assert!(!drawn.contains(foreign), "{foreign}: {drawn}");
            }
        }
    }

    #[test]
    fn the_verdict_is_first_and_the_data_is_inside() {
        let (page, source) = (of_run(&source()), source());
        let places: Vec<usize> = [
            "FAILED",
            "Thresholds",
            "Over time",
            "Latencies",
            "Percentiles",
            "Errors",
            "Conservation",
            "Environment",
            "Raw data",
        ]
        .iter()
        .map(|part| page.find(part).unwrap_or_else(|| panic!("{part} is missing")))
        .collect();
        assert!(places.is_sorted(), "{places:?}");
        let raw = page.split("id=\"raw0\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
        let (inside, given): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(raw).unwrap(), serde_json::from_str(&source.json).unwrap());
        assert_eq!(inside, given);
    }

    #[test]
    fn a_curve_over_percentiles_ends_with_the_greatest_value() {
        let points = curve(&[(10, 90), (20, 9), (30, 1)]);
        assert_eq!(points.iter().map(|(at, _)| at.round() as u32).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(points.last().and_then(|(_, value)| *value), Some(30.0));
        let many: Vec<(u64, u64)> = (1..100_000).map(|ns| (ns, 1)).collect();
        assert!(curve(&many).len() <= MOST_POINTS + 2 && curve(&[]).is_empty());
    }
}
