//! How it is laid out: a head, tables below each other (beside each other where it is wide), what keys do. From 80 columns and 24 rows
//! on all of it is useful; what is smaller shows one table at a time.

mod head;
mod table;

use super::{
    keys::HELP,
    rates::Seen,
    tables::COLUMNS,
    text::fitted,
    view::{Away, View},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::Line,
};

/// From this width on rooms and readers stand beside each other, rooms in so many columns.
const WIDE: u16 = 130;
const ROOMS_WIDTH: u16 = 64;
/// A body lower than this has one table.
const LOW: u16 = 12;
/// On a line of so many columns or fewer there are keys alone.
const FEW: usize = 60;
/// From this height on the head tells how sockets ended.
const TALL: u16 = 30;

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Where the server is.
    pub server: &'a str,
    /// The last look, once there was one.
    pub seen: Option<&'a Seen>,
    /// It does not answer now.
    pub away: Option<&'a Away>,
}

/// How things look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paint {
    /// In colours. Nothing is told by them alone.
    pub is_coloured: bool,
}

impl Paint {
    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    fn good(self) -> Style {
        self.colour(Color::Green)
    }

    fn amount(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// What must not be overlooked, with colours or without.
    fn loud(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    fn colour(self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }
}

/// Draws all of it, and keeps the view's rows within those that there are.
pub fn draw(buffer: &mut Buffer, area: Rect, shown: &Shown<'_>, view: &mut View, paint: Paint) {
    if view.is_helping {
        return help(buffer, area, view.focus, paint);
    }
    let head = head::lines(shown, view.is_held, area, area.height >= TALL, paint);
    let below = lines(buffer, area, &head);
    let (foot, gap) = (u16::from(below.height > 2), u16::from(below.height > LOW + 2));
    let body = Rect { y: below.y + gap, height: below.height - gap - foot, ..below };
    if let Some(seen) = shown.seen {
        for (place, area) in places(body, wishes(seen), view.focus, view.is_alone) {
            let from = view.settle(place, table::length(place, seen), table::shown(place, seen, area.height));
            table::draw(
                buffer,
                area,
                seen,
                &table::Asked { place, from, sort: view.sorts[place], has_focus: view.focus == place },
                paint,
            );
        }
        if shown.away.is_some() {
            // What was so when it last answered.
            buffer.set_style(body, paint.colour(Color::DarkGray).add_modifier(Modifier::DIM));
        }
    }
    if foot > 0 {
        let last = Rect { y: area.bottom() - 1, height: 1, ..area };
        footer(buffer, last, shown.seen.map(|seen| table::told(seen, view)), paint);
    }
}

/// All of it as lines of text, with every row there is, for who reads no terminal.
pub fn plain(shown: &Shown<'_>, width: u16) -> String {
    let paint = Paint { is_coloured: false };
    let wide = Rect { x: 0, y: 0, width: width.max(1), height: u16::MAX };
    let head = head::lines(shown, false, wide, true, paint);
    let wishes = shown.seen.map(wishes).unwrap_or_default();
    let rows: u16 = groups(width, wishes).iter().map(|group| 1 + group.1).sum();
    let area = Rect { height: head.len() as u16 + rows, ..wide };
    let mut buffer = Buffer::empty(area);
    let below = lines(&mut buffer, area, &head);
    let body = Rect { y: below.y + 1, height: below.height.saturating_sub(1), ..below };
    let view = View::default();
    if let Some(seen) = shown.seen {
        for (place, area) in places(body, wishes, usize::MAX, false) {
            let asked = table::Asked { place, from: 0, sort: view.sorts[place], has_focus: false };
            table::draw(&mut buffer, area, seen, &asked, paint);
        }
    }
    text(&buffer)
}

/// A picture as text: a line a row, without what is empty at its end.
pub(super) fn text(buffer: &Buffer) -> String {
    let row = |y: u16| {
        let (mut line, mut x) = (String::new(), buffer.area.left());
        while x < buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            line += symbol;
            // What is two columns wide has an empty cell behind it.
            x += (super::text::width(symbol) as u16).max(1);
        }
        line.trim_end().to_owned() + "\n"
    };
    (buffer.area.top()..buffer.area.bottom()).map(row).collect()
}

/// Draws lines from above; gives what is left below them.
fn lines(buffer: &mut Buffer, area: Rect, lines: &[Line<'_>]) -> Rect {
    let height = (lines.len() as u16).min(area.height);
    for (line, y) in lines.iter().zip(area.top()..area.top() + height) {
        buffer.set_line(area.x, y, line, area.width);
    }
    Rect { y: area.y + height, height: area.height - height, ..area }
}

/// How many rows each table would like to have.
fn wishes(seen: &Seen) -> [u16; 3] {
    std::array::from_fn(|place| u16::try_from(table::height(place, seen)).unwrap_or(u16::MAX))
}

/// The tables that stand beside each other, and the rows that they would like to have.
fn groups(width: u16, wishes: [u16; 3]) -> Vec<(&'static [usize], u16)> {
    if width >= WIDE {
        return vec![(&[0], wishes[0]), (&[1, 2], wishes[1].max(wishes[2]))];
    }
    vec![(&[0], wishes[0]), (&[1], wishes[1]), (&[2], wishes[2])]
}

/// Where each table stands.
fn places(body: Rect, wishes: [u16; 3], focus: usize, is_alone: bool) -> Vec<(usize, Rect)> {
    if (is_alone || body.height < LOW) && focus < wishes.len() {
        return vec![(focus, body)];
    }
    let groups = groups(body.width, wishes);
    let gaps = groups.len() as u16 - 1;
    let favourite = groups.iter().position(|(tables, _)| tables.contains(&focus));
    let asked: Vec<u16> = groups.iter().map(|(_, wish)| *wish).collect();
    let heights = shares(body.height.saturating_sub(gaps), &asked, favourite.unwrap_or(0));
    let mut places = Vec::new();
    let mut y = body.y;
    for ((tables, _), height) in groups.iter().zip(heights) {
        let row = Rect { y, height, ..body };
        y += height + 1;
        match tables {
            [left, right] => {
                places.push((*left, Rect { width: ROOMS_WIDTH, ..row }));
                let x = row.x + ROOMS_WIDTH + 2;
                places.push((*right, Rect { x, width: row.right().saturating_sub(x), ..row }));
            }
            alone => places.extend(alone.iter().map(|table| (*table, row))),
        }
    }
    places
}

/// Deals rows out: an equal part to each, what is left to the favourite, and then to the others.
fn shares(rows: u16, wishes: &[u16], favourite: usize) -> Vec<u16> {
    let each = rows / wishes.len() as u16;
    let mut shares: Vec<u16> = wishes.iter().map(|wish| (*wish).min(each)).collect();
    let order = std::iter::once(favourite).chain((0..wishes.len()).filter(|place| *place != favourite));
    for place in order {
        let left = rows - shares.iter().sum::<u16>();
        shares[place] += left.min(wishes[place] - shares[place]);
    }
    shares
}

fn footer(buffer: &mut Buffer, area: Rect, told: Option<String>, paint: Paint) {
    let told = told.unwrap_or_default();
    let (room, wanted) = (usize::from(area.width), super::text::width(&told));
    // Where somebody is goes before the keys that are pressed least.
    let room_of_keys = if room > FEW { room - wanted - 2 } else { room };
    let mut keys = String::new();
    for key in [" q ends", "  ? help", "  Tab table", "  ←→ sort", "  z alone", "  Space hold", "  r turn"] {
        if super::text::width(&keys) + super::text::width(key) <= room_of_keys {
            keys += key;
        }
    }
    buffer.set_line(area.x, area.y, &Line::styled(keys, paint.faint()), area.width);
    if room > FEW {
        buffer.set_line(area.right() - wanted as u16, area.y, &Line::styled(told, paint.faint()), wanted as u16);
    }
}

fn help(buffer: &mut Buffer, area: Rect, table: usize, paint: Paint) {
    let room = usize::from(area.width);
    let row = |name: &str, about: &str| Line::raw(fitted(&format!("  {name:<15} {about}"), room));
    let mut all = vec![Line::styled(fitted(" homeroom top: any key goes back", room), paint.strong())];
    all.extend(HELP.iter().map(|(key, about)| row(key, about)));
    let title = [" Shards", " Classrooms with most members, or most frames", " Slow readers"][table];
    all.push(Line::styled(fitted(title, room), paint.strong()));
    all.extend(COLUMNS[table].iter().map(|column| row(column.title, column.about)));
    lines(buffer, area, &all);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_dealt_out_to_whoever_wants_them() {
        assert_eq!(shares(15, &[5, 9, 9], 0), [5, 5, 5]);
        assert_eq!(shares(15, &[3, 9, 9], 0), [3, 7, 5]);
        assert_eq!(shares(15, &[3, 9, 9], 2), [3, 5, 7]);
        assert_eq!(shares(15, &[66, 2, 2], 1), [11, 2, 2]);
        assert_eq!(shares(40, &[3, 4, 2], 0), [3, 4, 2]);
    }

    #[test]
    fn a_low_terminal_has_one_table_and_a_wide_one_has_two_beside_each_other() {
        let places = |width, height, is_alone| places(Rect { x: 0, y: 2, width, height }, [5, 9, 9], 1, is_alone);
        assert_eq!(places(40, 8, false), [(1, Rect { x: 0, y: 2, width: 40, height: 8 })]);
        assert_eq!(places(80, 20, true).len(), 1);
        assert_eq!(places(80, 20, false).iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 2]);
        let wide = places(160, 40, false);
        assert_eq!((wide[1].1.y, wide[1].1.x), (wide[2].1.y, 0));
        assert_eq!(wide[2].1, Rect { x: 66, y: 8, width: 94, height: 9 });
    }

    #[test]
    fn the_text_of_a_picture_has_what_is_wide_once() {
        let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width: 6, height: 2 });
        buffer.set_string(0, 0, "学a", Style::new());
        assert_eq!(text(&buffer), "学a\n\n");
    }
}
