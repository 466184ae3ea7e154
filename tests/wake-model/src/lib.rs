//! Every interleaving and every reordering that the memory model allows, for one who brings work and one who sleeps.

#![allow(clippy::unwrap_used)]
#![cfg(test)]

mod sync {
    pub(super) use loom::sync::atomic::{AtomicU8, Ordering, fence};
}

#[path = "../../../src/runtime/wake.rs"]
#[allow(dead_code)]
mod wake;

use loom::{
    sync::{
        Arc, Notify,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use wake::{Bed, Bell, Door};

/// As an eventfd: a ring that comes before the sleep ends it at once.
struct Eventfd(Notify);

impl Bell for Eventfd {
    fn ring(&self, _: Bed) {
        self.0.notify();
    }
}

/// The queue of a pair, no stronger than it must be: a released count of letters, of which the receiver knows how many it took.
struct House {
    letters: AtomicUsize,
    door: Door<Eventfd>,
}

impl House {
    fn new() -> Arc<House> {
        Arc::new(House { letters: AtomicUsize::new(0), door: Door::new(Eventfd(Notify::new())) })
    }

    fn bring(&self) {
        self.letters.fetch_add(1, Ordering::Release);
        self.door.knock();
    }

    /// A shard's loop: take what is there, sleep when there is nothing. A lost wake-up is a sleep without end, which loom reports
    /// as a deadlock.
    fn take_all(&self, wanted: usize) {
        let mut taken = 0;
        while taken < wanted {
            let there = self.letters.load(Ordering::Acquire);
            if there > taken {
                taken = there;
                continue;
            }
            self.door.lie_down(Bed::Ring);
            if self.letters.load(Ordering::Acquire) == taken {
                self.door.bell().0.wait();
            }
            self.door.rise();
        }
    }
}

#[test]
fn one_bringer_never_leaves_a_letter_with_a_sleeper() {
    loom::model(|| {
        let house = House::new();
        let bringer = house.clone();
        let thread = thread::spawn(move || (0..2).for_each(|_| bringer.bring()));
        house.take_all(2);
        thread.join().unwrap();
    });
}

#[test]
fn two_bringers_never_leave_a_letter_with_a_sleeper() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let house = House::new();
        let threads = [house.clone(), house.clone()].map(|bringer| thread::spawn(move || bringer.bring()));
        house.take_all(2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
