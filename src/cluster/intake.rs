//! How much a node takes of what other services say by the bus: so many a second, and so much that waits for a home's answer.
//!
//! Pure. What is too much is refused at once and counted: whoever says more than is taken hears so, and nothing else waits for it.

use super::outside::Dropped;
use crate::realtime::Moment;
use std::collections::BTreeMap;

/// Messages that wait for a home's answer at most, and their bytes.
pub const WAITING: usize = 1_024;
/// See [`WAITING`].
pub const WAITING_BYTES: usize = 16 << 20;

/// What came and was not answered yet, each with what is kept of it (`R`).
#[derive(Debug)]
pub struct Intake<R> {
    /// A second; as many may come at once.
    rate: u32,
    /// Millionths of a message that may come now.
    allowance: u64,
    counted_at: Moment,
    waiting: BTreeMap<u64, (usize, R)>,
    bytes: usize,
    last: u64,
}

const WHOLE: u64 = 1_000_000;

impl<R> Intake<R> {
    /// Of so many messages a second; 0: of none.
    pub fn new(rate: u32, now: Moment) -> Intake<R> {
        Intake { rate, allowance: u64::from(rate) * WHOLE, counted_at: now, waiting: BTreeMap::new(), bytes: 0, last: 0 }
    }

    /// One more message, of so many bytes. Whether it may go on is asked before it is read.
    ///
    /// # Errors
    /// [`Dropped::Rate`], [`Dropped::Crowded`].
    pub fn admit(&mut self, bytes: usize, now: Moment) -> Result<(), Dropped> {
        let passed = u64::try_from(now.since(self.counted_at).as_micros()).unwrap_or(u64::MAX);
        self.counted_at = now;
        let rate = u64::from(self.rate);
        self.allowance = self.allowance.saturating_add(passed.saturating_mul(rate)).min(rate * WHOLE);
        self.allowance = self.allowance.checked_sub(WHOLE).ok_or(Dropped::Rate)?;
        let has_room = self.waiting.len() < WAITING && self.bytes + bytes <= WAITING_BYTES;
        has_room.then_some(()).ok_or(Dropped::Crowded)
    }

    /// It goes on to its home; its number.
    pub fn send_on(&mut self, bytes: usize, kept: R) -> u64 {
        self.last += 1;
        self.bytes += bytes;
        self.waiting.insert(self.last, (bytes, kept));
        self.last
    }

    /// Its home has answered.
    pub fn settle(&mut self, number: u64) -> Option<R> {
        let (bytes, kept) = self.waiting.remove(&number)?;
        self.bytes -= bytes;
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment(millis * 1_000)
    }

    #[test]
    fn a_second_has_so_many() {
        let mut intake = Intake::<()>::new(10, at(0));
        let taken = |intake: &mut Intake<()>, now| (0..100).filter(|_| intake.admit(1, now).is_ok()).count();
        assert_eq!(taken(&mut intake, at(0)), 10);
        assert_eq!(intake.admit(1, at(99)), Err(Dropped::Rate));
        assert_eq!(taken(&mut intake, at(100)), 1, "what was refused cost nothing");
        assert_eq!(taken(&mut intake, at(600)), 5);
        assert_eq!(taken(&mut intake, at(3_600_000)), 10, "nothing is saved up");
        assert_eq!(taken(&mut Intake::new(0, at(0)), at(5_000)), 0);
    }

    #[test]
    fn what_waits_is_bounded_by_number_and_by_bytes() {
        let mut intake = Intake::new(1_000_000, at(0));
        let numbers: Vec<u64> = (0..WAITING).map(|kept| intake.send_on(1, kept)).collect();
        assert_eq!(intake.admit(1, at(0)), Err(Dropped::Crowded));
        assert_eq!((intake.settle(numbers[3]), intake.settle(numbers[3])), (Some(3), None));
        assert_eq!(intake.admit(1, at(0)), Ok(()));
        let mut intake = Intake::new(1_000_000, at(0));
        let number = intake.send_on(WAITING_BYTES, ());
        assert_eq!(intake.admit(1, at(0)), Err(Dropped::Crowded));
        intake.settle(number);
        assert_eq!(intake.admit(WAITING_BYTES, at(0)), Ok(()));
    }
}
