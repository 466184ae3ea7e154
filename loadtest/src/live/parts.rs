//! The parts of the view, each made of what the view knows.

use super::{
    draw::{Look, MOST_FAULTS},
    state::{Belief, Point, State, Under},
};
use crate::{
    summary::{during, grouped, name, time},
    tally::{Buckets, Measure},
};
use ratatui::{
    Frame,
    layout::{Alignment, Rect},
    style::Style,
    text::{Line, Span},
    widgets::Sparkline,
};

/// Columns of the names before the figures.
const NAMES: usize = 11;
/// Columns of one figure.
const FIGURE: usize = 8;
/// From here on there is room for more figures.
const WIDE: usize = 110;
const FEWEST_MEASURES: u16 = 4;

/// What runs, where to, by whom, for how long.
pub(super) fn header(frame: &mut Frame<'_>, area: Rect, state: &State, now_ns: u64, look: Look) {
    let left = Line::from(vec![
        Span::styled(format!("homeroom-load {}", state.scenario), look.strong()),
        Span::styled(format!("  {}", state.url), look.faint()),
    ]);
    let joined = if state.joined > 0 { format!(", {} joined", state.joined) } else { String::new() };
    let plural = if state.workers == 1 { "" } else { "s" };
    let took = clock((now_ns.saturating_sub(state.began_ns)) / 1_000_000_000);
    let right = Line::from(vec![
        Span::styled(format!(" {} worker{plural}{joined}  ", state.workers), look.faint()),
        Span::styled(took, look.strong()),
    ]);
    let width = right.width() as u16;
    frame.render_widget(left, Rect { width: area.width.saturating_sub(width), ..area });
    frame.render_widget(right.alignment(Alignment::Right), area);
}

/// The stages so far; the oldest give way where there is no room.
pub(super) fn stages(state: &State, look: Look, width: usize) -> Line<'static> {
    let Some((now, before)) = state.stages.split_last() else { return Line::default() };
    let mut parts = vec![Span::styled(format!("▶ {}", now.what), look.strong())];
    let mut used = now.what.chars().count() + 2;
    for past in before.iter().rev() {
        let part = format!("✓ {}   ", past.what);
        used += part.chars().count();
        if used > width {
            parts.insert(0, Span::styled("… ", look.faint()));
            break;
        }
        parts.insert(0, Span::styled(part, look.faint()));
    }
    Line::from(parts)
}

/// How far the stage under way is, and how long it may still take.
pub(super) fn progress(state: &State, now_ns: u64, look: Look, width: usize) -> Line<'static> {
    let Some(under) = state.stages.last() else { return Line::default() };
    let gone_s = now_ns.saturating_sub(under.from_ns) as f64 / 1e9;
    let (share, done, left_s) = match (under.total, under.lasts) {
        (1.., _) => {
            let share = under.done as f64 / under.total as f64;
            let done = format!("{} of {}", grouped(under.done), grouped(under.total));
            (share, done, left(under))
        }
        (0, Some(lasts)) => {
            let lasts_s = lasts.as_secs_f64();
            (gone_s / lasts_s.max(1e-9), format!("{} of {}", clock(gone_s as u64), clock(lasts_s as u64)), None)
        }
        (0, None) => {
            let done = if under.done > 0 { format!("{} done", grouped(under.done)) } else { String::new() };
            let text = format!("for {}", clock(gone_s as u64));
            return Line::from(vec![
                name_of("progress", look),
                Span::raw(text),
                Span::raw(if done.is_empty() { done } else { format!("  {done}") }),
            ]);
        }
    };
    let share = share.clamp(0.0, 1.0);
    let text = format!(
        "  {done}  {:.0} %{}",
        (share * 100.0).floor(),
        left_s.map_or_else(String::new, |left_s| format!("  {} left", clock(left_s)))
    );
    let room = width.saturating_sub(NAMES + text.chars().count()).min(60);
    let full = (room as f64 * share) as usize;
    Line::from(vec![
        name_of("progress", look),
        Span::styled("━".repeat(full), look.amount()),
        Span::styled("─".repeat(room - full), look.faint()),
        Span::raw(text),
    ])
}

fn left(under: &Under) -> Option<u64> {
    let per_s = under.rate.unwrap_or_else(|| under.per_s());
    let open = under.total.saturating_sub(under.done) as f64;
    (per_s > 0.0 && open > 0.0).then(|| (open / per_s).ceil() as u64)
}

/// What is done a second, against what is meant to be.
pub(super) fn rates(state: &State, look: Look) -> Line<'static> {
    let Some(under) = state.stages.last() else { return Line::default() };
    let per_s = under.per_s();
    if under.rate.is_none() && under.done == 0 {
        return Line::from(vec![name_of("rate", look), Span::styled("·", look.faint())]);
    }
    let mut parts = vec![name_of("rate", look), Span::styled(format!("{} a second", number(per_s)), look.strong())];
    match under.rate {
        Some(rate) => {
            let share = per_s / rate;
            parts.push(Span::raw(format!(", meant are {} ", number(rate))));
            let style = if share < 0.9 { look.time().patch(look.strong()) } else { look.faint() };
            parts.push(Span::styled(format!("({:.0} %)", share * 100.0), style));
        }
        None => parts.push(Span::styled(", as fast as it goes", look.faint())),
    }
    Line::from(parts)
}

/// What is open, and what was heard.
pub(super) fn connections(state: &State, look: Look) -> Line<'static> {
    let progress = state.progress;
    let mut text = format!("{} connections", grouped(progress.connections));
    for (count, what) in [
        (progress.lost, "lost"),
        (progress.dropped, "dropped"),
        (progress.published, "published"),
        (progress.delivered, "delivered"),
        (progress.answered, "answers"),
        (progress.heard, "heard"),
        (progress.keys, "keys"),
        (progress.streamed >> 20, "MiB"),
        (progress.ended, "ended"),
    ] {
        if count > 0 {
            text += &format!(", {} {what}", grouped(count));
        }
    }
    Line::from(vec![name_of("open", look), Span::raw(text)])
}

/// What the charts show, and what it is now.
pub(super) fn chart_titles(frame: &mut Frame<'_>, areas: [Rect; 2], state: &State, look: Look) {
    if state.points.is_empty() {
        return;
    }
    let what = state.headline().map_or("done", |measure| name(measure).trim_start_matches("· "));
    let last = state.points.last().copied().unwrap_or_default();
    let most = most(&state.points);
    let titles = [
        (format!("{what} per second"), format!("{}  most {}", number(last.per_s), number(most.per_s)), look.amount()),
        (format!("{what} p99"), format!("{}  most {}", time(last.p99_ns), time(most.p99_ns)), look.time()),
    ];
    for (area, (title, value, style)) in areas.into_iter().zip(titles) {
        frame.render_widget(Line::styled(title, look.faint()), area);
        frame.render_widget(Line::styled(value, style).alignment(Alignment::Right), area);
    }
}

/// The course of the run: how much, and how long it takes.
pub(super) fn charts(frame: &mut Frame<'_>, areas: [Rect; 2], state: &State, look: Look) {
    let most = most(&state.points);
    let of_rate: fn(&Point) -> u64 = |point| (point.per_s * 1e3) as u64;
    let of_time: fn(&Point) -> u64 = |point| point.p99_ns;
    let sides = [(of_rate, of_rate(&most), look.amount()), (of_time, most.p99_ns, look.time())];
    for (area, (value, most, style)) in areas.into_iter().zip(sides) {
        let columns = columns(&state.points, area.width.into(), value);
        frame.render_widget(Sparkline::default().data(columns).max(most.max(1)).style(style), area);
    }
}

/// Where each stage begins, by its name.
pub(super) fn axis(state: &State, look: Look, width: usize) -> Line<'static> {
    let step = state.points.len().div_ceil(width.max(1)).max(1);
    let mut text = String::new();
    let mut shown = None;
    for (column, point) in state.points.iter().step_by(step).enumerate() {
        if shown == Some(point.stage) {
            continue;
        }
        shown = Some(point.stage);
        let Some(under) = state.stages.get(point.stage) else { continue };
        // A name that would run over the one before has no room.
        if text.chars().count() > column {
            text = text.chars().take(column).collect();
        }
        text += &" ".repeat(column - text.chars().count());
        text += &format!("╵{} ", under.what);
    }
    Line::styled(text.chars().take(width).collect::<String>(), look.faint())
}

/// One value a column, the greatest of the points that it stands for.
fn columns(points: &[Point], width: usize, value: impl Fn(&Point) -> u64) -> Vec<u64> {
    let step = points.len().div_ceil(width.max(1)).max(1);
    points.chunks(step).map(|chunk| chunk.iter().map(&value).max().unwrap_or(0)).collect()
}

fn most(points: &[Point]) -> Point {
    points.iter().fold(Point::default(), |most, point| Point {
        per_s: most.per_s.max(point.per_s),
        p99_ns: most.p99_ns.max(point.p99_ns),
        ..most
    })
}

/// How many measures are shown: as many as there are, if the charts keep a share of what is left.
pub(super) fn latency_rows(measures: u16, spare: u16, least_chart: u16) -> u16 {
    let most = spare.saturating_sub(least_chart).min((spare / 2).max(FEWEST_MEASURES));
    measures.max(1).min(most)
}

/// Latencies now and over the whole run.
pub(super) fn latencies(state: &State, look: Look, width: usize, rows: usize) -> Vec<Line<'static>> {
    let is_wide = width >= WIDE;
    let figures: &[(&str, f64)] = if is_wide {
        &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]
    } else {
        &[("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)]
    };
    let heads = |of: &str| -> String {
        let mut heads: String = figures.iter().map(|(head, _)| format!("{head:>FIGURE$}")).collect();
        let room = heads.len() - heads.trim_start().len();
        heads.replace_range(..room.min(of.len()), &of[..room.min(of.len())]);
        heads
    };
    let mut head = format!("{:<NAMES$}{} {}", "latency", heads("now"), heads("all"));
    if is_wide {
        head += &format!("{:>12}", "count");
    }
    let mut lines = vec![Line::styled(head, look.faint())];
    for measure in state.measures().into_iter().take(rows) {
        lines.push(latency(state, measure, figures, is_wide, look));
    }
    if lines.len() == 1 {
        lines.push(Line::styled(format!("{:<NAMES$}nothing is measured yet", ""), look.faint()));
    }
    lines
}

fn latency(state: &State, measure: Measure, figures: &[(&str, f64)], is_wide: bool, look: Look) -> Line<'static> {
    let told = |buckets: &Buckets| -> String {
        let one = |at: f64| if buckets.count() > 0 { time(buckets.at(at)) } else { "·".to_owned() };
        figures.iter().map(|(_, at)| format!("{:>FIGURE$}", one(*at))).collect()
    };
    let (now, whole) = (state.now(measure), state.whole.get(&measure).cloned().unwrap_or_default());
    let mut parts = vec![
        Span::raw(format!("{:<NAMES$}", name(measure))),
        Span::styled(told(&now), if now.count() > 0 { look.strong() } else { look.faint() }),
        Span::raw(format!(" {}", told(&whole))),
    ];
    if is_wide {
        parts.push(Span::styled(format!("{:>12}", grouped(whole.count())), look.faint()));
    }
    Line::from(parts)
}

/// What has gone wrong, by kind.
pub(super) fn troubles(state: &State, look: Look) -> Vec<Line<'static>> {
    let all = state.faults();
    if all.is_empty() {
        return vec![Line::from(vec![name_of("errors", look), Span::styled("none", look.good())])];
    }
    let told = |(place, (count, when, kind)): (usize, &(u64, crate::tally::When, String))| {
        let rest: u64 = all.iter().skip(MOST_FAULTS).map(|(count, ..)| count).sum();
        let more = if place + 1 == MOST_FAULTS && rest > 0 { format!(", and {rest} more of other kinds") } else { String::new() };
        let named = if place == 0 { name_of("errors", look) } else { name_of("", look) };
        Line::from(vec![
            named,
            Span::styled(grouped(*count), look.loud()),
            Span::raw(format!(" {}: {kind}{more}", during(*when))),
        ])
    };
    all.iter().take(MOST_FAULTS).enumerate().map(told).collect()
}

/// Whether to believe the generator, and why.
pub(super) fn generator(state: &State, look: Look) -> Line<'static> {
    let Some(busiest) = state.busiest() else {
        return Line::from(vec![name_of("generator", look), Span::styled("·", look.faint())]);
    };
    let (verdict, style): (&str, Style) = match state.belief() {
        Belief::Keeps => ("keeps up", look.good()),
        Belief::Busy => (" HAS NO CPU TO SPARE ", look.loud()),
        Belief::Late => (" NOT TO BE BELIEVED: LATE ", look.loud()),
    };
    let mut own = format!("  {:.0} % of a core", busiest * 100.0);
    if let Some(lag) = state.whole.get(&Measure::Lag) {
        own += &format!(", lag {} at p99", time(lag.at(0.99)));
    }
    Line::from(vec![name_of("generator", look), Span::styled(verdict, style), Span::raw(own)])
}

/// What keys do.
pub(super) fn footer(look: Look) -> Line<'static> {
    Line::styled("q or Ctrl-C ends the run; percentiles of now are of the last second", look.faint())
}

fn name_of(what: &str, look: Look) -> Span<'static> {
    Span::styled(format!("{what:<NAMES$}"), look.faint())
}

/// A number a second: whole from ten upwards.
fn number(value: f64) -> String {
    if value > 0.0 && value < 10.0 { format!("{value:.1}") } else { grouped(value.round() as u64) }
}

/// Minutes and seconds, hours where there are some.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}
