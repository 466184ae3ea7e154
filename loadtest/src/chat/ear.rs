//! What one connection heard of its session's answers: whether each began and ended once, and told every word once and in order.

use super::{contract::Word, order::Name};

/// See the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ear {
    session: u32,
    /// Answers that began, and that ended.
    begun: u32,
    pub(super) ended: u32,
    is_in: bool,
    /// The number of the next word.
    pub(super) next: u32,
    /// When the word before was heard, and when it was sent.
    last: Option<(u64, Option<u64>)>,
}

/// What a word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The next of its answer; what was heard and sent before it, none for the first.
    Next(Option<(u64, Option<u64>)>),
    /// Another than the next: one was lost, or came twice, or is of another answer.
    Wrong,
    /// No answer was being given.
    Stray,
}

impl Ear {
    /// Of a session of which nothing was heard.
    pub(super) fn new(session: u32) -> Ear {
        Ear { session, ..Ear::default() }
    }

    /// Which answer is being given, or was given last.
    pub(super) fn answer(&self) -> Name {
        Name { session: self.session, message: self.begun.saturating_sub(1) }
    }

    /// An answer begins. False: another has not ended.
    pub(super) fn start(&mut self) -> bool {
        let is_right = !self.is_in;
        (self.is_in, self.begun, self.next, self.last) = (true, self.begun + 1, 0, None);
        is_right
    }

    /// A word of it was heard.
    pub(super) fn word(&mut self, word: Word, now_ns: u64) -> Place {
        if !self.is_in {
            return Place::Stray;
        }
        let is_ours = word.answer.is_none_or(|answer| answer == self.answer());
        let is_next = is_ours && word.number == self.next;
        if is_ours {
            self.next = self.next.max(word.number + 1);
        }
        let before = self.last.replace((now_ns, word.sent_ns));
        if is_next { Place::Next(before) } else { Place::Wrong }
    }

    /// It ends. False: none was being given.
    pub(super) fn end(&mut self) -> bool {
        let is_right = std::mem::take(&mut self.is_in);
        self.ended += u32::from(is_right);
        is_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(message: u32, number: u32) -> Word {
        Word { answer: Some(Name { session: 7, message }), number, sent_ns: Some(u64::from(number)) }
    }

    fn heard(numbers: &[u32]) -> Vec<bool> {
        let mut ear = Ear::new(7);
        assert!(ear.start());
        numbers.iter().map(|number| matches!(ear.word(word(0, *number), 9), Place::Next(_))).collect()
    }

    #[test]
    fn what_is_lost_doubled_or_swapped_shows() {
        assert_eq!(heard(&[0, 1, 2, 3]), [true; 4]);
        assert_eq!(heard(&[0, 2, 3]), [true, false, true], "lost");
        assert_eq!(heard(&[0, 1, 1, 2]), [true, true, false, true], "doubled");
        assert_eq!(heard(&[0, 2, 1, 3]), [true, false, false, true], "swapped");
    }

    #[test]
    fn an_answer_begins_and_ends_once_and_has_its_own_words() {
        let mut ear = Ear::new(7);
        assert_eq!((ear.word(word(0, 0), 1), ear.end()), (Place::Stray, false));
        assert!(ear.start());
        assert_eq!((ear.word(word(1, 0), 1), ear.word(word(0, 0), 2)), (Place::Wrong, Place::Next(Some((1, Some(0))))));
        assert!(!ear.start(), "the one before has not ended");
        assert_eq!((ear.answer().message, ear.end(), ear.end(), ear.ended), (1, true, false, 1));
        assert_eq!(ear.word(word(1, 0), 3), Place::Stray, "after the end");
    }

    #[test]
    fn the_first_word_has_none_before_it() {
        let mut ear = Ear::new(7);
        ear.start();
        assert_eq!(ear.word(word(0, 0), 5), Place::Next(None));
        assert_eq!(ear.word(word(0, 1), 8), Place::Next(Some((5, Some(0)))));
    }
}
