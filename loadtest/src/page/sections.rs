//! The parts of a page that are text and tables.

use super::{escape, record::Record, spoken};
use crate::{
    report::UNVERIFIED,
    summary::{grouped, time},
    usage::Usage,
};
use std::fmt::Write;

/// The sign and the words for an outcome.
pub(super) fn outcome(outcome: &str) -> (&'static str, String) {
    match outcome {
        "passed" => ("✓", "PASSED".to_owned()),
        "failed" => ("✗", "FAILED".to_owned()),
        "not_believed" => ("?", "NOT TO BE BELIEVED: the generator was the bottleneck".to_owned()),
        other => ("·", other.to_owned()),
    }
}

/// What was run, and what to make of it.
pub(super) fn head(record: &Record) -> String {
    let (asked, verdict) = (&record.asked, &record.verdict);
    let (sign, words) = outcome(&verdict.outcome);
    let class = if matches!(verdict.outcome.as_str(), "passed" | "failed") { verdict.outcome.as_str() } else { "not_believed" };
    let mut out = format!("<h1>homeroom-load {}</h1>", escape(&asked.scenario));
    let started = jiff::Timestamp::from_second(i64::try_from(record.environment.started_unix_s).unwrap_or(0))
        .map(|at| at.to_string())
        .unwrap_or_default();
    let pace = asked.rate.map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("{} a second", grouped(rate as u64)));
    let _ = write!(
        out,
        "<p class=\"soft\">{} over {}, {pace}; {}. {} with {} workers, seed {}, at {}</p>",
        grouped(asked.students),
        grouped(asked.classrooms),
        escape(&asked.then),
        escape(&asked.url),
        asked.workers,
        asked.seed,
        escape(&started)
    );
    if record.unverified {
        let _ = write!(out, "<p><strong>{}</strong></p>", escape(UNVERIFIED));
    }
    let _ = write!(out, "<section class=\"verdict {class}\"><strong>{sign} {}</strong>", escape(&words));
    if !verdict.reasons.is_empty() {
        let reasons: String = verdict.reasons.iter().map(|reason| format!("<li>{}</li>", escape(reason))).collect();
        let _ = write!(out, "<ul>{reasons}</ul>");
    }
    out += "</section>";
    out
}

/// A mark for what holds, and for what does not.
fn mark(holds: bool) -> &'static str {
    if holds { "<span class=\"yes\">✓ yes</span>" } else { "<span class=\"no\">✗ no</span>" }
}

/// What was required.
pub(super) fn thresholds(record: &Record) -> String {
    if record.thresholds.is_empty() {
        return String::new();
    }
    let mut out = "<h2>Thresholds</h2><table class=\"words\"><tr><th>Required<th>Found<th>Met</tr>".to_owned();
    for threshold in &record.thresholds {
        let found = match threshold.found {
            None => "not measured".to_owned(),
            Some(ns) if threshold.unit == "ns" => time(ns as u64),
            Some(number) => format!("{number}"),
        };
        let _ = write!(out, "<tr><td>{}<td>{found}<td>{}</tr>", escape(&threshold.required), mark(threshold.met));
    }
    out + "</table>"
}

/// All latencies.
pub(super) fn latencies(record: &Record) -> String {
    let spreads = record.all_spreads();
    let mut out =
        "<h2>Latencies</h2><div class=\"wide\"><table><tr><th>Measure<th>Count<th>p50<th>p90<th>p99<th>p99.9<th>max</tr>"
            .to_owned();
    for (measure, figures) in &record.latencies {
        let _ = write!(out, "<tr><td>{}<td>{}", spoken(*measure), grouped(figures.count));
        for (name, ns) in [("p50", figures.p50), ("p90", figures.p90), ("p99", figures.p99)] {
            let spread = spreads.get(&format!("{}.{name}", measure.name()));
            let spread =
                spread.map_or_else(String::new, |spread| format!(" <span class=\"soft\">± {}</span>", time(*spread as u64)));
            let _ = write!(out, "<td>{}{spread}", time(ns));
        }
        let _ = write!(out, "<td>{}<td>{}", time(figures.p999), time(figures.max));
        out += "</tr>";
    }
    let rates: Vec<String> = record
        .rates
        .iter()
        .filter(|(name, rate)| name.ends_with("_per_s") && **rate > 0.0)
        .map(|(name, rate)| {
            format!("{} {} a second", grouped(*rate as u64), escape(&name.trim_end_matches("_per_s").replace('_', " ")))
        })
        .collect();
    let note = "± is how far a figure may move from run to run, by how far it moved within this one.";
    format!("{out}</table></div><p>{}</p><p class=\"soft\">{note}</p>", rates.join(" · "))
}

/// Percentiles by phase of a day and part.
pub(super) fn phases(record: &Record) -> String {
    if record.phases.is_empty() {
        return String::new();
    }
    let mut out = "<h2>Phases</h2><div class=\"wide\"><table class=\"words\">\
         <tr><th>Phase<th>Part<th>Measure<th>Count<th>p50<th>p90<th>p99<th>max</tr>"
        .to_owned();
    let shown = record.series.phases.iter().filter_map(|phase| Some((&phase.stage, record.phases.get(&phase.stage)?)));
    for (phase, parts) in shown {
        let rows =
            parts.iter().flat_map(|(part, measures)| measures.iter().map(move |(measure, figures)| (part, measure, figures)));
        for (part, measure, figures) in rows {
            let [phase, part, measure] = [phase, part, measure].map(|word| escape(&word.replace('_', " ")));
            let _ = write!(out, "<tr><td>{phase}</td><td>{part}<td>{measure}<td>{}", grouped(figures.count));
            for ns in [figures.p50, figures.p90, figures.p99, figures.max] {
                let _ = write!(out, "<td>{}", time(ns));
            }
            out += "</tr>";
        }
    }
    out + "</table></div><p class=\"soft\">An operation belongs to the phase in which it was meant to begin.</p>"
}

/// Errors by when and kind.
pub(super) fn faults(record: &Record) -> String {
    let mut out = "<h2>Errors</h2>".to_owned();
    if record.faults.values().all(std::collections::BTreeMap::is_empty) {
        return out + "<p>None.</p>";
    }
    out += "<table class=\"words\"><tr><th>When<th>What<th>Count</tr>";
    for (when, kinds) in &record.faults {
        for (kind, count) in kinds {
            let _ = write!(out, "<tr><td>{}<td>{}<td>{}</tr>", escape(&when.replace('_', " ")), escape(kind), grouped(*count));
        }
    }
    out + "</table>"
}

/// What must agree, first what does not.
pub(super) fn checks(record: &Record) -> String {
    let mut checks: Vec<_> = record.checks.iter().collect();
    checks.sort_by_key(|check| check.holds());
    let agreed = checks.iter().filter(|check| check.holds()).count();
    let mut out = format!("<h2>Conservation: {agreed} of {} counts agree</h2>", checks.len());
    out += "<div class=\"wide\"><table class=\"words\"><tr><th>What<th>Expected<th>Found<th>Agrees</tr>";
    for check in checks {
        let (expected, found) = (grouped(check.expected), grouped(check.found));
        let _ = write!(out, "<tr><td>{}<td>{expected}<td>{found}<td>{}</tr>", escape(&check.what), mark(expected == found));
    }
    out += "</table></div>";
    if let Some(meant) = record.fates.get("meant") {
        let parts = record.fates.iter().filter(|(name, _)| *name != "meant");
        let parts: Vec<String> =
            parts.map(|(name, count)| format!("{} {}", grouped(*count), escape(&name.replace('_', " ")))).collect();
        let _ = write!(out, "<p>Messages meant for members of the rooms: {} = {}.</p>", grouped(*meant), parts.join(" + "));
    }
    out
}

/// What the stages cost the generator, and what each operation cost the server.
pub(super) fn costs(record: &Record) -> String {
    let mut out =
        "<h2>Cost</h2><table><tr><th>Stage<th>Workers<th>Took<th>CPU of all<th>Busiest, waiting included</tr>".to_owned();
    for cost in &record.generator {
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{:.0} %</tr>",
            escape(&cost.stage.replace('_', " ")),
            cost.workers.len(),
            time(cost.workers.iter().map(|usage| usage.wall_ns).max().unwrap_or(0)),
            time(cost.workers.iter().map(|usage| usage.cpu_ns).sum()),
            cost.workers.iter().map(Usage::busy).fold(0.0, f64::max) * 100.0
        );
    }
    out += "</table>";
    let Some(server) = &record.server else { return out + "<p>The server's process was not watched.</p>" };
    let derived = server.iter().filter(|(name, _)| !matches!(name.as_str(), "pid" | "program" | "samples"));
    let figures: Vec<String> =
        derived.filter_map(|(name, value)| Some(format!("{} {:.3}", escape(&name.replace('_', " ")), value.as_f64()?))).collect();
    let program = server.get("program").and_then(|program| program.as_str()).unwrap_or_default();
    let _ = write!(out, "<p>Server: <code>{}</code>. {}</p>", escape(program), figures.join(" · "));
    out
}

/// Where it ran.
pub(super) fn environment(record: &Record) -> String {
    let environment = &record.environment;
    let mut out = "<h2>Environment</h2><table class=\"words\">".to_owned();
    let command = environment.command.join(" ");
    let cpu = format!("{} ({} usable)", environment.cpu, environment.cores);
    let rows = [("Harness", &environment.harness), ("Command", &command), ("Kernel", &environment.kernel), ("CPU", &cpu)];
    let settings = environment.sysctls.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in rows.into_iter().chain(settings) {
        let _ = write!(out, "<tr><th scope=\"row\">{}<td><code>{}</code></tr>", escape(name), escape(value));
    }
    for host in &record.hosts {
        let _ = write!(
            out,
            "<tr><th scope=\"row\">Worker {}: {}<td><code>{}</code>, <code>{}</code>; its clock {:+.6} s, drift {} ns, ± {}</tr>",
            host.worker,
            escape(&host.name),
            escape(&host.kernel),
            escape(&host.cpu),
            host.offset_ns as f64 / 1e9,
            host.drift_ns,
            time(host.uncertainty_ns)
        );
    }
    out + "</table>"
}
