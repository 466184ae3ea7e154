//! How attempts end: in time, by force, once.

use super::{
    shelf::quiz,
    world::{QUIZ, START, Said, World, answer, conn, flags, force, id, look, refused, start, submit, wall},
};
use crate::{
    protocols::quiz::{
        Channel, QuizId,
        asks::{Ask, Refused, Reply},
        model::Reason,
        record::{Closed, Record},
    },
    realtime::StoreFault,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// With attempt 1 running, for ten seconds, and socket 7 of its participant.
fn limited() -> World {
    let mut world = World::watched(10);
    world.get(start(QUIZ, 1));
    world.admit(conn(0, 7), 1);
    world.hush();
    world
}

fn end(world: &World, n: u128) -> Option<Closed> {
    world.shelf.attempt(id(n)).unwrap().end
}

#[test]
fn time_is_up_exactly_at_the_deadline() {
    let mut world = limited();
    world.pass(10 * SECOND - Duration::from_micros(1));
    assert!(world.pending.is_empty());
    world.pass_ms(5);
    let closed = Closed { attempt: id(1), reason: Reason::TimeUp, at: wall(START, 10 * SECOND), score: 0.0, answered_count: 0 };
    assert_eq!(world.pending[0].1, Record::Closed(closed));
    assert_eq!(world.hush(), []);
    world.keep();
    let said = world.hush();
    let Said::Published(.., finished) = &said[0] else { panic!() };
    assert_eq!(finished["data"]["time_taken_ms"], 10_000);
    let Said::Delivered(_, closed) = &said[1] else { panic!() };
    assert_eq!((&closed["data"]["reason"], &closed["data"]["answered_count"]), (&"time_up".into(), &0.into()));
    world.pass(3_600 * SECOND);
    assert_eq!(world.hush(), [], "once");
}

#[test]
fn an_ask_at_the_deadline_finds_it_over_before_the_wheel_has_turned() {
    for late in [Duration::ZERO, SECOND] {
        let mut world = limited();
        world.pass_unseen(10 * SECOND + late);
        world.admit(conn(0, 8), 1);
        let answered = world.ask(answer(QUIZ, 1, 0, true));
        let submitted = world.ask(submit(QUIZ, 1));
        let looked = world.ask(look(QUIZ, 1));
        world.turn();
        world.settle();
        let told = ["unknown 8", "attempt_finished", "attempt_closed to 7", "over to 7"].map(String::from).to_vec();
        let replies = [format!("{answered}: Over"), format!("{submitted}: Over"), format!("{looked}: Looked")];
        let Some(Reply::Looked(view)) = world.reply(looked) else { panic!() };
        assert_eq!(world.words(), [told, replies.to_vec()].concat());
        let end = view.end.unwrap();
        assert_eq!((end.reason, end.at), (Reason::TimeUp, wall(START, 10 * SECOND)));
    }
}

#[test]
fn what_came_before_the_deadline_counts_however_long_the_store_takes() {
    let mut world = limited();
    world.pass(9 * SECOND);
    let first = world.ask(answer(QUIZ, 1, 0, true));
    let second = world.ask(answer(QUIZ, 1, 1, true));
    world.pass(2 * SECOND);
    let third = world.ask(answer(QUIZ, 1, 2, true));
    world.settle();
    let at = wall(START, 9 * SECOND);
    for number in [first, second] {
        assert!(matches!(world.reply(number), Some(Reply::Answered { at: answered, .. }) if answered == at));
    }
    assert_eq!(world.reply(third), Some(Reply::Refused(Refused::Over)));
    let end = end(&world, 1).unwrap();
    assert_eq!((end.reason, end.at, end.answered_count), (Reason::TimeUp, wall(START, 10 * SECOND), 2));
    let told = ["attempt_update", "2: Answered", "attempt_update", "3: Answered", "attempt_finished", "attempt_closed to 7"];
    assert_eq!(world.words(), [&told[..], &["over to 7", "4: Over"]].concat());
}

#[test]
fn a_submission_before_the_deadline_is_the_end_also_when_it_is_written_after() {
    let mut world = limited();
    world.pass(9 * SECOND);
    world.ask(submit(QUIZ, 1));
    world.pass(2 * SECOND);
    world.settle();
    assert_eq!(end(&world, 1).map(|end| (end.reason, end.at)), Some((Reason::Submitted, wall(START, 9 * SECOND))));
    world.rest();
    assert_eq!(world.words().iter().filter(|word| *word == "attempt_finished").count(), 1);

    let mut world = limited();
    world.pass(9 * SECOND);
    let number = world.ask(submit(QUIZ, 1));
    world.pass(2 * SECOND);
    world.fail(StoreFault::Failed);
    world.settle();
    assert_eq!(world.reply(number), Some(Reply::Refused(Refused::Store(StoreFault::Failed))));
    assert_eq!(end(&world, 1).map(|end| end.reason), Some(Reason::TimeUp), "it was not submitted");
}

#[test]
fn an_end_that_could_not_be_written_is_tried_again_and_no_answer_taken_meanwhile() {
    let mut world = limited();
    world.pass(10 * SECOND + Duration::from_millis(5));
    let number = world.ask(answer(QUIZ, 1, 0, true));
    for _ in 0..40 {
        world.ask(answer(QUIZ, 1, 0, true));
    }
    assert_eq!(world.hush(), [], "the end waits once, however many come after it");
    for pause in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
        world.fail(StoreFault::Busy);
        world.pass_ms(pause - 1);
        assert!(world.pending.is_empty(), "{pause} ms have not passed");
        world.pass_ms(7);
        let Record::Closed(closed) = &world.pending[0].1 else { panic!() };
        assert_eq!((closed.reason, closed.at), (Reason::TimeUp, wall(START, 10 * SECOND)));
    }
    world.keep();
    let words = world.words();
    assert_eq!(words[0], format!("{number}: Store(Busy)"), "who asked has waited too long");
    assert_eq!(words[41..], ["attempt_finished", "attempt_closed to 7", "over to 7"]);
    assert_eq!(world.homes.timers(), 0);
}

#[test]
fn an_end_that_was_on_disk_though_the_store_said_no_is_an_end() {
    let mut world = limited();
    world.pass(10 * SECOND + Duration::from_millis(5));
    world.fail(StoreFault::Failed);
    world.pass_ms(110);
    world.miss();
    assert_eq!(world.words(), ["attempt_finished", "attempt_closed to 7", "over to 7"]);
    world.pass(60 * SECOND);
    assert!(world.pending.is_empty(), "it is not tried for ever");

    let mut world = limited();
    let failed = world.ask(submit(QUIZ, 1));
    world.fail(StoreFault::Failed);
    let again = world.ask(submit(QUIZ, 1));
    world.miss();
    let words = world.words();
    assert_eq!(words[0], format!("{failed}: Store(Failed)"));
    assert_eq!(
        words[1..],
        ["attempt_finished", "attempt_closed to 7", "over to 7", &format!("{again}: Submitted")].map(String::from)
    );

    let mut world = limited();
    let forced = world.ask(force(QUIZ));
    world.miss();
    assert_eq!(world.reply(forced), Some(Reply::Forced(1)));
    assert_eq!(world.homes.population(), (1, 0));
}

#[test]
fn a_clock_set_back_gives_time_and_one_set_forward_takes_it() {
    let mut world = limited();
    world.now.wall.0 -= 3_000_000;
    world.pass(11 * SECOND);
    assert!(world.pending.is_empty());
    world.pass(3 * SECOND);
    assert!(matches!(&world.pending[0].1, Record::Closed(closed) if closed.at == wall(START, 10 * SECOND)));

    let mut world = limited();
    world.now.wall.0 += 10_000_000;
    assert_eq!(world.get(answer(QUIZ, 1, 0, true)), Reply::Refused(Refused::Over));
}

#[test]
fn force_ends_all_that_run_and_answers_when_they_are_on_disk() {
    let mut world = limited();
    world.shelf.put(quiz(43, 1));
    for n in 2..=4 {
        world.get(start(QUIZ, n));
    }
    world.get(start(QuizId(43), 9));
    world.get(submit(QUIZ, 4));
    world.get(answer(QUIZ, 2, 4, true));
    world.hush();
    world.pass(SECOND);
    let number = world.ask(force(QUIZ));
    for left in (0..3).rev() {
        world.keep();
        assert_eq!(world.reply(number).is_some(), left == 0);
    }
    assert_eq!(world.reply(number), Some(Reply::Forced(3)));
    let told = ["attempt_finished", "attempt_closed to 7", "over to 7", "attempt_finished", "attempt_finished"];
    assert_eq!(world.words(), [&told[..], &[&*format!("{number}: Forced")]].concat());
    for n in 1..=3 {
        let end = end(&world, n).unwrap();
        assert_eq!((end.reason, end.at), (Reason::ForcedByOwner, wall(START, SECOND)));
    }
    assert_eq!(end(&world, 2).unwrap().score, 0.5);
    assert_eq!(end(&world, 4).unwrap().reason, Reason::Submitted);
    assert_eq!(end(&world, 9), None, "of another quiz");
    assert_eq!(world.get(force(QUIZ)), Reply::Forced(0));
}

#[test]
fn force_is_the_owners_and_may_mean_one_event() {
    let mut world = World::watched(0);
    for (n, event) in [(1, Some(id(70))), (2, Some(id(71))), (3, None)] {
        let Ask::Start { quiz, attempt, entrant, pass, .. } = start(QUIZ, n) else { panic!() };
        world.get(Ask::Start { quiz, attempt, entrant, pass, event });
    }
    let strangers = Ask::Force { quiz: QUIZ, owner: "another".into(), event: None };
    assert_eq!(world.get(strangers), Reply::Refused(Refused::NotFound));
    let of = |event| Ask::Force { quiz: QUIZ, owner: "owner".into(), event: Some(event) };
    assert_eq!(world.get(of(id(72))), Reply::Forced(0));
    assert_eq!(world.get(of(id(70))), Reply::Forced(1));
    assert_eq!((1..=3).map(|n| end(&world, n).is_some()).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn force_goes_on_when_the_store_fails_and_counts_what_it_ended_itself() {
    let mut world = limited();
    world.get(start(QUIZ, 2));
    world.get(start(QUIZ, 3));
    let submitted = world.ask(submit(QUIZ, 1));
    let first = world.ask(force(QUIZ));
    let second = world.ask(force(QUIZ));
    let answered = world.ask(answer(QUIZ, 2, 0, true));
    world.keep();
    assert!(matches!(world.reply(submitted), Some(Reply::Submitted(_))));
    world.fail(StoreFault::Failed);
    assert!(world.reply(first).is_none());
    world.keep();
    world.pass_ms(110);
    world.keep();
    assert_eq!(world.reply(first), Some(Reply::Forced(2)));
    assert_eq!(world.reply(second), Some(Reply::Forced(0)));
    assert_eq!(world.reply(answered), Some(Reply::Refused(Refused::Over)));
}

#[test]
fn force_after_a_deadline_comes_too_late() {
    let mut world = limited();
    world.pass_unseen(10 * SECOND);
    assert_eq!(world.get(force(QUIZ)), Reply::Forced(0));
    assert_eq!(end(&world, 1).map(|end| end.reason), Some(Reason::TimeUp));
}

#[test]
fn an_owner_who_waits_too_long_is_told_so_and_the_ends_come() {
    let mut world = limited();
    let number = world.ask(force(QUIZ));
    world.pass(6 * SECOND);
    assert_eq!(world.hush(), [refused(number, Refused::Store(StoreFault::Busy))]);
    world.keep();
    assert_eq!(world.words(), ["attempt_finished", "attempt_closed to 7", "over to 7"]);
    world.unwatch(conn(0, 1), Channel::Quiz);
    world.rest();
    assert!(world.is_empty());
}

#[test]
fn an_owner_who_ends_a_crowd_waits_as_long_as_it_goes_on() {
    let mut world = World::watched(0);
    (1..=5).for_each(|n| drop(world.get(start(QUIZ, n))));
    let stalled = world.ask(force(QUIZ));
    for _ in 1..=4 {
        world.pass(4 * SECOND);
        world.keep();
    }
    world.pass(5 * SECOND - Duration::from_millis(50));
    assert_eq!(world.reply(stalled), None, "sixteen seconds, and never five without an end");
    world.pass_ms(100);
    assert_eq!(world.reply(stalled), Some(Reply::Refused(Refused::Store(StoreFault::Busy))));
    let repeated = world.ask(force(QUIZ));
    world.keep();
    assert_eq!(world.reply(repeated), Some(Reply::Forced(0)), "the first ended it after all");
    assert!((1..=5).all(|n| end(&world, n).is_some()));
}

#[test]
fn what_was_overdue_at_the_start_is_closed_at_its_deadline() {
    let mut world = limited();
    world.get(answer(QUIZ, 1, 3, true));
    world.pass(5 * SECOND);
    world.get(start(QUIZ, 2));
    let mut after = World::new();
    after.shelf = world.shelf.clone();
    after.now.wall = wall(START, 12 * SECOND);
    after.act(|homes, now, out| homes.running(&[QUIZ], now, out));
    after.ask(answer(QUIZ, 1, 4, true));
    after.fail_load(StoreFault::Busy);
    assert_eq!(after.words(), ["1: Store(Busy)"]);
    for pause in [100, 200, 400] {
        after.pass_ms(pause - 1);
        assert!(after.loads.is_empty(), "{pause} ms have not passed");
        after.pass_ms(7);
        after.fail_load(StoreFault::Busy);
    }
    after.pass_ms(810);
    assert_eq!(after.loads.len(), 1, "it is read until that succeeds");
    after.watch(conn(0, 1), Channel::Quiz);
    after.settle();
    assert_eq!(after.words(), ["Granted 1", "attempt_finished"]);
    let ended = end(&after, 1).unwrap();
    let expected = (Reason::TimeUp, wall(START, 10 * SECOND), 1, 0.4);
    assert_eq!((ended.reason, ended.at, ended.answered_count, ended.score), expected);
    assert!(matches!(after.get(answer(QUIZ, 2, 0, true)), Reply::Answered { answered_count: 1, .. }));
    after.pass(3 * SECOND);
    after.settle();
    assert_eq!(end(&after, 2).map(|end| end.at), Some(wall(START, 15 * SECOND)));
    after.unwatch(conn(0, 1), Channel::Quiz);
    after.rest();
    assert!(after.is_empty());
}

#[test]
fn an_answer_that_came_in_time_while_the_quiz_was_read_counts() {
    let mut world = limited();
    let mut after = World::new();
    after.shelf = world.shelf.clone();
    after.now.wall = wall(START, 9 * SECOND);
    after.act(|homes, now, out| homes.running(&[QUIZ], now, out));
    let early = after.ask(answer(QUIZ, 1, 0, true));
    after.pass(2 * SECOND);
    let late = after.ask(answer(QUIZ, 1, 1, true));
    after.settle();
    assert!(matches!(after.reply(early), Some(Reply::Answered { .. })));
    assert_eq!(after.reply(late), Some(Reply::Refused(Refused::Over)));
    assert_eq!(end(&after, 1).map(|end| (end.answered_count, end.score)), Some((1, 0.1)));
    let Reply::Started(view) = world.get(start(QUIZ, 5)) else { panic!() };
    assert!(view.answered.is_empty());
    assert!(matches!(world.get(flags(QUIZ, 5, &["A"])), Reply::Flagged { .. }));
}
