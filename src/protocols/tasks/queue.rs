//! Whose turn it is: tasks and steps that wait, by priority and then by when they came, and how many run.

use super::{model::Priority, outcome::Piece, settings::Settings};
use hashbrown::HashMap;
use std::{cmp::Reverse, collections::BTreeSet};

type Place = (Reverse<Priority>, u64);

/// See the file.
#[derive(Default, Debug)]
pub(super) struct Queue {
    waiting: BTreeSet<(Place, Piece)>,
    places: HashMap<Piece, Place>,
    came: u64,
    /// On their way to disk, and then in the queue.
    coming: usize,
    running: usize,
}

impl Queue {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Whether one more is too many. One that can begin at once does not wait.
    pub(super) fn is_full(&self, settings: &Settings) -> bool {
        let free = settings.max_running.saturating_sub(self.running);
        self.waiting.len() + self.coming >= settings.max_waiting.saturating_add(free)
    }

    /// One will come, once it is on disk; followed by [`Queue::came`].
    pub(super) fn comes(&mut self) {
        self.coming += 1;
    }

    /// It is on disk, or will never be.
    pub(super) fn came(&mut self) {
        self.coming = self.coming.saturating_sub(1);
    }

    pub(super) fn put(&mut self, piece: Piece, priority: Priority) {
        self.came += 1;
        let place = (Reverse(priority), self.came);
        if let Some(before) = self.places.insert(piece, place) {
            self.waiting.remove(&(before, piece));
        }
        self.waiting.insert((place, piece));
    }

    /// Another priority; among those of the same it keeps its place by when it came.
    pub(super) fn place(&mut self, piece: Piece, priority: Priority) {
        if let Some(place) = self.places.get_mut(&piece) {
            self.waiting.remove(&(*place, piece));
            place.0 = Reverse(priority);
            self.waiting.insert((*place, piece));
        }
    }

    /// It waits no longer, and does not run.
    pub(super) fn remove(&mut self, piece: Piece) {
        if let Some(place) = self.places.remove(&piece) {
            self.waiting.remove(&(place, piece));
        }
    }

    /// Who may run now; followed by [`Queue::release`].
    pub(super) fn next(&mut self, settings: &Settings) -> Option<Piece> {
        if self.running >= settings.max_running {
            return None;
        }
        let (_, piece) = self.waiting.pop_first()?;
        self.places.remove(&piece);
        self.running += 1;
        Some(piece)
    }

    /// One that ran does not any more.
    pub(super) fn release(&mut self) {
        self.running = self.running.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn piece(n: u128) -> Piece {
        Piece::Task(Uuid::from_u128(n))
    }

    #[test]
    fn the_urgent_come_first_and_then_the_earlier() {
        let (mut queue, settings) = (Queue::default(), Settings { max_running: 5, ..Settings::default() });
        for (n, priority) in [(1, Priority::Low), (2, Priority::Medium), (3, Priority::High), (4, Priority::Medium)] {
            queue.put(piece(n), priority);
        }
        queue.put(piece(5), Priority::Medium);
        queue.place(piece(5), Priority::High);
        queue.remove(piece(2));
        let order: Vec<_> = std::iter::from_fn(|| queue.next(&settings)).collect();
        assert_eq!(order, [piece(3), piece(5), piece(4), piece(1)]);
        assert_eq!((queue.running(), queue.waiting(), queue.places.len()), (4, 0, 0));
    }

    #[test]
    fn it_has_an_end() {
        let (mut queue, settings) = (Queue::default(), Settings { max_running: 1, max_waiting: 2, ..Settings::default() });
        for n in 0..3 {
            assert!(!queue.is_full(&settings));
            queue.comes();
            queue.came();
            queue.put(piece(n), Priority::Medium);
        }
        assert!(queue.is_full(&settings));
        assert_eq!(queue.next(&settings), Some(piece(0)));
        assert_eq!(queue.next(&settings), None);
        assert!(queue.is_full(&settings), "two wait");
        queue.remove(piece(1));
        assert!(!queue.is_full(&settings));
        queue.comes();
        assert!(queue.is_full(&settings));
    }
}
