//! Thousands of worlds.

use super::world::{Fault, World};

const SEEDS: u64 = 3000;
const STEPS: usize = 120;

fn live(seed: u64, fault: Option<Fault>) -> Result<(), String> {
    let mut world = World::new(seed, fault);
    (0..STEPS).try_for_each(|_| world.step())?;
    world.settle()
}

#[test]
fn letters_come_once_and_in_order_or_both_ends_are_told() {
    for seed in 0..SEEDS {
        if let Err(wrong) = live(seed, None) {
            panic!("seed {seed}: {wrong}");
        }
    }
}

#[test]
fn planted_faults_are_found() {
    for fault in Fault::ALL {
        assert!((0..200).any(|seed| live(seed, Some(fault)).is_err()), "{fault:?} is not found");
    }
}
