//! How the view is laid out, from 80 columns and 24 rows upwards. What is smaller shows less of it.

use super::{
    parts::{
        axis, chart_titles, charts, connections, footer, generator, header, latencies, latency_rows, progress, rates, stages,
        troubles,
    },
    state::State,
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    widgets::Paragraph,
};
use std::env;

/// Kinds of errors that are shown at most.
pub(super) const MOST_FAULTS: usize = 4;
const LEAST_CHART: u16 = 3;
const MARGIN: u16 = 1;
/// From this height on there is room between the parts.
const ROOMY: u16 = 30;

/// How things look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Look {
    is_coloured: bool,
}

impl Look {
    /// In colours, unless `NO_COLOR` (no-color.org) is set to anything.
    pub(super) fn of_environment() -> Look {
        Look { is_coloured: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// With colours or without.
    #[cfg(test)]
    pub(super) fn new(is_coloured: bool) -> Look {
        Look { is_coloured }
    }

    /// What is looked at first.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Names and what is past.
    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// How much is done.
    pub(super) fn amount(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// How long it takes.
    pub(super) fn time(self) -> Style {
        self.colour(Color::Yellow)
    }

    /// What is well.
    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// What must not be overlooked, with colours or without.
    pub(super) fn loud(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    fn colour(self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, now_ns: u64, look: Look) {
    let whole = frame.area();
    let [_, area, _] =
        Layout::horizontal([Constraint::Length(MARGIN), Constraint::Min(1), Constraint::Length(MARGIN)]).areas(whole);
    let faults = state.faults().len().clamp(1, MOST_FAULTS) as u16;
    let gap = u16::from(area.height >= ROOMY);
    let (measures, spare) = (state.measures().len() as u16, area.height.saturating_sub(14 + faults + 2 * gap));
    // Half of what is left is for the charts, the other half for latencies; what these do not need is the charts' again.
    let rows = latency_rows(measures, spare, LEAST_CHART);
    let [head, course, _, bar, rate, open, titles, bars, under, _, table, _, errors, own, _, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Min(LEAST_CHART),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(rows + 1),
        Constraint::Length(gap),
        Constraint::Length(faults),
        Constraint::Length(1),
        Constraint::Length(gap),
        Constraint::Length(1),
    ])
    .areas(area);
    header(frame, head, state, now_ns, look);
    line(frame, course, stages(state, look, course.width.into()));
    line(frame, bar, progress(state, now_ns, look, bar.width.into()));
    line(frame, rate, rates(state, look));
    line(frame, open, connections(state, look));
    let [left, _, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)]).areas(bars);
    chart_titles(frame, [lowest(titles, left), lowest(titles, right)], state, look);
    charts(frame, [left, right], state, look);
    for side in [left, right] {
        line(frame, Rect { y: under.y, height: under.height, ..side }, axis(state, look, side.width.into()));
    }
    frame.render_widget(Paragraph::new(latencies(state, look, area.width.into(), rows.into())), table);
    frame.render_widget(Paragraph::new(troubles(state, look)), errors);
    line(frame, own, generator(state, look));
    line(frame, foot, footer(look));
}

/// The lowest row of `rows`, as wide as `side`.
fn lowest(rows: Rect, side: Rect) -> Rect {
    Rect { x: side.x, width: side.width, y: rows.bottom().saturating_sub(1).max(rows.y), height: rows.height.min(1) }
}

fn line(frame: &mut Frame<'_>, area: Rect, line: ratatui::text::Line<'_>) {
    frame.render_widget(line, area);
}

#[cfg(test)]
mod tests;
