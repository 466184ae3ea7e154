//! Many at once: queues have their bounds, and a large quiz is no slower than a small one.

use super::{
    shelf::quiz,
    world::{QUIZ, Said, World, answer, conn, force, look, refused, start},
};
use crate::{
    protocols::quiz::{
        Channel, FromQuiz, ToQuiz,
        asks::{Ask, Refused, Reply},
        attempt,
        letters::Verdict,
        model::Status,
        record::Edit,
        room, sitting,
    },
    realtime::StoreFault,
};
use std::time::Duration;

#[test]
fn a_queue_of_an_attempt_has_its_bound() {
    let mut world = World::watched(10);
    world.get(start(QUIZ, 1));
    let first = world.ask(answer(QUIZ, 1, 0, true));
    for _ in 0..attempt::WAITING {
        world.ask(look(QUIZ, 1));
    }
    world.hush();
    let crowded = world.ask(look(QUIZ, 1));
    assert_eq!(world.hush(), [refused(crowded, Refused::Crowded)]);
    let forced = world.ask(force(QUIZ));
    world.pass(Duration::from_secs(6));
    let said = world.hush();
    assert_eq!(said.len(), attempt::WAITING + 2, "all have waited too long");
    let number = world.ask(look(QUIZ, 1));
    world.settle();
    assert!(matches!(world.reply(number), Some(Reply::Looked(_))), "who has gone makes room");
    assert!(said.contains(&refused(first, Refused::Store(StoreFault::Busy))));
    assert!(said.contains(&refused(forced, Refused::Store(StoreFault::Busy))), "an end always finds room");
}

#[test]
fn a_queue_of_a_quiz_has_its_bound() {
    let mut world = World::new();
    world.ask(Ask::Edit { quiz: QUIZ, owner: "owner".into(), edit: Edit::Status(Status::Archived) });
    for _ in 1..room::WAITING {
        world.ask(look(QUIZ, 1));
    }
    assert_eq!(world.hush(), []);
    let crowded = world.ask(look(QUIZ, 1));
    assert_eq!(world.hush(), [refused(crowded, Refused::Crowded)]);
    world.load();
    assert_eq!(world.hush(), [], "the edit is on its way");
    let last = world.ask(look(QUIZ, 1));
    assert_eq!(world.hush(), []);
    world.keep();
    assert_eq!(world.hush().last(), Some(&refused(last, Refused::NotFound)));
    world.rest();
    assert!(world.is_empty());
}

#[test]
fn who_has_gone_makes_room_in_the_queue_of_a_quiz() {
    let mut world = World::new();
    for _ in 0..room::WAITING {
        world.ask(look(QUIZ, 1));
    }
    world.pass(Duration::from_secs(6));
    assert_eq!(world.hush().len(), room::WAITING);
    let number = world.ask(look(QUIZ, 1));
    assert_eq!(world.hush(), []);
    world.load();
    assert_eq!(world.hush(), [refused(number, Refused::NotFound)]);
}

#[test]
fn requests_to_end_all_have_their_bound() {
    let mut world = World::watched(0);
    world.get(start(QUIZ, 1));
    let numbers: Vec<u64> = (0..=sitting::FORCES).map(|_| world.ask(force(QUIZ))).collect();
    assert_eq!(world.reply(numbers[sitting::FORCES]), Some(Reply::Refused(Refused::Crowded)));
    world.settle();
    let replies: Vec<Reply> = numbers.iter().filter_map(|number| world.reply(*number)).collect();
    assert_eq!((replies.len(), &replies[0], &replies[1]), (numbers.len(), &Reply::Forced(1), &Reply::Forced(0)));
}

#[test]
fn sockets_that_wait_for_a_quiz_have_their_bound() {
    let mut world = World::new();
    for slot in 0..room::WAITING as u32 {
        world.admit(conn(0, slot), 1);
    }
    world.admit(conn(1, 1), 1);
    world.watch(conn(1, 2), Channel::Quiz);
    world.unwatch(conn(1, 2), Channel::Quiz);
    let watched = FromQuiz::Watched { quiz: QUIZ, channel: Channel::Quiz, verdict: Verdict::Unavailable };
    let expected = [Said::Told(conn(1, 1), FromQuiz::Refused { unknown: false }), Said::Told(conn(1, 2), watched)];
    assert_eq!(world.hush(), expected);
    world.part(conn(0, 0), 1);
    world.settle();
    assert_eq!(world.hush().len(), room::WAITING);
    world.rest();
    assert!(world.is_empty());
}

/// 20,000 take a quiz and answer; the leaderboard is right, and an owner hears of all. That nothing looks at all attempts for each answer
/// shows in the time: it would be 40,000 × 20,000 steps.
#[test]
fn twenty_thousand_take_a_quiz() {
    const ALL: u128 = 20_000;
    let mut quiz = quiz(42, 2);
    quiz.rules.time_limit_seconds = 60;
    let mut world = World::of(quiz);
    world.watch(conn(0, 1), Channel::Leaderboard);
    for n in 1..=ALL {
        world.ask(start(QUIZ, n));
    }
    world.load();
    world.keep_unseen();
    assert_eq!(world.homes.population(), (1, ALL as usize));
    world.pass_ms(250);
    for n in 1..=ALL {
        world.ask(answer(QUIZ, n, 0, n % 3 == 0));
    }
    world.keep_unseen();
    world.hush();
    world.letter(ToQuiz::Snapshot { conn: conn(0, 1), quiz: QUIZ, channel: Channel::Leaderboard });
    let Some(Said::Delivered(_, shown)) = world.hush().pop() else { panic!() };
    let rows = shown["snapshot"].as_array().unwrap();
    assert_eq!(rows.len(), 200);
    assert!(rows.iter().zip(1_u64..).all(|(row, rank)| row["rank"] == rank && row["alias"] == format!("P{}", rank * 3)));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.pending.len(), ALL as usize, "all end at their time");
    world.keep_unseen();
    world.unwatch(conn(0, 1), Channel::Leaderboard);
    world.rest();
    assert!(world.is_empty());
}
