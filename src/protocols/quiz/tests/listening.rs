//! Who listens, and the snapshots.

use super::world::{QUIZ, Said, World, answer, conn, flags, force, id, start, submit};
use crate::{
    protocols::quiz::{
        Channel, FromQuiz, QuizId, ToQuiz,
        asks::{Ask, Pass, Reply},
        letters::Verdict,
    },
    realtime::{ShardId, StoreFault},
};
use serde_json::{Value, json};

const ALL: [Channel; 3] = [Channel::Quiz, Channel::Attempts, Channel::Leaderboard];

fn snapshots(world: &mut World) -> Vec<(Channel, Vec<Value>)> {
    let snapshot = |said| match said {
        Said::Published(_, channel, message) if channel != Channel::Quiz => {
            assert_eq!((&message["event"], &message["channel"]), (&"snapshot".into(), &channel.name().into()));
            Some((channel, message["snapshot"].as_array().unwrap().clone()))
        }
        _ => None,
    };
    world.hush().into_iter().filter_map(snapshot).collect()
}

fn show(world: &mut World, slot: u32, channel: Channel) -> Option<Vec<Value>> {
    world.hush();
    world.letter(ToQuiz::Snapshot { conn: conn(0, slot), quiz: QUIZ, channel });
    match &world.hush()[..] {
        [] => None,
        [Said::Delivered(to, message)] if to.slot == slot => Some(message["snapshot"].as_array().unwrap().clone()),
        said => panic!("{said:?}"),
    }
}

#[test]
fn a_watch_is_decided_when_the_quiz_is_read() {
    let mut world = World::new();
    world.watch(conn(0, 1), Channel::Quiz);
    world.letter(ToQuiz::Watch { conn: conn(0, 2), quiz: QUIZ, channel: Channel::Quiz, owner: Some("another".into()) });
    world.letter(ToQuiz::Watch { conn: conn(3, 3), quiz: QUIZ, channel: Channel::Attempts, owner: None });
    assert_eq!((world.hush(), world.loads.len()), (vec![], 1));
    world.load();
    assert_eq!(world.words(), ["Granted 1", "NotOwned 2", "Granted 3"]);
    world.watch(conn(0, 4), Channel::Quiz);
    assert_eq!(world.words(), ["Granted 4"]);
}

#[test]
fn a_quiz_that_cannot_be_read_is_unavailable_and_one_that_is_not_there_not_owned() {
    let mut world = World::new();
    let watch = |quiz| ToQuiz::Watch { conn: conn(0, 1), quiz: QuizId(quiz), channel: Channel::Quiz, owner: None };
    let admit = |quiz| ToQuiz::Admit { conn: conn(0, 2), quiz: QuizId(quiz), attempt: id(1) };
    world.letter(watch(42));
    world.letter(admit(42));
    let asked = world.ask(start(QUIZ, 1));
    world.fail_load(StoreFault::Failed);
    assert_eq!(world.words(), ["Unavailable 1", "unavailable 2", &format!("{asked}: Store(Failed)")]);
    assert!(world.is_empty());
    world.letter(watch(99));
    world.letter(admit(99));
    world.letter(admit(99));
    let asked = world.ask(start(QuizId(99), 1));
    world.load();
    assert_eq!(world.words(), ["NotOwned 1", "unknown 2", "unknown 2", &format!("{asked}: NotFound")]);
    for quiz in [0, -1, QuizId::MAX + 1] {
        world.letter(watch(quiz));
        world.letter(admit(quiz));
        assert_eq!(world.words(), ["NotOwned 1", "unknown 2"]);
    }
    assert!(world.is_empty() && world.loads.is_empty());
}

#[test]
fn what_was_taken_back_before_the_quiz_was_read_leaves_nothing() {
    let mut world = World::new();
    world.get(start(QUIZ, 1));
    let shelf = world.shelf.clone();
    let mut world = World::new();
    world.shelf = shelf;
    world.admit(conn(0, 1), 1);
    world.admit(conn(0, 2), 1);
    world.part(conn(0, 1), 1);
    for channel in ALL {
        world.watch(conn(0, 3), channel);
        world.unwatch(conn(0, 3), channel);
    }
    world.letter(ToQuiz::Snapshot { conn: conn(0, 3), quiz: QUIZ, channel: Channel::Attempts });
    world.load();
    assert_eq!(world.words(), ["admitted 1", "admitted 2", "Granted 3", "Granted 3", "Granted 3"]);
    world.get(submit(QUIZ, 1));
    assert_eq!(world.words(), ["attempt_closed to 2", "over to 2", "1: Submitted"]);
    world.part(conn(0, 2), 1);
    world.rest();
    assert!(world.is_empty());
}

#[test]
fn to_take_back_what_was_never_asked_for_does_nothing_and_reads_nothing() {
    let mut world = World::new();
    world.part(conn(0, 1), 1);
    world.unwatch(conn(0, 1), Channel::Quiz);
    world.letter(ToQuiz::Snapshot { conn: conn(0, 1), quiz: QUIZ, channel: Channel::Attempts });
    assert!(world.is_empty() && world.loads.is_empty());
    world.get(start(QUIZ, 1));
    world.part(conn(0, 1), 1);
    world.part(conn(0, 1), 2);
    world.unwatch(conn(0, 1), Channel::Quiz);
    world.unwatch(conn(0, 1), Channel::Quiz);
    assert_eq!(show(&mut world, 1, Channel::Attempts), None);
}

#[test]
fn only_those_who_watch_are_told_and_only_on_their_shards() {
    let mut world = World::watched(0);
    world.watch(conn(2, 9), Channel::Quiz);
    world.act(|homes, now, out| {
        homes.letter(ToQuiz::Ask { asker: ShardId(0), number: 1, ask: Box::new(start(QUIZ, 1)) }, now, out)
    });
    let (ticket, record) = world.pending.pop_front().unwrap();
    world.shelf.write(&record);
    let mut out = Vec::new();
    world.homes.kept(ticket, Ok(crate::protocols::quiz::record::Kept::Done), world.now, &mut out);
    let crate::protocols::quiz::Outcome::Publish { shards, .. } = &out[0] else { panic!() };
    assert_eq!(shards[..], [(ShardId(0), 1), (ShardId(2), 1)]);
    world.unwatch(conn(0, 1), Channel::Quiz);
    world.unwatch(conn(2, 9), Channel::Quiz);
    world.hush();
    let Reply::Answered { .. } = world.get(answer(QUIZ, 1, 0, true)) else { panic!() };
    assert_eq!(world.words().len(), 1, "nobody listens: there is only the reply");
}

#[test]
fn a_participant_is_admitted_while_the_attempt_runs() {
    let mut world = World::new();
    world.get(start(QUIZ, 1));
    world.get(start(QUIZ, 2));
    world.get(submit(QUIZ, 2));
    world.ask(start(QUIZ, 3));
    world.hush();
    for (slot, n) in [(1, 1), (2, 2), (3, 3), (4, 4), (1, 1), (5, 1)] {
        world.admit(conn(0, slot), n);
    }
    assert_eq!(world.words(), ["admitted 1", "unknown 2", "unknown 3", "unknown 4", "admitted 1", "admitted 5"]);
    world.settle();
    world.hush();
    let number = world.ask(submit(QUIZ, 1));
    world.admit(conn(0, 6), 1);
    world.part(conn(0, 5), 1);
    world.settle();
    let told = ["admitted 6", "attempt_closed to 1", "over to 1", "attempt_closed to 6", "over to 6"];
    assert_eq!(world.words(), [&told[..], &[&format!("{number}: Submitted")]].concat());
    world.admit(conn(0, 7), 1);
    assert_eq!(world.hush(), [Said::Told(conn(0, 7), FromQuiz::Refused { unknown: true })]);
}

#[test]
fn the_first_change_is_shown_at_once_and_the_next_when_it_is_time() {
    let mut world = World::new();
    world.watch(conn(0, 1), Channel::Leaderboard);
    world.watch(conn(0, 2), Channel::Attempts);
    world.settle();
    world.hush();
    world.get(start(QUIZ, 1));
    assert_eq!(world.words(), ["snapshot attempts", "snapshot leaderboard", "1: Started"], "before the reply");
    for question in 0..5 {
        world.get(answer(QUIZ, 1, question, true));
        world.pass_ms(30);
    }
    assert_eq!(snapshots(&mut world), [], "150 ms");
    world.get(flags(QUIZ, 1, &["A"]));
    world.pass_ms(60);
    let shown = snapshots(&mut world);
    let counts = |rows: &[Value]| rows.iter().map(|row| row["answered_count"].as_u64().unwrap()).collect::<Vec<_>>();
    let expected = [(Channel::Attempts, vec![5]), (Channel::Leaderboard, vec![5])];
    assert_eq!(shown.iter().map(|(channel, rows)| (*channel, counts(rows))).collect::<Vec<_>>(), expected, "the latest state");
    assert_eq!(world.homes.timers(), 0);
    world.pass_ms(250);
    world.get(flags(QUIZ, 1, &["B"]));
    assert_eq!(snapshots(&mut world).len(), 1, "flags are not in the leaderboard");
    world.get(flags(QUIZ, 1, &["C"]));
    assert_eq!(world.homes.timers(), 1);
    world.unwatch(conn(0, 2), Channel::Attempts);
    assert_eq!(world.homes.timers(), 0, "nobody waits for it");
}

#[test]
fn snapshots_are_as_the_reference_has_them() {
    let mut world = World::new();
    let Ask::Start { quiz, attempt, entrant, .. } = start(QUIZ, 2) else { panic!() };
    world.get(start(QUIZ, 1));
    world.get(Ask::Start { quiz, attempt, entrant, event: Some(id(77)), pass: Pass::default() });
    world.get(start(QUIZ, 3));
    world.pass_ms(10);
    world.get(answer(QUIZ, 2, 1, true));
    world.get(flags(QUIZ, 1, &["A", "A", "B"]));
    world.get(submit(QUIZ, 2));
    for channel in ALL {
        world.watch(conn(0, 1), channel);
    }
    let row = |n: u128, extra: Value| {
        let event = if n == 2 { json!(id(77)) } else { Value::Null };
        let who = json!({"attempt_id": id(n), "participant_id": id(1_000_000 + n), "alias": format!("P{n}"), "quiz_id": 42, "event_id": event});
        let mut row = who.as_object().unwrap().clone();
        row.extend(extra.as_object().unwrap().clone());
        Value::Object(row)
    };
    let at = "2023-11-14T22:13:20+00:00";
    let attempts = show(&mut world, 1, Channel::Attempts).unwrap();
    let listed = |status: &str, count: u32, score: f64, flags: u32| json!({"status": status, "started_at": at, "answered_count": count, "score": score, "flags_count": flags});
    let expected =
        [row(2, listed("ended", 1, 0.2, 0)), row(1, listed("running", 0, 0.0, 3)), row(3, listed("running", 0, 0.0, 0))];
    assert_eq!(attempts, expected, "the latest change first");
    let ranked = |rank: u32, status: &str, count: u32, score: f64| json!({"rank": rank, "score": score, "answered_count": count, "status": status});
    let expected =
        [row(2, ranked(1, "ended", 1, 0.2)), row(1, ranked(2, "running", 0, 0.0)), row(3, ranked(3, "running", 0, 0.0))];
    assert_eq!(show(&mut world, 1, Channel::Leaderboard).unwrap(), expected);
    assert_eq!(show(&mut world, 1, Channel::Quiz), None, "that channel has no state");
    assert_eq!(show(&mut world, 2, Channel::Attempts), None, "who does not watch is shown nothing");
}

#[test]
fn ranks_are_the_same_after_the_quiz_was_read_anew() {
    let mut world = World::new();
    for n in 1..=6 {
        world.get(start(QUIZ, n));
        world.pass_ms(7);
    }
    for (n, question) in [(3, 1), (2, 1), (5, 4), (6, 0), (6, 2), (5, 0), (3, 1)] {
        world.pass_ms(n as u64 * 13);
        world.get(answer(QUIZ, n, question, true));
    }
    world.get(submit(QUIZ, 5));
    world.pass_ms(500);
    world.get(submit(QUIZ, 2));
    let order = |world: &mut World, channel| {
        world.watch(conn(0, 1), channel);
        world.settle();
        show(world, 1, channel).unwrap()
    };
    let mut after = World::new();
    after.shelf = world.shelf.clone();
    for channel in [Channel::Leaderboard, Channel::Attempts] {
        let ranks = order(&mut world, channel);
        assert_eq!(ranks.len(), 6);
        assert_eq!(ranks, order(&mut after, channel));
    }
    after.get(force(QUIZ));
    let before = order(&mut world, Channel::Leaderboard);
    let scores = |rows: &[Value]| rows.iter().map(|row| (row["attempt_id"].clone(), row["score"].clone())).collect::<Vec<_>>();
    assert_eq!(scores(&order(&mut after, Channel::Leaderboard)), scores(&before), "the end changes no rank");
}

#[test]
fn a_channel_that_nobody_watches_is_granted_again() {
    let mut world = World::new();
    for _ in 0..3 {
        for channel in ALL {
            world.watch(conn(0, 1), channel);
        }
        world.settle();
        let granted = |channel| FromQuiz::Watched { quiz: QUIZ, channel, verdict: Verdict::Granted };
        assert_eq!(world.hush(), ALL.map(|channel| Said::Told(conn(0, 1), granted(channel))));
        for channel in ALL {
            world.unwatch(conn(0, 1), channel);
        }
    }
    world.rest();
    assert!(world.is_empty());
}
