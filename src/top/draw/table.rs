//! A table: its titles, the sum of all shards, its rows from one on.

use super::Paint;
use crate::top::{
    rates::Seen,
    tables::{self, COLUMNS, Column, EMPTY, Row, fitting},
    text::{fitted, width},
    view::{Sort, View},
};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// Which table, and how.
pub(super) struct Asked {
    pub(super) place: usize,
    pub(super) from: usize,
    pub(super) sort: Sort,
    pub(super) has_focus: bool,
}

/// How many rows it has.
pub(super) fn length(place: usize, seen: &Seen) -> usize {
    let load = &seen.look.load;
    [load.shards.len(), load.classrooms.len(), load.slow_readers.len()][place]
}

/// Rows above those that scroll: titles, and the sum.
fn above(place: usize, seen: &Seen) -> usize {
    1 + usize::from(place == 0 && length(0, seen) > 1)
}

/// As high as it would like to be.
pub(super) fn height(place: usize, seen: &Seen) -> usize {
    above(place, seen) + length(place, seen).max(1)
}

/// How many rows are there to be seen in so much height.
pub(super) fn shown(place: usize, seen: &Seen, height: u16) -> usize {
    usize::from(height).saturating_sub(above(place, seen))
}

/// Where somebody is in the table that he looks at.
pub(super) fn told(seen: &Seen, view: &View) -> String {
    let (place, sort) = (view.focus, view.sorts[view.focus]);
    let column = COLUMNS[place][sort.column].title;
    let by = format!("by {column} {}", arrow(sort));
    match length(place, seen) {
        0 => String::new(),
        rows => format!("from {} of {rows} {by}", view.from[place] + 1),
    }
}

fn arrow(sort: Sort) -> char {
    if sort.is_falling { '▼' } else { '▲' }
}

/// Draws it.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, seen: &Seen, asked: &Asked, paint: Paint) {
    let columns = fitting(COLUMNS[asked.place], area.width);
    let mut rows = area.top()..area.bottom();
    let Some(y) = rows.next() else { return };
    titles(buffer, Rect { y, height: 1, ..area }, &columns, asked, paint);
    if asked.place == 0
        && let Some(sum) = tables::sum(seen)
    {
        let Some(y) = rows.next() else { return };
        row(buffer, Rect { y, height: 1, ..area }, (asked.place, &columns), &sum, paint.strong(), paint);
    }
    let all = tables::rows(asked.place, seen, asked.sort);
    if all.is_empty() {
        if let Some(y) = rows.next() {
            buffer.set_stringn(area.x, y, format!(" {}", EMPTY[asked.place]), area.width.into(), paint.faint());
        }
        return;
    }
    for (own, y) in all.iter().skip(asked.from).zip(rows) {
        row(buffer, Rect { y, height: 1, ..area }, (asked.place, &columns), own, Style::new(), paint);
    }
}

fn titles(buffer: &mut Buffer, area: Rect, columns: &[(usize, u16)], asked: &Asked, paint: Paint) {
    let style = if asked.has_focus { paint.strong() } else { paint.faint() };
    let mut x = area.x;
    if asked.has_focus {
        buffer.set_stringn(x, area.y, "▸", area.width.into(), style);
    }
    for (place, wide) in columns {
        let column = COLUMNS[asked.place][*place];
        let is_sorted = asked.sort.column == *place;
        let sign = if is_sorted { arrow(asked.sort).to_string() } else { String::new() };
        // The sign stands in the gap between columns where a title is as wide as its column.
        let (text, at) = if column.is_figure {
            let text = format!("{sign}{}", column.title);
            (text.clone(), (x + 1 + wide).saturating_sub(width(&text) as u16))
        } else {
            (format!("{}{sign}", fitted(column.title, (*wide).into())), x + 1)
        };
        buffer.set_stringn(at, area.y, text, area.right().saturating_sub(at).into(), style);
        x += wide + 1;
    }
}

fn row(buffer: &mut Buffer, area: Rect, (table, columns): (usize, &[(usize, u16)]), own: &Row, style: Style, paint: Paint) {
    let mut x = area.x;
    if own.is_loud {
        buffer.set_stringn(x, area.y, "!", area.width.into(), paint.loud());
    }
    let style = if own.is_loud { style.patch(paint.strong()) } else { style };
    for (place, wide) in columns {
        let column: Column = COLUMNS[table][*place];
        let text = own.cells[*place].text((*wide).into());
        let at = if column.is_figure { (x + 1 + wide).saturating_sub(width(&text) as u16) } else { x + 1 };
        buffer.set_stringn(at, area.y, text, area.right().saturating_sub(at).into(), style);
        x += wide + 1;
    }
}
