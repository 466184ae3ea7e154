//! What the summary says of a day: a row for each part in each phase.

use super::{grouped, reconnect::fates, row, time};
use crate::report::{LatencyFigures, PHASES, Report};

/// What is told of each part: the measures that people wait for.
const TOLD: [(&str, &[(&str, &str)]); 5] = [
    ("presence", &[("enter", "enter"), ("deliver", "deliver")]),
    ("quiz", &[("start", "start"), ("answer", "answer"), ("screen", "screen")]),
    ("chat", &[("first_word", "first word"), ("word", "word"), ("reply", "reply")]),
    ("tasks", &[("pending", "pending"), ("ended", "completed")]),
    ("labs", &[("watch", "watch"), ("key", "key")]),
];

/// Phases, each with its parts: how many, p50 and p99.
pub(super) fn phases(out: &mut String, report: &Report) {
    for phase in PHASES {
        let Some(parts) = report.phases.get(phase) else { continue };
        let mut head = phase;
        for (part, measures) in TOLD {
            let Some(found) = parts.get(part) else { continue };
            let told: Vec<String> =
                measures.iter().filter_map(|(measure, name)| found.get(*measure).map(|figures| figure(name, figures))).collect();
            if !told.is_empty() {
                row(out, head, &format!("{part:<9} {}", told.join(" · ")));
                head = "";
            }
        }
    }
    fates(out, report);
    out.push('\n');
}

fn figure(name: &str, figures: &LatencyFigures) -> String {
    format!("{} {name} p50 {} p99 {}", grouped(figures.count), time(figures.p50), time(figures.p99))
}
