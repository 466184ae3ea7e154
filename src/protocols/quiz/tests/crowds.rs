//! Many at once: queues have their bounds, and a large quiz is no slower than a small one.

use super::{
    shelf::quiz,
    world::{QUIZ, START, Said, World, answer, conn, force, id, look, refused, start, submit},
};
use crate::{
    protocols::quiz::{
        Channel, FromQuiz, Homes, Settings, ToQuiz,
        asks::{Ask, Refused, Reply},
        attempt,
        letters::Verdict,
        model::{QuizId, Reason, Status},
        record::{Closed, Edit, LoadedAttempt},
        room, sitting, spare,
    },
    realtime::{Moment, StoreFault},
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
fn so_many_attempts_run_at_once_and_no_more() {
    let mut world = World::new();
    let settings = Settings { max_running: 2, ..Settings::default() };
    world.homes = Homes::new(settings, 7, Moment(0));
    assert!(matches!(world.get(start(QUIZ, 1)), Reply::Started(_)));
    world.ask(start(QUIZ, 2));
    assert_eq!(world.get_unkept(start(QUIZ, 3)), Some(Reply::Refused(Refused::Crowded)), "one of them is on its way");
    world.settle();
    assert_eq!(world.get(start(QUIZ, 3)), Reply::Refused(Refused::Crowded));
    world.get(submit(QUIZ, 1));
    assert!(matches!(world.get(start(QUIZ, 3)), Reply::Started(_)));
}

#[test]
fn a_queue_of_a_quiz_has_its_bound() {
    let mut world = World::new();
    world.ask(Ask::Edit { quiz: QUIZ, owner: "owner".into(), edit: Edit::Status(Status::Archived), seen: None });
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

#[test]
fn the_sockets_of_an_attempt_have_their_bound() {
    let mut world = World::watched(10);
    world.get(start(QUIZ, 1));
    world.hush();
    for slot in 0..attempt::SOCKETS as u32 {
        world.admit(conn(0, slot), 1);
    }
    assert!(world.hush().iter().all(|said| matches!(said, Said::Told(_, FromQuiz::Admitted))));
    world.admit(conn(1, 0), 1);
    world.admit(conn(0, 5), 1);
    assert_eq!(world.words(), ["unavailable 0", "admitted 5"]);
    world.part(conn(1, 0), 1);
    world.part(conn(0, 7), 1);
    world.admit(conn(1, 0), 1);
    assert_eq!(world.words(), ["admitted 0"]);
}

/// A quiz that has ended, with so many attempts.
fn put_old(world: &mut World, number: i64, attempts: u128) {
    world.shelf.put(quiz(number, 2));
    let attempts = (0..attempts).map(|n| LoadedAttempt {
        id: id(n),
        participant: id(n + 1_000_000),
        alias: "P".into(),
        event: None,
        started_at: START,
        deadline: None,
        last_answer: None,
        flags: 0,
        end: Some(Closed { attempt: id(n), reason: Reason::Submitted, at: START, score: 0.0, answered_count: 0 }),
        answers: Vec::new(),
    });
    world.shelf.quizzes.get_mut(&QuizId(number)).unwrap().attempts = attempts.collect();
}

#[test]
fn who_asks_for_one_quiz_after_the_other_does_not_have_all_in_memory() {
    let mut world = World::new();
    let attempts = spare::ENTRIES as u128 / 4;
    for number in 1..=10 {
        put_old(&mut world, number, attempts);
        let strangers =
            ToQuiz::Watch { conn: conn(0, 1), quiz: QuizId(number), channel: Channel::Quiz, owner: Some("another".into()) };
        world.letter(strangers);
        world.load();
        world.shelf.quizzes.remove(&QuizId(number));
    }
    assert_eq!((world.homes.population(), world.homes.timers()), ((3, 0), 3));
    let said = world.hush();
    assert!(
        said.len() == 10
            && said.iter().all(|said| matches!(said, Said::Told(_, FromQuiz::Watched { verdict: Verdict::NotOwned, .. })))
    );

    put_old(&mut world, 11, 2 * spare::ENTRIES as u128);
    world.get(look(QuizId(11), 1));
    assert_eq!(world.homes.population(), (1, 0), "the largest alone is not read again for each request");
    assert!(matches!(world.get_unkept(look(QuizId(11), 2)), Some(Reply::Looked(_))));
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
