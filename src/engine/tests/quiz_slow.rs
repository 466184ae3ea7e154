//! Owners of quizzes who read slowly, or not at all.

use super::{
    quiz_scripts::{force, submit},
    quizzes::*,
    world::*,
};
use crate::{
    engine::Limits,
    protocols::quiz::{QuizId, asks::Reply},
};
use std::time::Duration;

#[test]
fn an_owner_who_reads_slowly_may_have_more_waiting_than_others() {
    let limits = Limits { outbox_bytes: 1 << 10, ..Limits::default() };
    let mut world = World::with(1, Default::default(), limits);
    world.library.quizzes.insert(QuizId(1), quiz(1, "a", 0));
    let owner = world.owner(0, "a", &["quiz:1"]);
    world.stalled.push(owner);
    for n in 0..40 {
        world.start(0, 1, &format!("participant {n}"));
    }
    assert_eq!(world.ask_quiz(0, force(1, "school/a")), Reply::Forced(40));
    assert_eq!(world.engines[0].counters().slow_readers.read(), 0);
    world.leave_all(&[owner]);
}

#[test]
fn lists_do_not_wait_in_line_for_who_reads_slowly() {
    let mut world = World::with(1, Default::default(), Limits { owner_outbox_bytes: 4 << 10, ..Limits::default() });
    world.library.quizzes.insert(QuizId(1), quiz(1, "a", 0));
    let owner = world.owner(0, "a", &["leaderboard:1", "attempts:1"]);
    let attempt = world.start(0, 1, "Alice");
    world.take_heard(owner);
    world.stalled.push(owner);
    for round in 0..30 {
        world.answer(0, 1, attempt, 1 + round % 3, true);
        world.pass(Duration::from_millis(250));
    }
    let counters = world.engines[0].counters().clone();
    assert_eq!(counters.slow_readers.read(), 0, "one of each list waits, and is no reason to be cut off");
    assert!(counters.superseded.read() >= 40, "{}", counters.superseded.read());
    world.stalled.clear();
    for (conn, bytes) in std::mem::take(&mut world.in_flight) {
        world.hear(conn, &bytes);
        let now = world.now;
        world.engines[0].sent(conn, true, now);
    }
    world.run();
    let heard: Vec<String> = world.take_brief(owner).into_iter().filter(|text| text.starts_with("snapshot")).collect();
    let newest = ["snapshot leaderboard: 1 Alice 30.0 running", "snapshot attempts: Alice 30.0 running"];
    assert!(heard.len() <= 4 && newest.iter().all(|list| heard[heard.len() - 2..].iter().any(|text| text == list)), "{heard:?}");
    world.ask_quiz(0, submit(1, attempt));
    world.leave_all(&[owner]);
    let done =
        counters.delivered.read() + counters.dropped_slow.read() + counters.dropped_gone.read() + counters.superseded.read();
    assert_eq!(counters.offered.read(), done);
}

#[test]
fn an_owner_who_does_not_read_is_cut_and_the_others_hear_everything() {
    let limits = Limits { owner_outbox_bytes: 8 << 10, ..Limits::default() };
    let mut world = World::with(2, Default::default(), limits);
    world.library.quizzes.insert(QuizId(1), quiz(1, "a", 0));
    let (slow, other) = (world.owner(0, "a", &["quiz:1", "leaderboard:1"]), world.owner(0, "a", &["quiz:1"]));
    world.stalled.push(slow);
    let attempts: Vec<_> = (0..40).map(|n| world.start(1, 1, &format!("participant {n}"))).collect();
    assert_eq!(world.engines[0].counters().slow_readers.read(), 1);
    assert_eq!(world.take_heard(other).len(), 40);
    let counters = world.engines[0].counters();
    assert!(counters.dropped_slow.read() > 0);
    world.eof(slow);
    for attempt in attempts {
        world.ask_quiz(0, submit(1, attempt));
    }
    world.leave_all(&[other]);
    let counters = world.engines[0].counters();
    let done =
        counters.delivered.read() + counters.dropped_slow.read() + counters.dropped_gone.read() + counters.superseded.read();
    assert_eq!(counters.offered.read(), done);
}
