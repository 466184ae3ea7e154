//! Sockets of chat and tasks that pass to another process.

use super::{chat::*, tasks::*, world::*};
use crate::{
    protocols::tasks::{Ask, asks::Edit, model::Status},
    realtime::ConnId,
};
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn kinds(words: &[String]) -> Vec<String> {
    let of = |words: &String| serde_json::from_str::<Value>(words).ok().map(|value| value["type"].as_str().unwrap().to_owned());
    let mut kinds: Vec<String> = words.iter().filter_map(of).collect();
    kinds.dedup();
    kinds
}

/// What was heard of whole answers: their texts, and how they began and ended.
fn brief(words: &[String]) -> Vec<String> {
    let mut brief: Vec<String> = Vec::new();
    for words in words {
        let said: Value = serde_json::from_str(words).unwrap();
        match (said["type"].as_str().unwrap(), brief.last_mut()) {
            ("message_start", _) => brief.push(String::new()),
            ("content_delta", Some(text)) => text.push_str(said["delta"].as_str().unwrap()),
            ("message_end", Some(text)) => text.push('.'),
            (other, _) => brief.push(other.to_owned()),
        }
    }
    brief
}

#[test]
fn those_in_a_session_notice_nothing_and_hear_all_that_comes_once() {
    let mut world = World::new(2);
    world.open("tutor");
    let (one, two) = (world.listener(0, "anna"), world.listener(1, "anna"));
    let stranger = world.chat_socket(1, "sess_00000000000000000000000000005e55", "");
    world.text(one, &said("2 + 2"));
    world.pass(SECOND);
    [one, two, stranger].into_iter().for_each(|conn| drop(world.texts(conn)));
    let (mut former, mut next, names) = world.hand_over_with(|_| true, |_| {});
    assert!([one, two, stranger].into_iter().all(|conn| names.has(conn) && former.take_heard(conn).is_empty()));
    assert_eq!(next.heard, []);
    let [one, two, stranger] = [one, two, stranger].map(|conn| names.now(conn));
    next.text(two, &said("3 + 3"));
    next.pass(SECOND);
    for conn in [one, two] {
        assert_eq!(brief(&next.texts(conn)), ["3 + 3 = 6."]);
    }
    let (told, _) = next.say(0, "4 + 4", 100);
    next.pass(SECOND);
    assert!(told.borrow().len() >= 3);
    for conn in [one, two] {
        assert_eq!(brief(&next.texts(conn)), ["4 + 4 = 8."]);
    }
    next.text(stranger, &json!({"type": "auth", "token": ticket("anna")}).to_string());
    assert_eq!(kinds(&next.texts(stranger)), ["auth_success"]);
    assert_eq!(next.engines.iter().map(|engine| engine.counters().chat_sockets.read()).sum::<u64>(), 3);
    next.leave_chat(&[one, two, stranger]);
}

#[test]
fn an_answer_is_broken_off_and_what_was_said_behind_it_is_answered_by_the_next_process() {
    let mut world = World::new(2);
    world.open("tutor");
    let (one, two) = (world.listener(0, "anna"), world.listener(1, "anna"));
    world.text(one, &said("/count 100 100"));
    for content in ["2 + 2", "3 + 3"] {
        world.text(one, &said(content));
    }
    world.pass(Duration::from_millis(250));
    [one, two].into_iter().for_each(|conn| drop(world.texts(conn)));
    let (mut former, mut next, names) = world.hand_over_with(|_| true, |_| {});
    for conn in [one, two] {
        let heard = former.texts(conn);
        assert_eq!(kinds(&heard), ["error", "message_end"], "{heard:?}");
    }
    next.pass(SECOND);
    for conn in [one, two] {
        assert_eq!(brief(&next.texts(names.now(conn))), ["2 + 2 = 4.", "3 + 3 = 6."]);
    }
    next.leave_chat(&[one, two].map(|conn| names.now(conn)));
}

#[test]
fn who_has_said_much_that_nobody_has_begun_to_answer_is_closed() {
    let mut world = World::new(1);
    world.open("tutor");
    let conn = world.listener(0, "anna");
    world.text(conn, &said("/count 100 100"));
    for _ in 0..3 {
        world.text(conn, &said(&"x".repeat(8_000)));
    }
    world.leave_and_part(&|_| true);
    let heard = world.take_heard(conn);
    assert!(heard.contains(&"CLOSE 1012".to_owned()), "{heard:?}");
}

#[test]
fn a_session_that_ends_while_nobody_listens_is_told_of_at_once() {
    let mut world = World::new(1);
    world.open("tutor");
    let conn = world.listener(0, "anna");
    world.take_heard(conn);
    let (_, mut next, names) = world.hand_over_with(|_| true, |next| next.sessions.end(SESSION));
    let heard = next.take_heard(names.now(conn));
    assert_eq!((kinds(&heard), &heard[1][..]), (vec!["error".to_owned()], "CLOSE 1000"), "{heard:?}");
}

fn edit(world: &mut World, n: u128, edit: Edit) {
    let task = by_hand(n, "anna").id;
    world.ask_tasks(0, Ask::Edit { task, caller: as_guest("anna"), edit });
}

fn progress(share: f64) -> Edit {
    Edit { status: Some(Status::InProgress), progress: Some(share), ..Edit::default() }
}

fn subscribe(world: &mut World, conn: ConnId, data: &Value) {
    world.says(conn, "subscribe", data);
    world.take_heard(conn);
}

#[test]
fn those_who_follow_tasks_go_on_and_count_as_before() {
    let mut world = World::new(2);
    world.ask_tasks(0, Ask::Create(Box::new(by_hand(1, "anna"))));
    let conns = [world.guest(0, "anna"), world.guest(1, "anna"), world.guest(1, "admin"), world.guest(0, "anna")];
    let [one, all, admin, idle] = conns;
    subscribe(&mut world, one, &json!({"channel": "task", "task_id": by_hand(1, "anna").id}));
    subscribe(&mut world, all, &json!({"channel": "tasks"}));
    subscribe(&mut world, admin, &json!({"channel": "tasks"}));
    subscribe(&mut world, idle, &json!({"channel": "system_status"}));
    let (mut former, mut next, names) = world.hand_over_with(|_| true, |_| {});
    assert!(conns.iter().all(|conn| names.has(*conn)));
    assert!([one, all, admin].into_iter().all(|conn| former.take_heard(conn).is_empty()));
    let [one, all, admin, idle] = conns.map(|conn| names.now(conn));
    assert!([one, all, admin].into_iter().all(|conn| next.take_heard(conn).is_empty()));
    edit(&mut next, 1, progress(0.4));
    for conn in [one, all, admin] {
        assert_eq!(series(&next.told(conn)), [("in_progress".to_owned(), 0.4)]);
    }
    next.take_heard(idle);
    next.says(idle, "unsubscribe", &json!({"channel": "system_status"}));
    next.execute(idle, "tutor", "/count 2 10");
    next.pass(SECOND);
    assert_eq!(*types(&next.told(idle)).last().unwrap(), "task_completion");
    assert_eq!(*types(&next.told(all)).last().unwrap(), "task_completion");
    assert!(next.told(one).is_empty(), "of the other's it hears nothing");
    let more: Vec<ConnId> = (0..7).map(|_| next.guest(0, "anna")).collect();
    let refused = next.tasks_socket(1, &format!("?token={}", guest("anna")), "");
    assert!(next.take_heard(refused).contains(&"CLOSE 1008".to_owned()), "the eleventh");
    next.leave_tasks(&[&[one, all, admin, idle, refused][..], &more].concat());
}

#[test]
fn what_runs_fails_and_is_told_and_what_waits_is_done_there() {
    let mut world = World::new(2);
    let conn = world.guest(1, "anna");
    let (running, made) = (world.execute(conn, "tutor", LONG), world.execute(conn, "tutor", LONG));
    world.take_heard(conn);
    let (mut former, mut next, names) = world.hand_over_with(|_| true, |_| {});
    let heard = former.told(conn);
    let ends: Vec<&Value> =
        heard.iter().filter(|said| said["type"] == "task_error").map(|said| &said["data"]["task_id"]).collect();
    assert_eq!(ends.len(), 2, "{running} {made} {heard:?}");
    let conn = names.now(conn);
    next.pass(SECOND);
    assert!(next.told(conn).iter().all(|said| said["type"] == "ping"));
    next.leave_tasks(&[conn]);
}

#[test]
fn who_may_have_missed_an_end_that_was_on_its_way_to_disk_comes_again() {
    let mut world = World::new(2);
    let (follower, idle) = (world.guest(0, "anna"), world.guest(1, "bert"));
    world.execute(follower, "tutor", LONG);
    world.store.held = true;
    world.leave_and_part(&|_| true);
    assert!(!world.engines.iter().all(super::super::Engine::is_quiet));
    let (_, mut next, names) = world.taken_over(|_| true, |_| {});
    let (follower, idle) = (names.now(follower), names.now(idle));
    let heard = next.take_heard(follower);
    assert!(heard.contains(&"CLOSE 1012".to_owned()), "{heard:?}");
    assert!(next.take_heard(idle).is_empty());
    next.leave_tasks(&[follower, idle]);
}

#[test]
fn messages_are_counted_on_and_in_time_anew() {
    let mut world = World::new(1);
    let conn = world.guest(0, "anna");
    let ping = json!({"timestamp": 1});
    (0..50).for_each(|_| world.says(conn, "ping", &ping));
    world.pass(50 * SECOND);
    world.take_heard(conn);
    let (_, mut next, names) = world.hand_over_with(|_| true, |_| {});
    let conn = names.now(conn);
    (0..9).for_each(|_| next.says(conn, "ping", &ping));
    assert!(types(&next.told(conn)).iter().all(|kind| *kind == "pong"));
    next.pass(11 * SECOND);
    (0..20).for_each(|_| next.says(conn, "ping", &ping));
    assert!(types(&next.told(conn)).iter().all(|kind| ["pong", "ping"].contains(kind)), "another minute");
    next.leave_tasks(&[conn]);
}
