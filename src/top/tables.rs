//! The three tables: shards, classrooms, slow readers. What is in each cell, and in which order the rows come.

use super::{
    looks::{Reader, Room, Shard},
    rates::{Seen, ShardRates},
    text::{bytes, count, fitted, rate, share},
    view::Sort,
};
use std::cmp::Ordering;

/// From here on a shard has no time left.
const BUSY: f64 = 0.9;
/// From here on a reader is about to be closed.
const FULL: f64 = 0.8;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// What it tells, for the page of help.
    pub(super) about: &'static str,
    pub(super) width: u16,
    /// Which it gives way first where there is no room: the highest.
    pub(super) rank: u8,
    /// Whether it is a figure: at the right, and sorted from above.
    pub(super) is_figure: bool,
    /// Whether it takes what is left, and gives way.
    pub(super) stretches: bool,
}

const fn figure(title: &'static str, width: u16, rank: u8, about: &'static str) -> Column {
    Column { title, about, width, rank, is_figure: true, stretches: false }
}

const fn name(title: &'static str, width: u16, rank: u8, about: &'static str) -> Column {
    Column { title, about, width, rank, is_figure: false, stretches: false }
}

const fn stretching(column: Column) -> Column {
    Column { stretches: true, ..column }
}

const SHARDS: &[Column] = &[
    Column { is_figure: false, ..figure("shard", 5, 0, "its number on this node") },
    figure("CPU", 5, 0, "the part of its core that its thread took since the last look"),
    figure("conns", 6, 0, "connections of any kind"),
    figure("hands", 5, 6, "connections that have not said a whole request yet"),
    figure("rooms", 5, 5, "classrooms at home on it"),
    figure("memb", 6, 4, "members of those"),
    figure("queue", 5, 1, "letters, sign-ins and handshakes that wait"),
    figure("msg/s", 6, 1, "messages read a second"),
    figure("deliv/s", 7, 0, "published frames that reached a socket, a second"),
    figure("drop/s", 6, 2, "those that did not, because somebody read too slowly"),
    figure("send/s", 6, 3, "sends a second"),
    figure("acc/s", 5, 3, "sockets accepted a second"),
    figure("turn/s", 6, 8, "turns a second, those that found nothing to do among them"),
    figure("slow", 6, 7, "connections closed so far because they read too slowly"),
];
const ROOMS: &[Column] = &[
    stretching(name("classroom", 36, 0, "its id")),
    figure("members", 7, 0, "who is in it"),
    figure("frames/s", 8, 0, "frames published to it a second"),
];
const READERS: &[Column] = &[
    name("slow reader", 11, 0, "the connection, as `homeroom ctl kick --connection` takes it"),
    name("API", 8, 2, "by which protocol"),
    stretching(name("user", 40, 1, "whose, where that is known")),
    figure("waiting", 8, 0, "what waits for it"),
    figure("bound", 8, 3, "beyond so much it is closed"),
    figure("full", 5, 0, "the one of the other"),
];
/// The columns of each table.
pub(super) const COLUMNS: [&[Column]; 3] = [SHARDS, ROOMS, READERS];
/// What stands where a table has no rows.
pub(super) const EMPTY: [&str; 3] = ["no shard", "nobody is in a classroom of this node", "nobody reads slowly"];

/// What a cell has.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Cell {
    /// A name.
    Text(String),
    /// A number.
    Count(u64),
    /// So many a second.
    Rate(Option<f64>),
    /// A part of one.
    Share(Option<f64>),
    /// An amount of memory.
    Bytes(u64),
}

/// A row, and whether it must not be overlooked.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) is_loud: bool,
}

impl Cell {
    /// In so many columns. What nobody knows is a dot.
    pub(super) fn text(&self, room: usize) -> String {
        let or_dot = |text: Option<String>| text.unwrap_or_else(|| "·".to_owned());
        match self {
            Cell::Text(text) => fitted(text, room),
            Cell::Count(number) => count(*number, room),
            Cell::Rate(value) => or_dot(value.map(|value| rate(value, room))),
            Cell::Share(value) => or_dot(value.map(share)),
            Cell::Bytes(amount) => bytes(*amount),
        }
    }

    fn figure(&self) -> Option<f64> {
        match self {
            Cell::Text(_) => None,
            Cell::Count(number) | Cell::Bytes(number) => Some(*number as f64),
            Cell::Rate(value) | Cell::Share(value) => *value,
        }
    }

    fn order(&self, other: &Cell, sort: Sort) -> Ordering {
        match (self, other) {
            (Cell::Text(one), Cell::Text(other)) => sort.order(Some(one), Some(other)),
            (one, other) => sort.order(one.figure().as_ref(), other.figure().as_ref()),
        }
    }
}

/// The rows of a table, in their order.
pub(super) fn rows(table: usize, seen: &Seen, sort: Sort) -> Vec<Row> {
    let load = &seen.look.load;
    let mut rows: Vec<Row> = match table {
        0 => load.shards.iter().zip(&seen.rates.shards).map(|(shard, rates)| of_shard(shard, rates)).collect(),
        1 => load.classrooms.iter().map(of_room).collect(),
        _ => load.slow_readers.iter().map(of_reader).collect(),
    };
    // Those that are equal stay as the server told them.
    rows.sort_by(|one, other| one.cells[sort.column].order(&other.cells[sort.column], sort));
    rows
}

/// All shards together; of one alone there is no sum.
pub(super) fn sum(seen: &Seen) -> Option<Row> {
    let (shards, rates) = (&seen.look.load.shards, &seen.rates.shards);
    let of = |count: fn(&Shard) -> u64| Cell::Count(shards.iter().map(count).sum());
    let known = |rate: fn(&ShardRates) -> Option<f64>| rates.iter().filter_map(rate).reduce(|one, other| one + other);
    let cells = vec![
        Cell::Text("all".to_owned()),
        Cell::Share(known(|rates| rates.cpu_share)),
        of(|shard| shard.connections),
        of(|shard| shard.handshakes),
        of(|shard| shard.classrooms),
        of(|shard| shard.members),
        of(|shard| shard.queue),
        Cell::Rate(known(|rates| rates.messages)),
        Cell::Rate(known(|rates| rates.delivered)),
        Cell::Rate(known(|rates| rates.dropped)),
        Cell::Rate(known(|rates| rates.sends)),
        Cell::Rate(known(|rates| rates.accepted)),
        Cell::Rate(known(|rates| rates.turns)),
        of(|shard| shard.slow_readers),
    ];
    (shards.len() > 1).then_some(Row { cells, is_loud: false })
}

fn of_shard(shard: &Shard, rates: &ShardRates) -> Row {
    let cells = vec![
        Cell::Count(shard.shard.into()),
        match shard.worked_seconds {
            Some(_) => Cell::Share(rates.cpu_share),
            None => Cell::Text("mute".to_owned()),
        },
        Cell::Count(shard.connections),
        Cell::Count(shard.handshakes),
        Cell::Count(shard.classrooms),
        Cell::Count(shard.members),
        Cell::Count(shard.queue),
        Cell::Rate(rates.messages),
        Cell::Rate(rates.delivered),
        Cell::Rate(rates.dropped),
        Cell::Rate(rates.sends),
        Cell::Rate(rates.accepted),
        Cell::Rate(rates.turns),
        Cell::Count(shard.slow_readers),
    ];
    let is_busy = rates.cpu_share.is_some_and(|share| share >= BUSY);
    let drops = rates.dropped.is_some_and(|rate| rate > 0.0);
    Row { cells, is_loud: shard.worked_seconds.is_none() || is_busy || drops }
}

fn of_room(room: &Room) -> Row {
    let cells = vec![Cell::Text(room.classroom_id.clone()), Cell::Count(room.members), Cell::Rate(room.published_a_second)];
    Row { cells, is_loud: false }
}

fn of_reader(reader: &Reader) -> Row {
    let full = reader.waiting_bytes as f64 / reader.bound_bytes.max(1) as f64;
    let cells = vec![
        Cell::Text(reader.connection.clone()),
        Cell::Text(reader.api.clone()),
        Cell::Text(reader.user.clone().unwrap_or_else(|| "·".to_owned())),
        Cell::Bytes(reader.waiting_bytes),
        Cell::Bytes(reader.bound_bytes),
        Cell::Share(Some(full)),
    ];
    Row { cells, is_loud: full >= FULL }
}

/// Which columns there is room for, and how wide each is, in their order. A sign before the first of them takes a column, and each has one
/// before it.
pub(super) fn fitting(columns: &[Column], room: u16) -> Vec<(usize, u16)> {
    /// Of a column that stretches, at least.
    const LEAST: u16 = 9;
    let least = |column: &Column| 1 + if column.stretches { column.width.min(LEAST) } else { column.width };
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|place| columns[*place].rank);
    let (mut kept, mut used) = (Vec::new(), 0);
    for place in order {
        let wider = used + least(&columns[place]);
        if wider <= room || kept.is_empty() {
            (kept, used) = ([kept, vec![place]].concat(), wider);
        }
    }
    kept.sort_unstable();
    let mut left = room.saturating_sub(used);
    let mut widths: Vec<(usize, u16)> = kept.into_iter().map(|place| (place, least(&columns[place]) - 1)).collect();
    for (place, width) in &mut widths {
        let more = left.min(columns[*place].width.saturating_sub(*width));
        (*width, left) = (*width + more, left - more);
    }
    // Where all are there, figures get room for more digits.
    let is_whole = widths.len() == columns.len();
    let figures = widths.iter().filter(|(place, _)| columns[*place].is_figure).count() as u16;
    let more = if is_whole { (left / figures.max(1)).min(4) } else { 0 };
    for (_, width) in widths.iter_mut().filter(|(place, _)| columns[*place].is_figure) {
        *width += more;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(table: usize, room: u16) -> Vec<&'static str> {
        fitting(COLUMNS[table], room).iter().map(|(place, _)| COLUMNS[table][*place].title).collect()
    }

    #[test]
    fn the_widest_columns_that_say_least_give_way_first() {
        assert_eq!(titles(0, 200).len(), COLUMNS[0].len());
        assert_eq!(
            titles(0, 79),
            ["shard", "CPU", "conns", "hands", "rooms", "memb", "queue", "msg/s", "deliv/s", "drop/s", "send/s", "acc/s"]
        );
        assert_eq!(titles(0, 40), ["shard", "CPU", "conns", "queue", "msg/s", "deliv/s"]);
        assert_eq!(titles(1, 40), ["classroom", "members", "frames/s"]);
        assert_eq!(titles(2, 40), ["slow reader", "user", "waiting", "full"]);
        assert_eq!(titles(2, 3), ["slow reader"], "something is always there");
    }

    #[test]
    fn what_is_shown_is_never_wider_than_the_room() {
        for columns in COLUMNS {
            for room in 20..240 {
                let widths = fitting(columns, room);
                let used: u16 = widths.iter().map(|(_, width)| width + 1).sum();
                assert!(used <= room, "{room}: {widths:?}");
            }
        }
    }
}
