//! Quizzes that stay in memory though nobody needs them now: the longest unused are forgotten first when they are too many.
//!
//! A quiz is read before anybody can be refused it, so without this bound whoever asks for one quiz after the other, also in vain, would
//! have all of them in memory.

use super::model::QuizId;
use std::collections::BTreeMap;

/// How many attempts and questions the quizzes of one shard that nobody needs have together: some 40 MB. The one used last stays, however
/// large.
pub const ENTRIES: usize = 100_000;

/// See the file.
#[derive(Default)]
pub struct Spare {
    /// Each with its weight, by the time of its last use.
    order: BTreeMap<u64, (QuizId, usize)>,
    last: u64,
    entries: usize,
}

impl Spare {
    /// Nobody needs it from now on. Returns what [`Spare::take`] wants.
    pub fn put(&mut self, quiz: QuizId, entries: usize) -> u64 {
        self.last += 1;
        // One without any takes memory as well.
        let weight = entries + 1;
        self.entries += weight;
        self.order.insert(self.last, (quiz, weight));
        self.last
    }

    /// It is needed, or forgotten.
    pub fn take(&mut self, number: u64) {
        if let Some((_, weight)) = self.order.remove(&number) {
            self.entries -= weight;
        }
    }

    /// One that is to be forgotten.
    pub fn excess(&mut self) -> Option<QuizId> {
        if self.entries <= ENTRIES || self.order.len() < 2 {
            return None;
        }
        let (_, (quiz, weight)) = self.order.pop_first()?;
        self.entries -= weight;
        Some(quiz)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_goes_first_and_the_last_stays() {
        let mut spare = Spare::default();
        let first = spare.put(QuizId(1), ENTRIES / 2);
        spare.put(QuizId(2), ENTRIES / 4);
        assert_eq!(spare.excess(), None);
        spare.take(first);
        spare.take(first);
        spare.put(QuizId(1), ENTRIES / 2);
        spare.put(QuizId(3), 2 * ENTRIES);
        assert_eq!([spare.excess(), spare.excess(), spare.excess()], [Some(QuizId(2)), Some(QuizId(1)), None]);
        assert_eq!(spare.entries, 2 * ENTRIES + 1);
    }
}
