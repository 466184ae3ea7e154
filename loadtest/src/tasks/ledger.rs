//! What was told of one task, and to which socket how much of it: every socket that listens must hear the same messages in the same order.
//!
//! Nobody knows beforehand what an agent's progress will be. So the ledger holds the union of what all sockets heard, in order; a socket's
//! place in it says what it has heard. A message that one socket heard and another did not is found as soon as either goes on.

use super::contract::Status;
use std::ops::Range;
use uuid::Uuid;

/// A message about a task.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Said {
    pub(super) status: Status,
    /// 0 to 1; of an error, which tells none, 0.
    pub(super) progress: f64,
    /// Tells results and errors apart.
    pub(super) mark: u64,
}

impl Said {
    /// Whether it may come behind another: further, or over.
    fn follows(&self, before: &Said) -> bool {
        let is_failure = self.status == Status::Failed;
        let (status, progress) = (self.status.cmp(&before.status), self.progress.total_cmp(&before.progress));
        !before.status.is_over() && (is_failure || (status.is_gt() && progress.is_ge()) || (status.is_eq() && progress.is_gt()))
    }
}

/// What came of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// It is the next that this socket must hear.
    Next {
        /// How much later than the first of the owner's sockets; none: this is the first of them, or an admin before them all.
        behind_ns: Option<u64>,
        /// Where it is the first of them: how many admins were before it.
        admins: u64,
        /// Messages that a socket has not heard, found now.
        unheard: u64,
    },
    /// How the task stands, as this socket has asked to be told.
    State,
    /// The socket has just heard it.
    Again,
    /// It tells of less than the socket has heard.
    Backwards,
    /// A second end.
    EndedAgain,
    /// Something else behind the end.
    Late,
    /// Another socket heard otherwise.
    Contradiction,
}

/// How the owner's sockets heard that the task is over.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct End {
    pub(super) status: Status,
    pub(super) result: Option<Box<str>>,
    pub(super) error: Option<Box<str>>,
    pub(super) cost: f64,
}

/// See the file.
pub(super) struct Ledger {
    pub(super) id: Uuid,
    /// The user whose socket heard of it first; none: only admins have.
    pub(super) owner: Option<u32>,
    /// The owner has heard of so many before it.
    pub(super) number: u32,
    pub(super) end: Option<End>,
    told: Vec<Told>,
    /// Of each socket that may listen: the owner's, then the admins' of this worker.
    places: Vec<Place>,
    /// How many of these are the owner's.
    own: usize,
}

#[derive(Clone, Copy)]
struct Told {
    said: Said,
    /// When the first of the owner's sockets heard it; 0: none has.
    first_ns: u64,
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// So much of what was told it has heard, or passed over.
    next: u16,
    /// States that it asked for and has not been told.
    states: u16,
}

impl Ledger {
    /// `own`: how many sockets its owner has; `admins`: how many the admins of this worker have.
    pub(super) fn new(id: Uuid, own: usize, admins: usize) -> Ledger {
        let places = vec![Place::default(); own + admins];
        Ledger { id, owner: None, number: 0, end: None, told: Vec::new(), places, own }
    }

    /// The socket of that place hears a message.
    pub(super) fn hear(&mut self, place: usize, said: Said, now_ns: u64) -> Heard {
        let Place { next, states } = self.places[place];
        let next = usize::from(next);
        let (before, ahead) = self.told.split_at(next);
        let last = before.last().map(|told| told.said);
        if let Some(skipped) = ahead.iter().position(|told| told.said == said) {
            return self.next(place, next + skipped, skipped as u64, now_ns);
        }
        if last == Some(said) && states > 0 {
            self.places[place].states -= 1;
            return Heard::State;
        }
        // Others have heard what comes before it, and this socket has not.
        let missed = ahead.iter().take_while(|told| said.follows(&told.said)).count();
        let is_over = last.is_some_and(|last| last.status.is_over());
        match last {
            _ if is_over && said.status.is_over() => Heard::EndedAgain,
            _ if is_over => Heard::Late,
            Some(last) if last == said => Heard::Again,
            Some(last) if !said.follows(&last) => Heard::Backwards,
            _ if ahead.get(missed).is_some_and(|other| !other.said.follows(&said)) => Heard::Contradiction,
            _ => {
                let passed = self.insert(next + missed, said);
                self.next(place, next + missed, passed + missed as u64, now_ns)
            }
        }
    }

    /// What nobody has told before. Returns how many sockets have passed over it.
    fn insert(&mut self, at: usize, said: Said) -> u64 {
        self.told.insert(at, Told { said, first_ns: 0 });
        let passed = self.places.iter_mut().filter(|place| usize::from(place.next) > at);
        passed.map(|place| place.next += 1).count() as u64
    }

    fn next(&mut self, place: usize, at: usize, unheard: u64, now_ns: u64) -> Heard {
        self.places[place].next = (at + 1) as u16;
        let first_ns = self.told[at].first_ns;
        let mut admins = 0;
        if place < self.own && first_ns == 0 {
            self.told[at].first_ns = now_ns;
            admins = self.places[self.own..].iter().filter(|admin| usize::from(admin.next) > at).count() as u64;
        }
        Heard::Next { behind_ns: (first_ns > 0).then(|| now_ns.saturating_sub(first_ns)), admins, unheard }
    }

    /// The socket has asked how the task stands.
    pub(super) fn asks(&mut self, place: usize) {
        self.places[place].states += 1;
    }

    /// How many messages there are, as far as anybody knows.
    pub(super) fn count(&self) -> u64 {
        self.told.len() as u64
    }

    /// How many of them these sockets have not heard.
    pub(super) fn unheard(&self, places: Range<usize>) -> u64 {
        self.places[places].iter().map(|place| self.count() - u64::from(place.next)).sum()
    }

    /// When the owner first heard of its waiting, of its agent's beginning, and of its end.
    pub(super) fn moments_ns(&self) -> [Option<u64>; 3] {
        let first = |is: fn(Status) -> bool| self.told.iter().find(|told| is(told.said.status)).map(|told| told.first_ns);
        let at_work = |status| matches!(status, Status::InProgress | Status::Verifying);
        [first(|status| status == Status::Pending), first(at_work), first(Status::is_over)]
            .map(|at_ns| at_ns.filter(|at_ns| *at_ns > 0))
    }

    /// The last progress that was told before the end.
    pub(super) fn progress(&self) -> f64 {
        self.told.iter().rev().find(|told| !told.said.status.is_over()).map_or(0.0, |told| told.said.progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: [usize; 2] = [0, 1];
    const ADMIN: usize = 2;

    fn ledger() -> Ledger {
        Ledger::new(Uuid::nil(), 2, 1)
    }

    fn said(status: Status, progress: f64) -> Said {
        Said { status, progress, mark: 0 }
    }

    fn at(progress: f64) -> Said {
        said(Status::InProgress, progress)
    }

    fn pending() -> Said {
        said(Status::Pending, 0.0)
    }

    fn done() -> Said {
        said(Status::Completed, 1.0)
    }

    fn failed() -> Said {
        said(Status::Failed, 0.0)
    }

    fn first(unheard: u64) -> Heard {
        Heard::Next { behind_ns: None, admins: 0, unheard }
    }

    fn behind(behind_ns: u64) -> Heard {
        Heard::Next { behind_ns: Some(behind_ns), admins: 0, unheard: 0 }
    }

    /// All that a socket hears, a nanosecond each.
    fn hears(ledger: &mut Ledger, place: usize, all: &[Said]) -> Vec<Heard> {
        (1..).zip(all).map(|(now_ns, said)| ledger.hear(place, *said, now_ns)).collect()
    }

    #[test]
    fn sockets_that_hear_the_same_are_behind_the_first() {
        let (mut ledger, all) = (ledger(), [pending(), at(0.05), at(0.5), done()]);
        assert_eq!(hears(&mut ledger, 0, &all), [first(0); 4]);
        assert_eq!(ledger.hear(1, pending(), 10), behind(9));
        assert_eq!(ledger.hear(ADMIN, pending(), 4), behind(3));
        assert_eq!((ledger.count(), ledger.unheard(0..1), ledger.unheard(1..2), ledger.unheard(0..3)), (4, 0, 3, 6));
        assert_eq!((ledger.moments_ns(), ledger.progress()), ([Some(1), Some(2), Some(4)], 0.5));
    }

    #[test]
    fn an_admin_may_be_first() {
        let mut ledger = ledger();
        assert_eq!(ledger.hear(ADMIN, pending(), 5), first(0));
        assert_eq!(ledger.moments_ns()[0], None);
        assert_eq!(ledger.hear(0, pending(), 7), Heard::Next { behind_ns: None, admins: 1, unheard: 0 });
        assert_eq!((ledger.hear(1, pending(), 9), ledger.moments_ns()[0]), (behind(2), Some(7)));
    }

    #[test]
    fn what_one_socket_misses_is_found_from_either_side() {
        let mut ledger = ledger();
        hears(&mut ledger, 0, &[pending(), at(0.1), at(0.2)]);
        assert_eq!(hears(&mut ledger, 1, &[pending(), at(0.2)])[1], Heard::Next { behind_ns: Some(0), admins: 0, unheard: 1 });
        // The first socket did not hear of 0.15, nor did the second.
        assert_eq!(hears(&mut ledger, ADMIN, &[pending(), at(0.1), at(0.15)])[2], first(2));
        assert_eq!((ledger.count(), ledger.unheard(0..2), ledger.unheard(2..3)), (4, 0, 1));
        let missing = hears(&mut ledger, ADMIN, &[at(0.2), done()]);
        assert_eq!((missing[1], ledger.unheard(0..2)), (first(0), 2));
    }

    #[test]
    fn who_misses_something_may_be_the_first_to_hear_what_follows() {
        let mut ledger = ledger();
        hears(&mut ledger, 0, &[pending(), at(0.1)]);
        assert_eq!(hears(&mut ledger, 1, &[at(0.2), done()]), [first(2), first(0)]);
        assert_eq!(hears(&mut ledger, 0, &[at(0.2), done()]), [behind(0), behind(0)]);
        assert_eq!((ledger.count(), ledger.unheard(0..2)), (4, 0));
    }

    #[test]
    fn nothing_comes_twice_or_backwards() {
        for place in OWN {
            let mut ledger = ledger();
            let all = [pending(), pending(), at(0.3), at(0.2), at(0.3), pending(), at(0.4)];
            let heard = hears(&mut ledger, place, &all);
            assert_eq!(&heard[1..2], [Heard::Again]);
            assert_eq!(&heard[3..], [Heard::Backwards, Heard::Again, Heard::Backwards, first(0)]);
        }
    }

    #[test]
    fn there_is_one_end_and_nothing_behind_it() {
        let mut ledger = ledger();
        let heard = hears(&mut ledger, 0, &[pending(), done(), done(), failed(), at(0.5), pending()]);
        assert_eq!(heard[2..], [Heard::EndedAgain, Heard::EndedAgain, Heard::Late, Heard::Late]);
        assert_eq!(hears(&mut ledger, 1, &[pending(), failed()])[1], Heard::Contradiction);
    }

    #[test]
    fn who_asks_is_told_once_more() {
        let mut ledger = ledger();
        hears(&mut ledger, 0, &[pending(), at(0.1)]);
        ledger.asks(0);
        assert_eq!(hears(&mut ledger, 0, &[at(0.1), at(0.1), done()]), [Heard::State, Heard::Again, first(0)]);
        ledger.asks(0);
        assert_eq!(hears(&mut ledger, 0, &[done(), done()]), [Heard::State, Heard::EndedAgain]);
        assert_eq!(hears(&mut ledger, 1, &[pending(), pending()])[1], Heard::Again, "another's asking does not count");
    }

    #[test]
    fn an_error_needs_no_progress() {
        let mut ledger = ledger();
        assert_eq!(hears(&mut ledger, 0, &[pending(), at(0.6), failed()])[2], first(0));
        assert_eq!((ledger.progress(), said(Status::Verifying, 0.6).follows(&at(0.6))), (0.6, true));
        assert!(!said(Status::Completed, 0.5).follows(&at(0.6)));
    }
}
