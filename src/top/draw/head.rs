//! The lines above the tables: who answers, whether he is ready, who is connected; or that nobody answers.

use super::{Paint, Shown};
use crate::top::{
    looks::Status,
    rates::Seen,
    text::{clean, count, fitted, rate, span, width, wrapped},
    view::Away,
};
use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use std::time::Duration;

/// Room enough for any number.
const ANY: usize = 20;

/// All of them, as wide as the area; on low terminals less.
pub(super) fn lines(shown: &Shown<'_>, is_held: bool, area: Rect, is_tall: bool, paint: Paint) -> Vec<Line<'static>> {
    let room = usize::from(area.width);
    let most = usize::from(area.height / 5).clamp(2, 4);
    let mut lines = vec![first(shown, is_held, room, paint)];
    if let Some(away) = shown.away {
        lines.extend(badge(" NO ANSWER ", &told(away, shown.seen.is_some()), room, most, paint.loud()));
    }
    let Some(seen) = shown.seen else { return lines };
    let status = &seen.look.status;
    if shown.away.is_none() {
        if let Some(drain) = status.drain {
            lines.push(draining(drain.elapsed_seconds, drain.limit_seconds, status.connections, room, paint));
        } else if !status.ready {
            lines.extend(badge(" NOT READY ", &status.reasons.join("; "), room, most, paint.loud()));
        }
    }
    let counts = wrapped(&counted(status), room.saturating_sub(1));
    lines.extend(counts.into_iter().take(most / 2).map(|line| Line::raw(format!(" {line}"))));
    if is_tall && let Some(ended) = ended(seen) {
        let ended = wrapped(&ended, room.saturating_sub(1));
        lines.extend(ended.into_iter().take(2).map(|line| Line::styled(format!(" {line}"), paint.faint())));
    }
    lines
}

/// Who answers, since when, and where he is.
fn first(shown: &Shown<'_>, is_held: bool, room: usize, paint: Paint) -> Line<'static> {
    let mut left = vec![Span::styled(" homeroom", paint.strong())];
    if let Some(status) = shown.seen.map(|seen| &seen.look.status) {
        left.push(Span::styled(format!(" {}", status.version), paint.strong()));
        left.push(Span::raw(format!("  {}", status.phase)));
        if status.ready && shown.away.is_none() {
            left.push(Span::styled(", ready", paint.good()));
        }
        left.push(Span::raw(format!(", up {}", span(status.uptime_seconds))));
    } else if shown.away.is_none() {
        left.push(Span::raw("  …"));
    }
    if is_held {
        left.push(Span::raw("  "));
        left.push(Span::styled(" HELD ", paint.loud()));
    }
    let used: usize = left.iter().map(Span::width).sum();
    let place = fitted(&clean(shown.server), room.saturating_sub(used + 2));
    if width(&place) > 8 {
        left.push(Span::raw(" ".repeat(room - used - width(&place))));
        left.push(Span::styled(place, paint.faint()));
    }
    Line::from(left)
}

fn told(away: &Away, has_answered: bool) -> String {
    let since = if has_answered { format!("for {}: ", span(away.since.as_secs_f64())) } else { String::new() };
    let again = |pause: Duration| format!("; asked again in {}", span(pause.as_secs_f64().ceil()));
    format!("{since}{}{}", away.why, away.again_in.map_or_else(String::new, again))
}

/// Loud words, and quiet ones behind them.
fn badge(loud: &str, text: &str, room: usize, most: usize, style: Style) -> Vec<Line<'static>> {
    let lines = wrapped(text, room.saturating_sub(width(loud) + 2));
    let line = |(place, line): (usize, String)| {
        let name = if place == 0 { Span::styled(loud.to_owned(), style) } else { Span::raw(" ".repeat(width(loud))) };
        Line::from(vec![Span::raw(" "), name, Span::raw(format!(" {line}"))])
    };
    lines.into_iter().take(most).enumerate().map(line).collect()
}

/// How far the drain is.
fn draining(elapsed_s: f64, limit_s: f64, connections: u64, room: usize, paint: Paint) -> Line<'static> {
    let left = count(connections, ANY);
    let text = format!(" {} of {} at most, {left} connections left", span(elapsed_s), span(limit_s));
    let bar = room.saturating_sub(width(&text) + 13).min(40);
    let full = ((elapsed_s / limit_s.max(1e-9)).clamp(0.0, 1.0) * bar as f64) as usize;
    Line::from(vec![
        Span::raw(" "),
        Span::styled(" DRAINING ", paint.loud()),
        Span::raw(" "),
        Span::styled("━".repeat(full), paint.amount()),
        Span::styled("─".repeat(bar - full), paint.faint()),
        Span::raw(text),
    ])
}

fn counted(status: &Status) -> String {
    let number = |number: u64| count(number, ANY);
    let sockets: Vec<String> =
        status.sockets.iter().filter(|(_, count)| **count > 0).map(|(api, count)| format!("{api} {}", number(*count))).collect();
    let sockets = if sockets.is_empty() { String::new() } else { format!(" ({})", sockets.join(", ")) };
    let plural = |count: u64, one: &str, many: &str| format!("{} {}", number(count), if count == 1 { one } else { many });
    let mut text = format!(
        "{}{sockets}; {}, {}",
        plural(status.connections, "connection", "connections"),
        plural(status.classrooms, "classroom", "classrooms"),
        plural(status.members, "member", "members")
    );
    if status.slow_readers > 0 {
        text += &format!("; {} closed", plural(status.slow_readers, "slow reader", "slow readers"));
    }
    text
}

/// How sockets ended, by code, the most frequent first.
fn ended(seen: &Seen) -> Option<String> {
    let mut all: Vec<(&String, u64)> =
        seen.look.load.closed.iter().map(|(code, count)| (code, *count)).filter(|(_, count)| *count > 0).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let one = |(code, number): &(&String, u64)| {
        let a_second = seen.rates.closed.get(*code).copied().flatten().filter(|value| *value > 0.0);
        let a_second = a_second.map_or_else(String::new, |value| format!(" ({}/s)", rate(value, ANY)));
        format!("{code}: {}{a_second}", count(*number, ANY))
    };
    (!all.is_empty()).then(|| format!("ended so far  {}", all.iter().map(one).collect::<Vec<_>>().join(", ")))
}
