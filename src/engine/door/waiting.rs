//! Connections that have not said a whole request yet: how many there are, and who has been so for longest.

use crate::realtime::{Moment, table::Key};
use std::{cell::Cell, collections::VecDeque, rc::Rc, time::Duration};

/// Nobody is closed sooner: an honest handshake is through long before, and so a crowd that comes at once is not taken for an attack.
pub(in crate::engine) const GRACE: Duration = Duration::from_secs(1);

/// Kept by a connection as long as it waits.
#[derive(Debug, Default)]
pub(in crate::engine) struct Waiting(Option<Rc<Cell<usize>>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.set(count.get() - 1);
        }
    }
}

/// Those of a shard, in the order in which they came.
#[derive(Debug, Default)]
pub(in crate::engine) struct Line {
    count: Rc<Cell<usize>>,
    line: VecDeque<(Key, Moment)>,
}

impl Line {
    /// Somebody is to come.
    pub(in crate::engine) fn ticket(&self) -> Waiting {
        self.count.set(self.count.get() + 1);
        Waiting(Some(self.count.clone()))
    }

    /// He has come. `waits` tells who still waits.
    pub(in crate::engine) fn come(&mut self, key: Key, now: Moment, waits: impl Fn(Key) -> bool) {
        self.line.push_back((key, now));
        if self.line.len() > 2 * self.count.get() + 64 {
            self.line.retain(|(key, _)| waits(*key));
        }
    }

    /// How many wait.
    pub(in crate::engine) fn count(&self) -> usize {
        self.count.get()
    }

    /// Who is to go, where more than `most` wait: whoever has done so for longest, and long enough.
    pub(in crate::engine) fn surplus(&mut self, most: usize, now: Moment, waits: impl Fn(Key) -> bool) -> Option<Key> {
        while self.count.get() > most {
            let (key, since) = *self.line.front()?;
            if waits(key) && now.since(since) < GRACE {
                return None;
            }
            self.line.pop_front();
            if waits(key) {
                return Some(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, collections::HashMap};

    fn key(slot: u32) -> Key {
        Key { slot, generation: 0 }
    }

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000)
    }

    #[test]
    fn who_has_waited_longest_goes_and_nobody_before_the_grace_is_over() {
        let (mut line, waiting) = (Line::default(), RefCell::new(HashMap::new()));
        let waits = |key: Key| waiting.borrow().contains_key(&key.slot);
        for slot in 0..5 {
            waiting.borrow_mut().insert(slot, line.ticket());
            line.come(key(slot), at(u64::from(slot)), waits);
        }
        waiting.borrow_mut().remove(&0);
        assert_eq!((line.count(), line.surplus(4, at(9), waits)), (4, None), "as many as may");
        assert_eq!(line.surplus(3, at(1), waits), None, "it has just come");
        assert_eq!(line.surplus(3, at(2), waits), Some(key(1)));
        waiting.borrow_mut().remove(&1);
        assert_eq!(line.surplus(3, at(9), waits), None);
        waiting.borrow_mut().clear();
        assert_eq!((line.count(), line.surplus(0, at(9), waits)), (0, None));
    }

    #[test]
    fn who_waits_no_more_is_forgotten() {
        let mut line = Line::default();
        let stuck = line.ticket();
        line.come(key(0), at(0), |key| key.slot == 0);
        for slot in 1..100_000 {
            drop(line.ticket());
            line.come(key(slot), at(1), |key| key.slot == 0);
        }
        assert!(line.line.len() < 100, "{}", line.line.len());
        assert_eq!(line.surplus(0, at(2), |key| key.slot == 0), Some(key(0)));
        drop(stuck);
    }
}
