//! How somebody looks: at which table, in which order, from which row on. Keys change it.

use super::{keys::Wish, tables::COLUMNS};
use std::{cmp::Ordering, time::Duration};

/// The longest pause between two questions to a server that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What follows from a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// There is another picture.
    Draw,
    /// The view ends.
    End,
    /// The process ends as by SIGINT.
    Interrupt,
}

/// See the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// Which table, by its place.
    pub(super) focus: usize,
    pub(super) sorts: [Sort; 3],
    /// The first row that is shown of each table.
    pub(super) from: [usize; 3],
    pub(super) is_alone: bool,
    pub(super) is_held: bool,
    pub(super) is_helping: bool,
}

/// The order of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sort {
    pub(super) column: usize,
    pub(super) is_falling: bool,
}

/// The server does not answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Away {
    /// Why, for people.
    pub why: String,
    /// For so long.
    pub since: Duration,
    /// It is asked again in so long; none: the question is under way.
    pub again_in: Option<Duration>,
}

impl Default for View {
    fn default() -> View {
        // Shards in their order, rooms by what is published, readers by how full their buffers are.
        let sort = |column, is_falling| Sort { column, is_falling };
        View {
            focus: 0,
            sorts: [sort(0, false), sort(2, true), sort(5, true)],
            from: [0; 3],
            is_alone: false,
            is_held: false,
            is_helping: false,
        }
    }
}

impl View {
    /// Does what somebody wants.
    pub fn heed(&mut self, wish: Wish) -> Act {
        if std::mem::take(&mut self.is_helping) && !matches!(wish, Wish::End | Wish::Interrupt) {
            return Act::Draw;
        }
        let (focus, columns) = (self.focus, COLUMNS[self.focus]);
        match wish {
            Wish::End => return Act::End,
            Wish::Interrupt => return Act::Interrupt,
            Wish::Next => self.focus = (focus + 1) % 3,
            Wish::Former => self.focus = (focus + 2) % 3,
            Wish::Table(place) => self.focus = place.min(2),
            Wish::Right | Wish::Left => {
                let step = if wish == Wish::Right { 1 } else { columns.len() - 1 };
                let column = (self.sorts[focus].column + step) % columns.len();
                self.sorts[focus] = Sort { column, is_falling: columns[column].is_figure };
                self.from[focus] = 0;
            }
            Wish::Reverse => self.sorts[focus].is_falling ^= true,
            // The picture knows how many rows there are, and settles it.
            Wish::Scroll(rows) => self.from[focus] = self.from[focus].saturating_add_signed(rows as isize),
            Wish::First => self.from[focus] = 0,
            Wish::Last => self.from[focus] = usize::MAX,
            Wish::Alone => self.is_alone ^= true,
            Wish::Hold => self.is_held ^= true,
            Wish::Help => self.is_helping = true,
            Wish::Nothing => {}
        }
        Act::Draw
    }

    /// Whether somebody holds the picture as it is.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// No further down than to the last row of so many, of which so many are shown.
    pub(super) fn settle(&mut self, table: usize, rows: usize, shown: usize) -> usize {
        self.from[table] = self.from[table].min(rows.saturating_sub(shown));
        self.from[table]
    }
}

impl Sort {
    /// Which of two values comes first; what nobody knows comes last, whichever the order.
    pub(super) fn order<T: PartialOrd>(self, one: Option<&T>, other: Option<&T>) -> Ordering {
        match (one, other) {
            (Some(one), Some(other)) => {
                let order = one.partial_cmp(other).unwrap_or(Ordering::Equal);
                if self.is_falling { order.reverse() } else { order }
            }
            (one, other) => other.is_some().cmp(&one.is_some()),
        }
    }
}

/// How long to wait before the server is asked again, after so many questions in a row without an answer.
pub fn pause(failures: u32, every: Duration) -> Duration {
    let longest = LONGEST_PAUSE.max(every);
    2_u32
        .checked_pow(failures.saturating_sub(1))
        .and_then(|times| every.checked_mul(times))
        .map_or(longest, |pause| pause.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(wishes: &[Wish]) -> View {
        let mut view = View::default();
        for wish in wishes {
            assert_eq!(view.heed(*wish), Act::Draw);
        }
        view
    }

    #[test]
    fn tables_are_gone_round() {
        assert_eq!(pressed(&[Wish::Next]).focus, 1);
        assert_eq!(pressed(&[Wish::Next, Wish::Next, Wish::Next]).focus, 0);
        assert_eq!(pressed(&[Wish::Former]).focus, 2);
        assert_eq!(pressed(&[Wish::Table(1)]).focus, 1);
    }

    #[test]
    fn figures_are_sorted_from_above_and_names_from_below() {
        assert_eq!(pressed(&[Wish::Right]).sorts[0], Sort { column: 1, is_falling: true });
        assert_eq!(pressed(&[Wish::Right, Wish::Left]).sorts[0], Sort { column: 0, is_falling: false });
        assert_eq!(pressed(&[Wish::Left]).sorts[0].column, COLUMNS[0].len() - 1);
        assert!(pressed(&[Wish::Reverse]).sorts[0].is_falling);
        let order =
            |is_falling, one: Option<f64>, other: Option<f64>| Sort { column: 0, is_falling }.order(one.as_ref(), other.as_ref());
        assert_eq!(order(true, Some(2.0), Some(1.0)), Ordering::Less);
        assert_eq!(order(false, Some(2.0), Some(1.0)), Ordering::Greater);
        for is_falling in [true, false] {
            assert_eq!(order(is_falling, None, Some(1.0)), Ordering::Greater, "what nobody knows is last");
            assert_eq!(order(is_falling, Some(1.0), None), Ordering::Less);
        }
    }

    #[test]
    fn nobody_scrolls_beyond_the_rows() {
        let mut view = pressed(&[Wish::Scroll(10), Wish::Scroll(10), Wish::Scroll(-1)]);
        assert_eq!((view.settle(0, 12, 5), view.from[0]), (7, 7));
        view.heed(Wish::Last);
        assert_eq!(view.settle(0, 12, 5), 7);
        view.heed(Wish::Scroll(-1));
        assert_eq!(view.settle(0, 12, 5), 6);
        assert_eq!(view.settle(0, 3, 5), 0);
    }

    #[test]
    fn any_key_leaves_the_help_and_does_nothing_else_but_ending() {
        let mut view = pressed(&[Wish::Help, Wish::Next]);
        assert_eq!((view.focus, view.is_helping), (0, false));
        view.heed(Wish::Help);
        view.heed(Wish::Nothing);
        assert_eq!(view, View::default());
        view.heed(Wish::Help);
        assert_eq!(view.heed(Wish::End), Act::End);
    }

    #[test]
    fn pauses_grow_and_have_an_end() {
        let second = Duration::from_secs(1);
        let pauses = [1, 2, 3, 4, 5, 6, 7, 90].map(|failures| pause(failures, second).as_secs());
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(pause(1, 60 * second), 60 * second);
    }
}
