//! Charts as SVG: panels above each other with one axis of time, and lines over an axis of percentiles. A line is told from the others
//! by its dashes and by its name at its end, never by its colour alone.

use super::{
    escape,
    scale::{Scale, Unit, nice},
};
use std::fmt::Write;

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 172.0;
const ABOVE: f64 = 34.0;
const HEADING: f64 = 36.0;
const BELOW: f64 = 30.0;
/// What stands above a picture.
const TITLE: f64 = 62.0;
/// Names at the ends of lines need so much room.
const NAME_HEIGHT: f64 = 14.0;
/// A phase narrower than this has no name in the picture.
const NARROWEST: f64 = 46.0;
/// Colours and dashes of lines, taken in turn.
pub(super) const STYLES: usize = 12;

/// Places and values; where there is no value, a line is broken.
pub(crate) type Points = Vec<(f64, Option<f64>)>;

/// A line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Which colour and dashes.
    pub(crate) style: usize,
    pub(crate) points: Points,
}

/// A chart of several lines with one vertical axis.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) height: f64,
    /// What lies between two neighbouring lines is filled, the more the lower.
    pub(crate) is_banded: bool,
    pub(crate) lines: Vec<Line>,
}

/// A stretch of the horizontal axis with a name.
#[derive(Clone, Debug)]
pub(crate) struct Shade {
    pub(crate) name: String,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// A horizontal axis.
struct Across {
    from: f64,
    to: f64,
    ticks: Vec<(f64, String)>,
    unit: &'static str,
}

impl Across {
    fn x(&self, at: f64) -> f64 {
        LEFT + ((at - self.from) / (self.to - self.from)).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

/// A chart that is not written yet.
pub(crate) struct Chart<'a> {
    panels: &'a [Panel],
    shades: &'a [Shade],
    across: Across,
}

/// Where a chart is written to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A page, whose script reads the values out.
    Page,
    /// A picture of its own.
    Picture,
}

impl Chart<'_> {
    /// Panels over time, in seconds from 0 to `end_s`.
    pub(crate) fn over_time<'a>(panels: &'a [Panel], shades: &'a [Shade], end_s: f64) -> Chart<'a> {
        let end_s = end_s.max(0.001);
        let step = nice(end_s / 8.0);
        let ticks = (0..).map(|number| f64::from(number) * step).take_while(|at| *at <= end_s);
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let ticks = ticks.map(|at| (at, format!("{at:.digits$} s"))).collect();
        Chart { panels, shades, across: Across { from: 0.0, to: end_s, ticks, unit: "s" } }
    }

    /// Lines over percentiles: each point's place is -log10 of the share above it.
    pub(crate) fn over_percentiles(panel: &Panel) -> Chart<'_> {
        let furthest = panel.lines.iter().flat_map(|line| &line.points).map(|(at, _)| *at).fold(1.0, f64::max);
        let names = [
            (0.0, "0 %"),
            (std::f64::consts::LOG10_2, "50 %"),
            (1.0, "90 %"),
            (2.0, "99 %"),
            (3.0, "99.9 %"),
            (4.0, "99.99 %"),
            (5.0, "99.999 %"),
        ];
        let ticks = names.into_iter().filter(|(at, _)| *at <= furthest).map(|(at, name)| (at, name.to_owned())).collect();
        let across = Across { from: 0.0, to: furthest, ticks, unit: "percentile" };
        Chart { panels: std::slice::from_ref(panel), shades: &[], across }
    }

    fn height(&self) -> f64 {
        ABOVE + self.panels.iter().map(|panel| panel.height + HEADING).sum::<f64>() + BELOW
    }

    /// For a page: it can have the focus, and the page's script reads its values out.
    pub(crate) fn figure(&self, title: &str) -> String {
        let (title, across) = (escape(title), &self.across);
        let mut out = format!(
            "<figure class=\"chart\" tabindex=\"0\" role=\"group\" aria-label=\"{title}. Left and right arrow keys read the values.\">\
             <div class=\"wide\"><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{title}\" data-from=\"{}\" data-to=\"{}\" \
             data-unit=\"{}\" data-left=\"{LEFT}\" data-right=\"{}\">",
            self.height(),
            across.from,
            across.to,
            across.unit,
            WIDTH - RIGHT
        );
        let end = self.draw(&mut out, Form::Page);
        let _ = write!(out, "<line class=\"cursor\" x1=\"0\" x2=\"0\" y1=\"{ABOVE}\" y2=\"{end}\" hidden=\"\"/></svg></div>");
        out += "<output aria-live=\"polite\"></output></figure>";
        out
    }

    /// As a file of its own, with a title and a line below it: `style` is that of the page.
    pub(crate) fn picture(&self, title: &str, below: &str, style: &str) -> String {
        let (height, title, below) = (self.height() + TITLE, escape(title), escape(below));
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
             aria-label=\"{title}\"><style>{style}</style><rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\
             <text class=\"headline\" x=\"24\" y=\"34\">{title}</text><text class=\"below\" x=\"24\" y=\"55\">{below}</text>\
             <g transform=\"translate(0 {TITLE})\">"
        );
        self.draw(&mut out, Form::Picture);
        out + "</g></svg>\n"
    }

    /// Draws all panels; returns where the lowest ends.
    fn draw(&self, out: &mut String, form: Form) -> f64 {
        shade(out, self.shades, &self.across, self.height());
        let mut top = ABOVE;
        for panel in self.panels {
            draw_panel(out, panel, &self.across, top + HEADING, form);
            top += panel.height + HEADING;
        }
        for (at, name) in &self.across.ticks {
            let (x, y) = (self.across.x(*at), top + 18.0);
            let _ = write!(out, "<text class=\"tick\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{name}</text>");
        }
        top
    }
}

fn shade(out: &mut String, shades: &[Shade], across: &Across, height: f64) {
    for (place, Shade { name, from, to }) in shades.iter().enumerate() {
        let (x, width) = (across.x(*from), across.x(*to) - across.x(*from));
        let _ = write!(
            out,
            "<rect class=\"phase p{}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            place % 2,
            ABOVE - 20.0,
            height - ABOVE - BELOW + 20.0,
            escape(name)
        );
        if width >= NARROWEST {
            let _ = write!(out, "<text class=\"phase\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", x + 5.0, ABOVE - 6.0, escape(name));
        }
    }
}

fn draw_panel(out: &mut String, panel: &Panel, across: &Across, top: f64, form: Form) {
    let values = panel.lines.iter().flat_map(|line| line.points.iter().filter_map(|(_, value)| *value));
    let scale = Scale::of(panel.unit, values);
    let y = |value: f64| top + (1.0 - scale.place(value)) * panel.height;
    let (left, right) = (LEFT, WIDTH - RIGHT);
    let _ = write!(out, "<text class=\"title\" x=\"{left}\" y=\"{:.1}\">{}</text>", top - 8.0, escape(&panel.title));
    for tick in &scale.ticks {
        let (at, name) = (y(*tick), scale.unit().tell(*tick));
        let _ = write!(out, "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let _ =
            write!(out, "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>", left - 7.0, at + 4.0);
    }
    if panel.is_banded {
        for (place, pair) in panel.lines.windows(2).enumerate() {
            let _ = write!(out, "<path class=\"band b{place}\" d=\"{}\"/>", band(&pair[0], &pair[1], across, y));
        }
    }
    for line in &panel.lines {
        let _ = write!(
            out,
            "<path class=\"line s{}\" d=\"{}\"{}/>",
            line.style % STYLES,
            path(line, across, y),
            read_out(panel, line, form)
        );
    }
    names(out, panel, across, y);
}

/// What the script of a page reads out.
fn read_out(panel: &Panel, line: &Line, form: Form) -> String {
    if form == Form::Picture {
        return String::new();
    }
    let points: Vec<String> = line.points.iter().map(|(at, value)| pair(*at, *value)).collect();
    let (name, unit) = (escape(&format!("{} {}", panel.title, line.name)), panel.unit.name());
    format!(" data-name=\"{name}\" data-unit=\"{unit}\" data-points=\"{}\"", points.join(" "))
}

/// A point for the script: its place and its value.
fn pair(at: f64, value: Option<f64>) -> String {
    value.map_or_else(|| format!("{at:.4}:"), |value| format!("{at:.4}:{}", (value * 1e3).round() / 1e3))
}

fn path(line: &Line, across: &Across, y: impl Fn(f64) -> f64) -> String {
    let (mut out, mut is_begun) = (String::new(), false);
    for (place, (at, value)) in line.points.iter().enumerate() {
        let Some(value) = value else {
            is_begun = false;
            continue;
        };
        let next_is_there = line.points.get(place + 1).is_some_and(|(_, value)| value.is_some());
        let _ = write!(out, "{}{:.1} {:.1}", if is_begun { 'L' } else { 'M' }, across.x(*at), y(*value));
        if !is_begun && !next_is_there {
            // One point alone is a short stroke.
            out += "h2";
        }
        is_begun = true;
    }
    out
}

/// What lies between two lines of the same moments, a piece for each unbroken stretch.
fn band(low: &Line, high: &Line, across: &Across, y: impl Fn(f64) -> f64) -> String {
    let both: Vec<Option<(f64, f64, f64)>> =
        low.points.iter().zip(&high.points).map(|((at, low), (_, high))| Some((*at, (*low)?, (*high)?))).collect();
    let mut out = String::new();
    for piece in both.split(Option::is_none).filter(|piece| piece.len() > 1) {
        let piece: Vec<_> = piece.iter().flatten().collect();
        let up = piece.iter().map(|(at, low, _)| (across.x(*at), y(*low)));
        let back = piece.iter().rev().map(|(at, _, high)| (across.x(*at), y(*high)));
        let corners: Vec<String> = up.chain(back).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let _ = write!(out, "M{}Z", corners.join("L"));
    }
    out
}

/// The lines' names at their ends, none over another.
fn names(out: &mut String, panel: &Panel, across: &Across, y: impl Fn(f64) -> f64) {
    let ends = panel.lines.iter().filter_map(|line| {
        let (at, value) = line.points.iter().rev().find_map(|(at, value)| Some((*at, (*value)?)))?;
        Some((y(value), across.x(at), line))
    });
    let mut ends: Vec<(f64, f64, &Line)> = ends.collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lowest = f64::NEG_INFINITY;
    let places: Vec<f64> = ends
        .iter()
        .map(|(y, ..)| {
            lowest = (lowest + NAME_HEIGHT).max(*y);
            lowest
        })
        .collect();
    let bottom = y(f64::MIN_POSITIVE) + NAME_HEIGHT / 2.0;
    let up = places.last().map_or(0.0, |last| (last - bottom).max(0.0));
    for ((end_y, end_x, line), place) in ends.iter().zip(places) {
        let (style, place, x) = (line.style % STYLES, place - up, WIDTH - RIGHT + 46.0);
        let _ = write!(out, "<path class=\"leader\" d=\"M{end_x:.1} {end_y:.1}L{:.1} {place:.1}\"/>", x - 38.0);
        let _ = write!(out, "<path class=\"line s{style}\" d=\"M{:.1} {place:.1}h32\"/>", x - 38.0);
        let _ = write!(out, "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>", place + 4.0, escape(&line.name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[Option<f64>]) -> Line {
        Line { name: name.into(), style: 0, points: points.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect() }
    }

    #[test]
    fn lines_break_where_nothing_was_measured() {
        let across = Across { from: 0.0, to: 4.0, ticks: Vec::new(), unit: "s" };
        let drawn = path(&line("a", &[Some(1.0), Some(2.0), None, Some(3.0)]), &across, |value| value);
        assert_eq!((drawn.matches('M').count(), drawn.matches('L').count(), drawn.ends_with("h2")), (2, 1, true), "{drawn}");
        let both = line("b", &[Some(2.0), Some(3.0), None, Some(4.0)]);
        assert_eq!(band(&both, &both, &across, |value| value).matches('Z').count(), 1);
    }

    #[test]
    fn names_do_not_lie_over_each_other_and_are_escaped() {
        let lines = (0..4).map(|_| line("<b>", &[Some(5.0)])).collect();
        let panel = Panel { title: "a & b".into(), unit: Unit::Count, height: 120.0, is_banded: false, lines };
        let panels = [panel];
        let drawn = Chart::over_time(&panels, &[], 1.0).figure("t");
        let heights: Vec<f64> = drawn
            .split("class=\"name\"")
            .skip(1)
            .map(|name| name.split("y=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().parse().unwrap())
            .collect();
        assert!(heights.len() == 4 && heights.windows(2).all(|pair| pair[1] - pair[0] >= NAME_HEIGHT - 0.2), "{heights:?}");
        assert!(!drawn.contains("<b>") && drawn.contains("a &amp; b"));
    }
}
