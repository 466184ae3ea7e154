//! Quiz as the contract and its page tell it, on one shard and on two.

use super::{quizzes::*, world::*};
use crate::{
    engine::Letter,
    protocols::quiz::{
        QuizId,
        asks::{Ask, Refused, Reply},
        model::Reason,
        record::{Edit, Record},
    },
    realtime::{ShardId, StoreFault},
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Runs a script with the parties on one shard, and on two.
fn on_one_and_two(script: impl Fn(&mut World, usize)) {
    let quizzes = || [quiz(1, "a", 0), quiz(2, "a", 0), quiz(3, "b", 3), quiz(4, "a", 30)];
    script(&mut World::with_quizzes(1, quizzes()), 0);
    script(&mut World::with_quizzes(2, quizzes()), 1);
}

pub(super) fn submit(quiz: i64, attempt: uuid::Uuid) -> Ask {
    Ask::Submit { quiz: QuizId(quiz), attempt }
}

pub(super) fn force(quiz: i64, owner: &str) -> Ask {
    Ask::Force { quiz: QuizId(quiz), owner: owner.into(), event: None }
}

#[test]
fn an_owner_hears_of_his_own_quizzes_and_is_told_which_are_not() {
    on_one_and_two(|world, other| {
        let owner = world.owner(other, "a", &[]);
        world.text(owner, &subscribe(&["quiz:1", "quiz:3", "quiz:2", "quiz:99", "notification:1", "quiz:x"]));
        let heard = world.take_brief(owner);
        assert_eq!(heard[0], "subscribed quiz:1,quiz:2");
        assert_eq!(heard[1], "error: Subscription denied: quiz:3: not found or not owned");
        assert_eq!(heard.len(), 5);
        assert_eq!(world.engines[other].counters().quiz_watching.read(), 2);
        world.leave_all(&[owner]);
    });
}

#[test]
fn the_life_of_one_attempt() {
    on_one_and_two(|world, other| {
        let owner = world.owner(other, "a", &["quiz:1"]);
        let attempt = world.start(other, 1, "Alice");
        let participant = world.participant(0, 1, attempt);
        for (n, truth) in [(1, true), (2, false), (3, true)] {
            let reply = world.answer(0, 1, attempt, n, truth);
            assert!(matches!(reply, Reply::Answered { answered_count, .. } if u128::from(answered_count) == n), "{reply:?}");
        }
        let flags = ["tab_switch", "TAB_SWITCH", "clipboard"].map(flag).to_vec();
        let reply = world.ask_quiz(0, Ask::Flag { quiz: QuizId(1), attempt, flags });
        assert!(matches!(reply, Reply::Flagged { labels, .. } if labels == ["TAB_SWITCH", "CLIPBOARD"]));
        assert!(matches!(world.ask_quiz(other, submit(1, attempt)), Reply::Submitted(end) if end.score == 20.0));
        let heard = [
            "attempt_quiz 1 Alice",
            "attempt_update 1 1",
            "attempt_update 1 2",
            "attempt_update 1 3",
            "attempt_flagged 1 TAB_SWITCH,CLIPBOARD",
            "attempt_finished 1 3",
        ];
        assert_eq!(world.take_brief(owner), heard);
        assert_eq!(world.take_brief(participant), ["attempt_closed 1 submitted 3"]);
        assert_eq!(world.end_of(attempt), Some((Reason::Submitted, 20.0, 3)));
        world.pass(SECOND + Duration::from_millis(10));
        assert_eq!(world.take_heard(participant).last_chunk(), Some(&["CLOSE 1000".to_owned(), "FIN".to_owned()]));
        let again = world.ask_quiz(0, submit(1, attempt));
        assert_eq!(again, Reply::Refused(Refused::Over));
        let late = world.answer(0, 1, attempt, 1, true);
        assert_eq!(late, Reply::Refused(Refused::Over));
        assert_eq!(world.engines.iter().map(|engine| engine.counters().quiz_answers.read()).sum::<u64>(), 3);
        world.leave_all(&[owner, participant]);
        let counters = |read: fn(&crate::engine::Counters) -> u64| world.engines.iter().map(|e| read(e.counters())).sum::<u64>();
        assert_eq!(counters(|c| c.offered.read()), 7);
        assert_eq!(counters(|c| c.delivered.read()), 7);
    });
}

#[test]
fn no_detail_of_a_flag_is_told_to_anyone() {
    on_one_and_two(|world, other| {
        let owner = world.owner(other, "a", &["quiz:1"]);
        let attempt = world.start(0, 1, "Alice");
        world.ask_quiz(0, Ask::Flag { quiz: QuizId(1), attempt, flags: vec![flag("clipboard")] });
        let heard = world.take_heard(owner);
        assert_eq!(heard.len(), 2);
        assert!(heard.iter().all(|text| !text.contains("detail") && !text.contains("secret")));
        world.ask_quiz(0, submit(1, attempt));
        world.leave_all(&[owner]);
    });
}

#[test]
fn an_idle_attempt_ends_when_its_time_is_up() {
    on_one_and_two(|world, other| {
        let owner = world.owner(0, "b", &["quiz:3"]);
        let attempt = world.start(other, 3, "Alice");
        let participant = world.participant(other, 3, attempt);
        world.pass(3 * SECOND - Duration::from_millis(20));
        assert!(!world.take_brief(participant).iter().any(|text| text.starts_with("attempt_closed")));
        world.pass(Duration::from_millis(40));
        assert!(world.take_brief(participant).contains(&"attempt_closed 3 time_up 0".to_owned()));
        assert!(world.take_brief(owner).contains(&"attempt_finished 3 0".to_owned()));
        assert_eq!(world.end_of(attempt), Some((Reason::TimeUp, 0.0, 0)));
        let closed = world.library.end_of(attempt).unwrap();
        assert_eq!(closed.at.0, 1_700_000_003_000_000, "exactly when its time is up");
        world.leave_all(&[owner, participant]);
    });
}

#[test]
fn an_answer_that_comes_with_the_deadline_finds_the_attempt_over() {
    on_one_and_two(|world, _| {
        let attempt = world.start(0, 3, "Alice");
        // The wheel has not turned yet.
        world.now.moment = world.now.moment + 3 * SECOND;
        world.now.wall.0 += 3_000_000;
        assert_eq!(world.answer(0, 3, attempt, 1, true), Reply::Refused(Refused::Over));
        assert_eq!(world.end_of(attempt), Some((Reason::TimeUp, 0.0, 0)));
        world.leave_all(&[]);
    });
}

#[test]
fn a_force_ends_all_of_its_quiz_and_nobody_elses() {
    on_one_and_two(|world, other| {
        let attempts = [(1, "Alice"), (1, "Bob"), (2, "Eve")].map(|(quiz, alias)| (quiz, world.start(other, quiz, alias)));
        let conns = attempts.map(|(quiz, attempt)| world.participant(other, quiz, attempt));
        assert_eq!(world.ask_quiz(0, force(1, "school/b")), Reply::Refused(Refused::NotFound));
        assert_eq!(world.ask_quiz(0, force(1, "school/a")), Reply::Forced(2));
        for conn in &conns[..2] {
            assert_eq!(world.take_brief(*conn), ["attempt_closed 1 forced_by_owner 0"]);
        }
        assert_eq!(world.take_brief(conns[2]), [""; 0]);
        assert_eq!(world.ask_quiz(0, force(1, "school/a")), Reply::Forced(0));
        assert_eq!(world.ask_quiz(0, force(2, "school/a")), Reply::Forced(1));
        world.leave_all(&conns);
    });
}

#[test]
fn a_participant_only_listens() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        let conn = world.participant(other, 1, attempt);
        let only = "error: Subscriptions are managed by the server for this session";
        world.text(conn, "hello");
        world.text(conn, &subscribe(&["quiz:1"]));
        world.frame(conn, 2, b"binary");
        assert_eq!(world.take_brief(conn), [only; 3]);
        world.ask_quiz(0, submit(1, attempt));
        assert_eq!(world.take_brief(conn), ["attempt_closed 1 submitted 0"]);
        world.leave_all(&[conn]);
    });
}

#[test]
fn whoever_unsubscribes_hears_no_more() {
    on_one_and_two(|world, other| {
        let owner = world.owner(other, "a", &["quiz:1", "quiz:2"]);
        let attempt = world.start(0, 1, "Alice");
        assert_eq!(world.take_brief(owner), ["attempt_quiz 1 Alice"]);
        world.text(owner, &unsubscribe(&["quiz:1"]));
        assert_eq!(world.take_brief(owner), ["unsubscribed quiz:1"]);
        world.answer(0, 1, attempt, 1, true);
        assert_eq!(world.take_brief(owner), [""; 0]);
        world.text(owner, &unsubscribe(&["quiz:1"]));
        assert_eq!(world.take_brief(owner), ["unsubscribed "]);
        world.text(owner, &subscribe(&["quiz:1"]));
        world.ask_quiz(0, submit(1, attempt));
        assert_eq!(world.take_brief(owner), ["subscribed quiz:1", "attempt_finished 1 1"]);
        world.leave_all(&[owner]);
    });
}

/// A list that is on its way to one who has given it up meanwhile is not shown: he was told that there is nothing more.
#[test]
fn whoever_unsubscribes_before_the_list_has_come_does_not_see_it() {
    let mut world = World::with_quizzes(2, (1..5).map(|id| quiz(id, "a", 0)));
    let home = |world: &World, id: i64| world.engines[0].home_of_quiz(QuizId(id));
    let far = (1..5).find(|id| home(&world, *id) == ShardId(0)).expect("half of them are at home there");
    let owner = world.owner(1, "a", &[]);
    let name = format!("leaderboard:{far}");
    world.held = Some((ShardId(1), Vec::new()));
    world.text(owner, &subscribe(&[&name]));
    let granted = world.held.replace((ShardId(1), Vec::new())).unwrap().1;
    let now = world.now;
    granted.into_iter().for_each(|(from, letter)| world.engines[1].letter(from, letter, now));
    world.run();
    world.text(owner, &unsubscribe(&[&name]));
    let shown = world.held.take().unwrap().1;
    assert!(matches!(shown[..], [(_, Letter::Show { .. })]));
    shown.into_iter().for_each(|(from, letter)| world.engines[1].letter(from, letter, now));
    world.run();
    assert_eq!(world.take_brief(owner), [format!("subscribed {name}"), format!("unsubscribed {name}")]);
    world.leave_all(&[owner]);
}

#[test]
fn owners_hear_only_of_their_own_and_in_order() {
    on_one_and_two(|world, other| {
        let owners = [world.owner(0, "a", &["quiz:1"]), world.owner(other, "b", &["quiz:3"])];
        let attempts = [(1, world.start(other, 1, "Alice")), (3, world.start(0, 3, "Bob"))];
        for owner in owners {
            world.take_heard(owner);
        }
        for round in 0..100 {
            for (quiz, attempt) in attempts {
                let ask = Ask::Answer {
                    quiz: QuizId(quiz),
                    attempt,
                    question: question(1 + round % 3),
                    id: uuid::Uuid::from_u128(round << 8 | quiz as u128),
                    given: crate::protocols::quiz::model::Given::Truth(true),
                };
                world.ask_quiz(other, ask);
            }
        }
        for (owner, (quiz, _)) in owners.into_iter().zip(attempts) {
            let heard: Vec<serde_json::Value> =
                world.take_heard(owner).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            let ids: Vec<_> = heard.iter().map(|update| update["data"]["answer_id"].as_str().unwrap().to_owned()).collect();
            let expected: Vec<_> = (0..100_u128).map(|n| uuid::Uuid::from_u128(n << 8 | quiz as u128).to_string()).collect();
            assert_eq!(ids, expected);
        }
        for (quiz, attempt) in attempts {
            world.ask_quiz(0, submit(quiz, attempt));
        }
        world.leave_all(&owners);
    });
}

/// Pings come every five seconds; who never answers is cut ten seconds after the first.
#[test]
fn pings_come_every_five_seconds_and_silence_ends_a_connection() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        let conns = [world.participant(other, 1, attempt), world.owner(other, "a", &["quiz:1"])];
        let silent = [world.participant(0, 1, attempt), world.owner(0, "a", &[])];
        let mut pings = [Vec::new(), Vec::new()];
        for tenth in 0..600 {
            world.pass(Duration::from_millis(100));
            for (conn, pings) in conns.iter().zip(&mut pings) {
                for heard in world.take_heard(*conn) {
                    assert_eq!(heard, "PING");
                    pings.push(tenth);
                    world.frame(*conn, 10, b"");
                }
            }
            for conn in silent {
                if world.heard.iter().any(|(to, words)| *to == conn && words.starts_with("CLOSE")) {
                    assert!((100..=151).contains(&tenth), "{tenth}");
                    let heard = world.take_heard(conn);
                    assert_eq!(heard[heard.len() - 2..], ["CLOSE 1008", "FIN"]);
                    assert!((2..=3).contains(&(heard.len() - 2)), "{heard:?}");
                }
            }
        }
        for pings in pings {
            assert!(pings.windows(2).all(|pair| (49..=51).contains(&(pair[1] - pair[0]))), "{pings:?}");
            assert!((11..=12).contains(&pings.len()));
        }
        assert_eq!(world.engines.iter().map(|e| e.counters().quiz_participants.read()).sum::<u64>(), 1);
        world.ask_quiz(0, submit(1, attempt));
        world.leave_all(&conns);
    });
}

#[test]
fn nothing_is_kept_for_who_comes_again() {
    on_one_and_two(|world, other| {
        let owner = world.owner(other, "a", &["quiz:1"]);
        world.eof(owner);
        let attempt = world.start(0, 1, "Alice");
        let again = world.owner(other, "a", &[]);
        world.answer(0, 1, attempt, 1, true);
        assert_eq!(world.take_heard(again), [""; 0]);
        world.text(again, &subscribe(&["quiz:1"]));
        world.answer(0, 1, attempt, 2, true);
        assert_eq!(world.take_brief(again), ["subscribed quiz:1", "attempt_update 1 2"]);
        world.ask_quiz(0, submit(1, attempt));
        world.leave_all(&[again]);
    });
}

#[test]
fn lists_and_ranks_come_at_once_and_then_at_most_five_times_a_second() {
    on_one_and_two(|world, other| {
        let owner = world.owner(other, "a", &[]);
        let attempts = ["Alice", "Bob"].map(|alias| world.start(0, 1, alias));
        world.text(owner, &subscribe(&["attempts:1", "leaderboard:1"]));
        let heard = world.take_brief(owner);
        assert_eq!(heard[0], "subscribed attempts:1,leaderboard:1");
        assert_eq!(heard[1], "snapshot attempts: Bob 0.0 running,Alice 0.0 running");
        assert!(heard[2].starts_with("snapshot leaderboard: 1 "));
        assert_eq!(heard.len(), 3);
        for round in 0..20 {
            world.answer(other, 1, attempts[1], 1 + round % 3, true);
            world.pass(Duration::from_millis(50));
        }
        world.pass(SECOND);
        let heard = world.take_brief(owner);
        let of = |channel: &str| heard.iter().filter(|text| text.starts_with(&format!("snapshot {channel}"))).count();
        assert!((4..=7).contains(&of("attempts")) && (4..=7).contains(&of("leaderboard")), "{heard:?}");
        let last = heard.iter().rfind(|text| text.starts_with("snapshot leaderboard")).unwrap();
        assert_eq!(last, "snapshot leaderboard: 1 Bob 30.0 running,2 Alice 0.0 running");
        for attempt in attempts {
            world.ask_quiz(0, submit(1, attempt));
        }
        world.leave_all(&[owner]);
    });
}

#[test]
fn what_the_store_does_not_take_has_not_happened() {
    on_one_and_two(|world, other| {
        let owner = world.owner(other, "a", &["quiz:1"]);
        let attempt = world.start(0, 1, "Alice");
        world.take_heard(owner);
        world.library.fault = Some(StoreFault::Busy);
        assert_eq!(world.answer(other, 1, attempt, 1, true), Reply::Refused(Refused::Store(StoreFault::Busy)));
        assert_eq!(world.ask_quiz(other, submit(1, attempt)), Reply::Refused(Refused::Store(StoreFault::Busy)));
        assert_eq!(world.take_brief(owner), [""; 0]);
        world.library.fault = None;
        world.answer(other, 1, attempt, 1, true);
        world.ask_quiz(other, submit(1, attempt));
        assert_eq!(world.take_brief(owner), ["attempt_update 1 1", "attempt_finished 1 1"]);
        world.leave_all(&[owner]);
    });
}

#[test]
fn a_time_that_is_up_while_the_store_takes_nothing_is_written_as_soon_as_it_does() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 3, "Alice");
        let conn = world.participant(other, 3, attempt);
        world.library.fault = Some(StoreFault::Failed);
        world.pass(4 * SECOND);
        assert!(!world.take_brief(conn).iter().any(|text| text.starts_with("attempt_closed")));
        world.library.fault = None;
        world.pass(6 * SECOND);
        let heard = world.take_brief(conn);
        assert_eq!(heard.iter().filter(|text| *text == "attempt_closed 3 time_up 0").count(), 1, "{heard:?}");
        assert_eq!(world.library.end_of(attempt).unwrap().at.0, 1_700_000_003_000_000);
        world.leave_all(&[conn]);
    });
}

#[test]
fn what_ran_out_while_the_server_was_down_is_over_at_its_start_and_the_rest_goes_on() {
    on_one_and_two(|world, other| {
        let attempts = [(3, world.start(0, 3, "Alice")), (4, world.start(0, 4, "Bob")), (1, world.start(0, 1, "Eve"))];
        world.now.wall.0 += 10_000_000;
        world.restart();
        assert_eq!(world.end_of(attempts[0].1), Some((Reason::TimeUp, 0.0, 0)));
        let query = format!("?session={}", session_key().token(3, attempts[0].1));
        let late = world.request(other, &query);
        assert!(world.take_heard(late)[0].starts_with("401"));
        let conns = attempts[1..].iter().map(|(quiz, attempt)| world.participant(other, *quiz, *attempt)).collect::<Vec<_>>();
        world.answer(0, 4, attempts[1].1, 1, true);
        // Somebody answers Pings.
        for _ in 0..21 {
            world.pass(SECOND);
            conns.iter().for_each(|conn| world.frame(*conn, 10, b""));
        }
        assert_eq!(world.end_of(attempts[1].1), Some((Reason::TimeUp, 10.0, 1)));
        assert!(world.take_brief(conns[0]).contains(&"attempt_closed 4 time_up 1".to_owned()));
        assert_eq!(world.end_of(attempts[2].1), None);
        world.ask_quiz(0, submit(1, attempts[2].1));
        world.leave_all(&conns);
    });
}

#[test]
fn a_quiz_with_running_attempts_does_not_change() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        let mut rules = world.library.quizzes[&QuizId(1)].quiz.rules.clone();
        rules.title = "another".into();
        let edit = Ask::Edit { quiz: QuizId(1), owner: "school/a".into(), edit: Edit::Rules(Box::new(rules)), seen: None };
        assert_eq!(world.ask_quiz(other, edit.clone()), Reply::Refused(Refused::ActiveAttempts));
        world.ask_quiz(0, submit(1, attempt));
        let Reply::Edited(quiz) = world.ask_quiz(other, edit) else { panic!() };
        assert_eq!(quiz.rules.title, "another");
        assert!(matches!(world.library.records.last(), Some(Record::Edited { .. })));
        world.leave_all(&[]);
    });
}

#[test]
fn an_owner_who_leaves_while_his_subscription_is_decided_is_not_counted() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        world.forget_quizzes();
        world.store.held = true;
        let owner = world.owner(other, "a", &[]);
        world.text(owner, &subscribe(&["quiz:1", "attempts:1"]));
        world.eof(owner);
        world.store.held = false;
        world.run();
        assert_eq!(world.take_heard(owner), ["END"]);
        world.ask_quiz(0, submit(1, attempt));
        let sum = |read: fn(&crate::engine::Counters) -> u64| world.engines.iter().map(|e| read(e.counters())).sum::<u64>();
        assert_eq!(sum(|c| c.offered.read()) + sum(|c| c.dropped_absent.read()), 0, "the home counts nobody");
        world.leave_all(&[]);
    });
}

#[test]
fn a_drain_says_nothing_and_a_close_says_come_again() {
    on_one_and_two(|world, other| {
        let attempt = world.start(0, 1, "Alice");
        let conns = [world.owner(0, "a", &["quiz:1"]), world.participant(other, 1, attempt)];
        world.drain();
        assert_eq!(world.heard, []);
        world.answer(0, 1, attempt, 1, true);
        assert_eq!(world.take_brief(conns[0]), ["attempt_update 1 1"]);
        world.close();
        for conn in conns {
            assert_eq!(world.take_heard(conn), ["CLOSE 1012", "FIN"]);
            world.eof(conn);
            assert_eq!(world.take_heard(conn), ["END"]);
        }
        world.ask_quiz(0, submit(1, attempt));
        world.leave_all(&[]);
    });
}
