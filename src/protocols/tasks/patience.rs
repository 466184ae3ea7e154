//! Requests that wait for a home's answer. Who has waited too long for a row is told that the store is busy; what was begun for its sake
//! goes on, and is told to those who listen.

use super::circumstances::Asker;
use crate::realtime::Moment;
use hashbrown::HashSet;
use std::collections::VecDeque;

/// See the file.
#[derive(Default, Debug)]
pub(super) struct Patience {
    waiting: HashSet<Asker>,
    /// When each has waited long enough; all wait for the same time. The first and the last of them wait still.
    due: VecDeque<(Moment, Asker)>,
}

impl Patience {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.due.front().map(|(due, _)| *due)
    }

    /// One that was never here begins to wait, no less long than those before.
    pub(super) fn begin(&mut self, asker: Asker, due: Moment) {
        self.waiting.insert(asker);
        self.due.push_back((due, asker));
    }

    /// It has its answer. Whether it still waited for one.
    pub(super) fn end(&mut self, asker: Asker) -> bool {
        let waited = self.waiting.remove(&asker);
        let Patience { waiting, due } = self;
        while due.pop_front_if(|(_, asker)| !waiting.contains(asker)).is_some() {}
        while due.pop_back_if(|(_, asker)| !waiting.contains(asker)).is_some() {}
        waited
    }

    /// One that has waited too long, and waits no more.
    pub(super) fn give_up(&mut self, now: Moment) -> Option<Asker> {
        let (due, asker) = *self.due.front()?;
        (due <= now).then(|| {
            self.end(asker);
            asker
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::ShardId;

    fn asker(number: u64) -> Asker {
        (ShardId((number % 2) as u16), number)
    }

    #[test]
    fn who_has_an_answer_does_not_wait_and_who_has_none_does_not_wait_for_ever() {
        let mut patience = Patience::default();
        (1..=4).for_each(|number| patience.begin(asker(number), Moment(10 * number)));
        assert!(patience.end(asker(1)) && patience.end(asker(3)) && !patience.end(asker(3)));
        assert_eq!((patience.next_deadline(), patience.len()), (Some(Moment(20)), 2));
        assert_eq!(patience.give_up(Moment(19)), None);
        assert_eq!([patience.give_up(Moment(39)), patience.give_up(Moment(39))], [Some(asker(2)), None]);
        assert!(!patience.end(asker(2)), "it was told");
        patience.begin(asker(5), Moment(50));
        assert!(patience.end(asker(5)) && patience.end(asker(4)));
        assert_eq!((patience.len(), patience.due.len(), patience.next_deadline()), (0, 0, None));
    }
}
