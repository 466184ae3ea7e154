//! What was published to each room, and what each student has heard of it: over however many connections, each message once.

use crate::order::Order;

/// What became of a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Not known yet.
    Open,
    /// Answered: whoever was in hears it once.
    Answered,
    /// Its connection ended before the answer, or it was refused: whoever was in hears it once or not at all.
    Unsure,
}

/// One publish.
#[derive(Clone, Copy, Debug)]
struct Sent {
    sent_ns: u64,
    fate: Fate,
}

/// The publishes of a worker's own rooms, each room's in the order in which they were sent.
pub(super) struct Book {
    classrooms: u64,
    /// This worker's rooms, and what was published to each.
    rooms: Vec<(u64, Vec<Sent>)>,
    /// How many were begun.
    begun: u64,
}

/// Which publishes of his room a student has heard.
#[derive(Clone, Default, Debug)]
pub(super) struct Heard(Vec<u64>);

/// What a student should have heard, and has.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Account {
    /// Answered publishes that were sent when he was in; those of them that he did not hear.
    pub(super) meant: u64,
    pub(super) missed: u64,
    /// Those without an answer that he heard.
    pub(super) unsure: u64,
}

impl Heard {
    /// Notes one. False: it was heard before.
    fn note(&mut self, place: u64) -> bool {
        let (word, bit) = ((place / 64) as usize, 1 << (place % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word & 1 << (place % 64) != 0)
    }
}

impl Book {
    pub(super) fn new(order: &Order) -> Book {
        let mine = |room: &u64| room % u64::from(order.workers.max(1)) == u64::from(order.worker);
        let classrooms = u64::from(order.classrooms.max(1));
        Book { classrooms, rooms: (0..classrooms).filter(mine).map(|room| (room, Vec::new())).collect(), begun: 0 }
    }

    /// Whether this worker publishes to nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The number of the next publish in the whole run: rooms take turns.
    pub(super) fn next_number(&self) -> u64 {
        let (round, turn) = (self.begun / self.rooms.len() as u64, self.begun % self.rooms.len() as u64);
        round * self.classrooms + self.rooms[turn as usize].0
    }

    /// The next publish is being sent; its number and its room.
    pub(super) fn begin(&mut self, sent_ns: u64) -> (u64, u32) {
        let (number, turn) = (self.next_number(), self.begun % self.rooms.len() as u64);
        self.begun += 1;
        let (room, book) = &mut self.rooms[turn as usize];
        book.push(Sent { sent_ns, fate: Fate::Open });
        (number, *room as u32)
    }

    /// It is known what became of a publish.
    pub(super) fn decide(&mut self, number: u64, fate: Fate) {
        if let Some(sent) = self.turn(number).and_then(|turn| self.rooms[turn].1.get_mut((number / self.classrooms) as usize)) {
            sent.fate = fate;
        }
    }

    fn turn(&self, number: u64) -> Option<usize> {
        self.rooms.binary_search_by_key(&(number % self.classrooms), |(room, _)| *room).ok()
    }

    /// A student of this room has heard a publish. False where he had before. Nothing of a publish that is not of his room.
    pub(super) fn heard(&self, heard: &mut Heard, room: u32, number: u64) -> Option<bool> {
        let turn = self.turn(number).filter(|turn| self.rooms[*turn].0 == u64::from(room))?;
        let place = number / self.classrooms;
        (place < self.rooms[turn].1.len() as u64).then(|| heard.note(place))
    }

    /// What became of all that was published to this room since this moment.
    pub(super) fn account(&self, heard: &Heard, room: u32, since_ns: u64) -> Account {
        let Some(turn) = self.turn(room.into()) else { return Account::default() };
        let mut account = Account::default();
        for (place, sent) in self.rooms[turn].1.iter().enumerate() {
            match sent.fate {
                Fate::Answered if sent.sent_ns > since_ns => {
                    account.meant += 1;
                    account.missed += u64::from(!heard.has(place));
                }
                Fate::Unsure => account.unsure += u64::from(heard.has(place)),
                Fate::Answered | Fate::Open => {}
            }
        }
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        Book { classrooms: 4, rooms: vec![(1, Vec::new()), (3, Vec::new())], begun: 0 }
    }

    #[test]
    fn rooms_take_turns_and_numbers_tell_whose_a_publish_is() {
        let mut book = book();
        assert_eq!((0..4).map(|at| book.begin(at)).collect::<Vec<_>>(), [(1, 1), (3, 3), (5, 1), (7, 3)]);
        let mut heard = Heard::default();
        assert_eq!([7, 7, 5, 11].map(|number| book.heard(&mut heard, 3, number)), [Some(true), Some(false), None, None]);
    }

    #[test]
    fn only_what_was_answered_and_sent_while_he_was_in_can_be_missed() {
        let mut book = book();
        let numbers: Vec<u64> = (0..10).map(|at| book.begin(at * 10).0).collect();
        for number in &numbers {
            book.decide(*number, Fate::Answered);
        }
        // Room 1: sent at 0, 20, 40, 60, 80. In since 20; that of 40 was not answered, that of 60 not heard.
        book.decide(numbers[4], Fate::Unsure);
        let mut heard = Heard::default();
        for number in [numbers[4], numbers[8]] {
            assert_eq!(book.heard(&mut heard, 1, number), Some(true));
        }
        assert_eq!(book.account(&heard, 1, 20), Account { meant: 2, missed: 1, unsure: 1 });
    }
}
