//! Whose turn it is: tasks and steps that wait, by priority and then by when they came, and how many run. How many may wait is bounded, and
//! so is how many of them may be one user's: nobody keeps all others out.

use super::{
    asks::Refused,
    model::{Priority, UserName},
    outcome::Piece,
    settings::Settings,
};
use hashbrown::{HashMap, hash_map::Entry};
use std::{cmp::Reverse, collections::BTreeSet};

type Place = (Reverse<Priority>, u64);

/// See the file.
#[derive(Default, Debug)]
pub(super) struct Queue {
    waiting: BTreeSet<(Place, Piece)>,
    places: HashMap<Piece, (Place, UserName)>,
    came: u64,
    /// On their way to disk, and then in the queue.
    coming: usize,
    /// How many of both are whose. Of nobody: none.
    owned: HashMap<UserName, usize>,
    running: usize,
}

impl Queue {
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// Whether one more is too many, of all or of its owner's. One that can begin at once does not wait.
    pub(super) fn admits(&self, owner: &UserName, settings: &Settings) -> Result<(), Refused> {
        let free = settings.max_running.saturating_sub(self.running);
        let own = self.owned.get(owner).copied().unwrap_or(0);
        if own >= settings.max_waiting_of_user.saturating_add(free) {
            return Err(Refused::TooMany);
        }
        let all = self.waiting.len() + self.coming;
        if all >= settings.max_waiting.saturating_add(free) { Err(Refused::Crowded) } else { Ok(()) }
    }

    fn owns(&mut self, owner: &UserName) {
        *self.owned.entry(owner.clone()).or_default() += 1;
    }

    fn owns_no_more(&mut self, owner: &UserName) {
        if let Entry::Occupied(mut own) = self.owned.entry(owner.clone()) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }

    /// One of this user will come, once it is on disk; followed by [`Queue::came`].
    pub(super) fn comes(&mut self, owner: &UserName) {
        self.coming += 1;
        self.owns(owner);
    }

    /// It is on disk, or will never be.
    pub(super) fn came(&mut self, owner: &UserName) {
        self.coming = self.coming.saturating_sub(1);
        self.owns_no_more(owner);
    }

    pub(super) fn put(&mut self, piece: Piece, priority: Priority, owner: &UserName) {
        self.remove(piece);
        self.came += 1;
        let place = (Reverse(priority), self.came);
        self.places.insert(piece, (place, owner.clone()));
        self.waiting.insert((place, piece));
        self.owns(owner);
    }

    /// Another priority; among those of the same it keeps its place by when it came.
    pub(super) fn place(&mut self, piece: Piece, priority: Priority) {
        if let Some((place, _)) = self.places.get_mut(&piece) {
            self.waiting.remove(&(*place, piece));
            place.0 = Reverse(priority);
            self.waiting.insert((*place, piece));
        }
    }

    /// It waits no longer, and does not run.
    pub(super) fn remove(&mut self, piece: Piece) {
        if let Some((place, owner)) = self.places.remove(&piece) {
            self.waiting.remove(&(place, piece));
            self.owns_no_more(&owner);
        }
    }

    /// Who may run now; followed by [`Queue::release`].
    pub(super) fn next(&mut self, settings: &Settings) -> Option<Piece> {
        if self.running >= settings.max_running {
            return None;
        }
        let (_, piece) = *self.waiting.first()?;
        self.remove(piece);
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

    fn owner() -> UserName {
        "anna".into()
    }

    #[test]
    fn the_urgent_come_first_and_then_the_earlier() {
        let (mut queue, settings) = (Queue::default(), Settings { max_running: 5, ..Settings::default() });
        for (n, priority) in [(1, Priority::Low), (2, Priority::Medium), (3, Priority::High), (4, Priority::Medium)] {
            queue.put(piece(n), priority, &owner());
        }
        queue.put(piece(5), Priority::Medium, &owner());
        queue.place(piece(5), Priority::High);
        queue.remove(piece(2));
        let order: Vec<_> = std::iter::from_fn(|| queue.next(&settings)).collect();
        assert_eq!(order, [piece(3), piece(5), piece(4), piece(1)]);
        assert_eq!((queue.running(), queue.waiting(), queue.places.len(), queue.owned.len()), (4, 0, 0, 0));
    }

    #[test]
    fn it_has_an_end() {
        let (mut queue, settings) = (Queue::default(), Settings { max_running: 1, max_waiting: 2, ..Settings::default() });
        for n in 0..3 {
            assert_eq!(queue.admits(&owner(), &settings), Ok(()));
            queue.comes(&owner());
            queue.came(&owner());
            queue.put(piece(n), Priority::Medium, &owner());
        }
        assert_eq!(queue.admits(&owner(), &settings), Err(Refused::Crowded));
        assert_eq!(queue.next(&settings), Some(piece(0)));
        assert_eq!(queue.next(&settings), None);
        assert_eq!(queue.admits(&owner(), &settings), Err(Refused::Crowded), "two wait");
        queue.remove(piece(1));
        assert_eq!(queue.admits(&owner(), &settings), Ok(()));
        queue.comes(&owner());
        assert_eq!(queue.admits(&owner(), &settings), Err(Refused::Crowded));
    }

    #[test]
    fn nobody_keeps_the_others_out() {
        let settings = Settings { max_running: 1, max_waiting: 100, max_waiting_of_user: 2, ..Settings::default() };
        let (mut queue, other) = (Queue::default(), "bob".into());
        queue.put(piece(0), Priority::Medium, &owner());
        queue.put(piece(1), Priority::Medium, &owner());
        assert_eq!(queue.admits(&owner(), &settings), Ok(()), "one of them can begin");
        queue.next(&settings);
        queue.comes(&owner());
        assert_eq!(queue.admits(&owner(), &settings), Err(Refused::TooMany), "one waits, and one will");
        assert_eq!(queue.admits(&other, &settings), Ok(()));
        queue.came(&owner());
        assert_eq!(queue.admits(&owner(), &settings), Ok(()));
        queue.put(piece(1), Priority::High, &owner());
        queue.put(piece(2), Priority::High, &owner());
        assert_eq!(queue.admits(&owner(), &settings), Err(Refused::TooMany), "who waits already is not counted twice");
        queue.remove(piece(2));
        queue.remove(piece(2));
        assert_eq!(queue.admits(&owner(), &settings), Ok(()));
        queue.remove(piece(1));
        assert_eq!((queue.waiting(), queue.owned.len()), (0, 0), "nobody is remembered");
    }
}
