//! How a school's work spreads over shards: letters between them, how many wait, and how evenly all is dealt. Everything is counted, so
//! the figures are the same on every machine.

use crate::house::{House, Tally};
use homeroom::{
    engine::Counters,
    protocols::presence::asks::{Ask, Publication},
    realtime::ClassroomId,
};
use serde::Serialize;
use std::task::Waker;

/// Between a connection and its home, of one that nobody was in the seat of: that it comes, and that it may sit.
const LETTERS_A_SIGN_IN: f64 = 2.0;

/// Of one number of shards.
#[derive(Serialize, Debug)]
pub(crate) struct Spread {
    shards: u16,
    rooms: u32,
    /// Of each room. They come to any shard, as the kernel deals connections.
    members: u32,
    /// Letters between shards for each sign-in.
    letters_a_sign_in: f64,
    /// The same by chance alone: see [`expected_sign_in`].
    expected_letters_a_sign_in: f64,
    /// Letters between shards for each event that REST publishes, at any shard.
    letters_an_event: f64,
    /// The same by chance alone: the ask and its reply, when the home is another shard, and one to each other shard that has a member.
    expected_letters_an_event: f64,
    /// Letters that waited for one shard at most, when an event was published in all rooms in one turn.
    deepest_queue: u64,
    /// As many as all letters of the fullest moment would be for each shard, were they dealt evenly.
    mean_queue: f64,
    /// Of the fullest shard, in times of the mean.
    most_of_mean: Balance,
}

#[derive(Serialize, Debug)]
struct Balance {
    /// Members connected.
    connections: f64,
    /// Rooms at home.
    homes: f64,
    /// Letters read.
    letters: f64,
    /// Sends.
    sends: f64,
}

/// A school with `rooms` of `members` each on so many shards; an event in each.
pub(crate) fn spread(shards: u16, rooms: u32, members: u32) -> Spread {
    let mut house = House::new(shards);
    let room = |room: u32| ClassroomId::from_u128(0xC1A5 << 64 | u128::from(room));
    for number in 0..rooms * members {
        house.member(dealt(number, shards), room(number % rooms), &format!("student-{number}"));
    }
    let people = u64::from(rooms * members);
    assert_eq!(house.sum(|counters| counters.presence_live.read()), people, "everybody is in");
    let letters_in: u64 = house.tally.letters.iter().sum();
    let none = vec![0; usize::from(shards)];
    house.tally = Tally { letters: none.clone(), sends: none, ..Tally::default() };
    let asked: Vec<(usize, u64)> =
        (0..rooms).map(|number| publish(&mut house, dealt(number ^ 0x5555, shards), room(number))).collect();
    house.run();
    for (shard, number) in asked {
        assert!(house.engines[shard].poll_reply(number, Waker::noop()).is_ready(), "every request is answered");
    }
    type Read = fn(&Counters) -> u64;
    let levels = |read: Read| -> Vec<u64> { house.engines.iter().map(|engine| read(engine.counters())).collect() };
    let delivered: u64 = house.sum(|counters| counters.delivered.read());
    assert_eq!(delivered, people, "each member heard his room's event");
    let letters: u64 = house.tally.letters.iter().sum();
    Spread {
        shards,
        rooms,
        members,
        letters_a_sign_in: letters_in as f64 / people as f64,
        expected_letters_a_sign_in: expected_sign_in(shards),
        letters_an_event: letters as f64 / f64::from(rooms),
        expected_letters_an_event: expected(shards, members),
        deepest_queue: house.tally.deepest,
        mean_queue: house.tally.most as f64 / f64::from(shards),
        most_of_mean: Balance {
            connections: most_of_mean(&levels(|counters| counters.connections.read())),
            homes: most_of_mean(&levels(|counters| counters.rooms.read())),
            letters: most_of_mean(&house.tally.letters),
            sends: most_of_mean(&house.tally.sends),
        },
    }
}

fn publish(house: &mut House, shard: usize, classroom: ClassroomId) -> (usize, u64) {
    let (entity_type, operation) = ("board".into(), "drawn".into());
    let event = Publication { entity_type, operation, sequence_id: None, payload: "{}".into(), receiver: None, sender: None };
    (shard, house.engines[shard].ask(Ask::Publish { classroom, event }))
}

/// A shard as the kernel would choose it: by a hash.
fn dealt(number: u32, shards: u16) -> usize {
    let mixed = u64::from(number).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    ((mixed >> 32) % u64::from(shards)) as usize
}

/// The letters that a connection and its home write each other until the member has a seat, unless they are on one shard.
fn expected_sign_in(shards: u16) -> f64 {
    LETTERS_A_SIGN_IN * (1.0 - 1.0 / f64::from(shards))
}

/// There and back, unless the home is the shard that was asked; and each other shard that has one of the members.
fn expected(shards: u16, members: u32) -> f64 {
    let shards = f64::from(shards);
    let elsewhere = 1.0 - 1.0 / shards;
    2.0 * elsewhere + (shards - 1.0) * (1.0 - elsewhere.powf(f64::from(members)))
}

/// 1 where nothing is counted at all.
fn most_of_mean(counts: &[u64]) -> f64 {
    let (most, sum) = (counts.iter().max().copied().unwrap_or_default(), counts.iter().sum::<u64>());
    if sum == 0 { 1.0 } else { most as f64 * counts.len() as f64 / sum as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_writes_no_letters_and_more_write_what_chance_expects() {
        let alone = spread(1, 8, 5);
        assert_eq!((alone.letters_an_event, alone.letters_a_sign_in, alone.expected_letters_an_event), (0.0, 0.0, 0.0));
        let four = spread(4, 64, 5);
        let off = four.letters_an_event / four.expected_letters_an_event;
        assert!((0.8..1.2).contains(&off), "{four:?}");
        assert!(four.deepest_queue > 0 && four.most_of_mean.sends >= 1.0, "{four:?}");
    }

    #[test]
    fn the_same_school_spreads_the_same_way() {
        assert_eq!(format!("{:?}", spread(3, 20, 4)), format!("{:?}", spread(3, 20, 4)));
    }

    #[test]
    fn shares_are_those_of_the_fullest() {
        assert_eq!([most_of_mean(&[1, 3]), most_of_mean(&[2, 2]), most_of_mean(&[0, 0])], [1.5, 1.0, 1.0]);
    }
}
