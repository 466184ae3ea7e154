//! `plot`: a run, or several, as one SVG for a document. It follows the reader's light or dark, and asks nothing of a network.

use super::{
    Source,
    chart::{Chart, Panel},
    connections, cpu, latency, percentiles, percentiles_side_by_side, rates, read, sections, shades, side_by_side,
};
use crate::{
    args::{Picture, Plot},
    summary::grouped,
    tally::Measure,
};
use std::{fs, io};

/// Colours and lines are those of the page.
const STYLE: &str = include_str!("picture.css");

/// Draws what was asked for.
///
/// # Errors
/// A file that cannot be read, is no report, or has nothing of the measure; a picture that cannot be written.
pub(crate) fn run(args: &Plot) -> io::Result<()> {
    let mut sources = args.reports.iter().map(|path| read(path)).collect::<io::Result<Vec<_>>>()?;
    for source in &mut sources {
        let file = source.name.rsplit('/').next().unwrap_or_default();
        source.name = file.strip_suffix(".json").unwrap_or(file).to_owned();
    }
    let measure = args.measure.or_else(|| sources.first()?.record.foremost());
    let is_there = |measure: &Measure| sources.iter().any(|source| source.record.latencies.contains_key(measure));
    let measure = measure.filter(is_there).ok_or_else(|| io::Error::other("nothing of this was measured"))?;
    let picture = draw(&sources, measure, args.what, args.title.as_deref());
    fs::write(&args.svg, picture).map_err(|fault| io::Error::other(format!("{}: {fault}", args.svg.display())))
}

pub(super) fn draw(sources: &[Source], measure: Measure, what: Picture, title: Option<&str>) -> String {
    let title = title.map_or_else(|| headline(sources), str::to_owned);
    let below = below(sources);
    match (what, sources) {
        (Picture::Course, [source]) => {
            let (record, series) = (&source.record, &source.record.series);
            let panels = [latency(series, measure), rates(record), connections(series), cpu(series)];
            Chart::over_time(&panels, &shades(series), series.end_s()).picture(&title, &below, &style())
        }
        (Picture::Course, _) => {
            let end_s = sources.iter().map(|source| source.record.series.end_s()).fold(0.0, f64::max);
            let panels: Vec<Panel> = side_by_side(sources, &own_styles(sources), Some(measure));
            Chart::over_time(&panels, &[], end_s).picture(&title, &below, &style())
        }
        (Picture::Percentiles, [source]) => {
            Chart::over_percentiles(&percentiles(&source.record, Some(measure))).picture(&title, &below, &style())
        }
        (Picture::Percentiles, _) => {
            let panel = percentiles_side_by_side(sources, &own_styles(sources), measure);
            Chart::over_percentiles(&panel).picture(&title, &below, &style())
        }
    }
}

/// Every run looks different.
fn own_styles(sources: &[Source]) -> Vec<usize> {
    (0..sources.len()).collect()
}

fn style() -> String {
    // The rules of the page that a picture needs begin behind this mark.
    let (_, shared) = super::STYLE.split_once("/* charts */").unwrap_or_default();
    format!("{}{STYLE}", shared.split("/* end of charts */").next().unwrap_or_default())
}

/// What was asked, as far as it is the same of all.
fn headline(sources: &[Source]) -> String {
    let asked = |source: &Source| {
        let asked = &source.record.asked;
        let whole = format!("{}: {} over {}, {}", asked.scenario, grouped(asked.students), grouped(asked.classrooms), asked.then);
        [asked.scenario.clone(), whole]
    };
    let mut all = sources.iter().map(asked);
    let Some([scenario, whole]) = all.next() else { return String::new() };
    if all.all(|other| other[1] == whole) { whole } else { scenario }
}

/// The outcome of each run, and where they took place: of the machine only its kind.
fn below(sources: &[Source]) -> String {
    let mut outcomes: Vec<String> = sources.iter().map(|source| sections::outcome(&source.record.verdict.outcome).1).collect();
    outcomes.dedup();
    let Some(Source { record: first, .. }) = sources.first() else { return String::new() };
    let environment = &first.environment;
    let started = i64::try_from(environment.started_unix_s).unwrap_or(0);
    let day = jiff::Timestamp::from_second(started).map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    format!("{} · {} · {} cores of {}", outcomes.join(", "), day, environment.cores, environment.cpu)
}
