//! The promise between one that sleeps and those that bring it work: no work is left lying while it sleeps.
//!
//! The bringer: put the work where it belongs, then [`Door::knock`]. The sleeper: [`Door::lie_down`], look once more at every
//! place where work may lie, sleep only if all are empty, then [`Door::rise`]. Each side writes, fences, and reads what the other
//! wrote; with both fences (SeqCst) at least one of them sees the other, so either the bringer knocks or the sleeper finds the
//! work. Without one of them both could miss.

use super::sync::{AtomicU8, Ordering, fence};

/// Where somebody sleeps, and so what wakes him.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Bed {
    /// In a ring of his own.
    Ring = 1,
    /// In a reactor.
    Reactor = 2,
}

const AWAKE: u8 = 0;
const IN_RING: u8 = Bed::Ring as u8;

/// How a sleeper is woken.
pub(super) trait Bell {
    /// Ends the sleep that is or the next that comes there. Never blocks.
    fn ring(&self, bed: Bed);
}

/// The door of one sleeper.
#[derive(Debug)]
pub(super) struct Door<B> {
    /// Where, if so.
    asleep: AtomicU8,
    bell: B,
}

impl<B: Bell> Door<B> {
    /// Someone who is awake behind a door with this bell.
    pub(super) fn new(bell: B) -> Door<B> {
        Door { asleep: AtomicU8::new(AWAKE), bell }
    }

    /// By the bringer, after the work was put down. True when the bell was rung, which happens at most once for each sleep.
    pub(super) fn knock(&self) -> bool {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) == AWAKE {
            return false;
        }
        let bed = match self.asleep.swap(AWAKE, Ordering::Relaxed) {
            AWAKE => return false,
            IN_RING => Bed::Ring,
            _ => Bed::Reactor,
        };
        self.bell.ring(bed);
        true
    }

    /// By the sleeper, before it looks once more.
    pub(super) fn lie_down(&self, bed: Bed) {
        // An exchange, so that this sleep has its place in one order with the exchanges of all knocks: a late knock for the sleep
        // before this one either is over or wakes this one.
        self.asleep.swap(bed as u8, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// By the sleeper, when it is up again.
    pub(super) fn rise(&self) {
        self.asleep.store(AWAKE, Ordering::Relaxed);
    }

    /// The bell itself.
    pub(super) fn bell(&self) -> &B {
        &self.bell
    }
}
