//! What was read of a connection and its machine has not heard.

/// Bytes in their order. Taking a part of them moves none of the others: much may wait, and it is told in small parts.
#[derive(Default, Debug)]
pub(super) struct Unheard {
    bytes: Vec<u8>,
    /// So many of them were taken.
    taken: usize,
}

impl Unheard {
    /// These alone.
    pub(super) fn of(bytes: &[u8]) -> Unheard {
        Unheard { bytes: bytes.to_vec(), taken: 0 }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Whether none wait.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// More behind them.
    pub(super) fn push(&mut self, more: &[u8]) {
        // What is moved then is less than what was taken since it last was.
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// The first of them, at most so many.
    pub(super) fn take(&mut self, most: usize) -> Vec<u8> {
        let end = self.taken + self.len().min(most);
        let part = self.bytes[self.taken..end].to_vec();
        self.taken = end;
        if self.is_empty() {
            *self = Unheard::default();
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_taken_once_and_in_order() {
        let mut unheard = Unheard::of(&[0, 1, 2]);
        let (mut pushed, mut heard) = (3, Vec::new());
        for turn in 0..200_usize {
            let more: Vec<u8> = (pushed..pushed + turn % 7).map(|byte| byte as u8).collect();
            pushed += more.len();
            unheard.push(&more);
            heard.extend(unheard.take(turn % 4));
            assert_eq!(heard.len() + unheard.len(), pushed);
        }
        while !unheard.is_empty() {
            heard.extend(unheard.take(5));
        }
        assert!((0..pushed).map(|byte| byte as u8).eq(heard));
        assert_eq!((unheard.bytes.capacity(), unheard.take(9)), (0, Vec::new()), "nothing is left over");
    }

    #[test]
    fn what_was_taken_does_not_stay_for_ever() {
        let mut unheard = Unheard::default();
        for _ in 0..10_000 {
            unheard.push(&[7; 100]);
            assert_eq!(unheard.take(99).len(), 99.min(unheard.len() + 99));
        }
        assert!(unheard.bytes.len() <= 2 * unheard.len() + 100, "{} of {}", unheard.bytes.len(), unheard.len());
    }
}
