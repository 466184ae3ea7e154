//! A room that moves while one of its members goes from one connection to another: what was said meanwhile moves too.

use super::world::*;
use crate::{
    protocols::presence::asks::{Ask, Publication, Reply},
    realtime::{ClassroomId, ConnId},
};

const PAYLOAD: &str = r#"{"version":"v1"}"#;

fn publication(sequence_id: i64) -> Publication {
    let (entity_type, operation, payload) = ("ban".to_owned(), "created".to_owned(), PAYLOAD.into());
    Publication { entity_type, operation, sequence_id: Some(sequence_id), payload, receiver: None, sender: None }
}

fn published(sequence_id: i64) -> String {
    let id = format!(r#"{{"entity_type":"ban","operation":"created","sequence_id":{sequence_id}}}"#);
    format!(r#"{{"id":{id},"payload":{PAYLOAD}}}"#)
}

fn say(world: &mut World, place: usize, classroom: ClassroomId, sequence_id: i64) -> Reply {
    world.ask(place, Ask::Publish { classroom, event: publication(sequence_id) })
}

fn members(sequence_id: i64, members: u64) -> Reply {
    Reply::Published { sequence_id, members }
}

/// A room that moves from the second of two nodes to a third, one who watches there, and a member on the first.
fn school() -> (World, ClassroomId, [ConnId; 2]) {
    let mut world = World::cluster(2, 1);
    let (before, after) = (world.ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let classroom = world.classroom_that_moves((&before, 1), (&after, 2));
    let (watcher, old) = (world.session(1, "web", "w", classroom), world.session(0, "web", "a", classroom));
    world.heard.clear();
    (world, classroom, [watcher, old])
}

fn second(world: &mut World, place: usize, classroom: ClassroomId) -> ConnId {
    let new = world.websocket(place, "/ws");
    world.text(new, &connect_request("web", classroom, &token("a")));
    new
}

#[test]
fn what_is_said_while_a_member_changes_its_connection_and_the_room_its_home_is_heard_once() {
    let (mut world, classroom, [watcher, old]) = school();
    world.store.held = true;
    let new = second(&mut world, 1, classroom);
    assert!(world.take_heard(old)[0].contains("replaced"));
    assert_eq!(say(&mut world, 1, classroom, 7), members(7, 2), "it is kept for the new one");
    world.begin_node();
    world.view(2, 3);
    world.store.held = false;
    world.run();
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
    assert_eq!(say(&mut world, 0, classroom, 8), members(8, 2));
    assert_eq!(world.take_heard(new), [SUCCESS, "PING", &published(7), &published(8)]);
    assert_eq!(world.take_heard(watcher), [published(7), published(8)], "and of the change nobody hears");
    assert_eq!((world.store.rows.len(), &world.store.history), (2, &vec![]));
    [watcher, old, new].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn what_is_said_at_the_next_home_before_the_new_connection_is_let_in_is_kept_too() {
    let (mut world, classroom, [watcher, old]) = school();
    world.store.held = true;
    let new = second(&mut world, 1, classroom);
    world.begin_node();
    world.view(2, 3);
    // The row is asked for by the former home, which gives it back, and again by the next one.
    for _ in 0..2 {
        world.answer_all();
        world.run();
    }
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
    assert_eq!(say(&mut world, 0, classroom, 7), members(7, 2));
    world.store.held = false;
    world.run();
    assert_eq!(world.take_heard(new), [SUCCESS, "PING", &published(7)]);
    assert_eq!(world.take_heard(watcher), [published(7)]);
    [watcher, old, new].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn who_was_not_told_that_he_was_replaced_before_the_room_moved_hears_what_was_kept() {
    // With somebody else on his shard, to whom all was sent there anyway, and without.
    for accompanied in [false, true] {
        let (mut world, classroom, [watcher, old]) = school();
        let other = accompanied.then(|| world.session(0, "web", "o", classroom));
        world.heard.clear();
        world.store.held = true;
        world.hold_letters_to(0);
        let new = second(&mut world, 1, classroom);
        let heard = 2 + u64::from(accompanied);
        assert_eq!(say(&mut world, 1, classroom, 7), members(7, heard));
        world.begin_node();
        let after = world.ring(2, 3);
        world.view_comes(after.shards().next().unwrap(), &after);
        world.let_letters_go();
        world.view(2, 3);
        world.store.held = false;
        world.run();
        let heard = world.take_heard(old);
        assert_eq!(heard[0], published(7), "{heard:?}");
        assert!(heard[1].contains("replaced") && heard.iter().filter(|words| **words == published(7)).count() == 1);
        assert_eq!(world.take_heard(new), [SUCCESS, "PING"], "the former connection has heard it");
        other.into_iter().for_each(|other| assert_eq!(world.take_heard(other), [published(7)]));
        [Some(watcher), Some(old), Some(new), other].into_iter().flatten().for_each(|conn| world.eof(conn));
        world.assert_empty();
    }
}

#[test]
fn who_would_have_missed_more_than_is_kept_is_turned_away_by_the_next_home_too() {
    let (mut world, classroom, [watcher, old]) = school();
    world.store.held = true;
    let new = second(&mut world, 1, classroom);
    for sequence_id in 0..1_025 {
        let counted = say(&mut world, 1, classroom, sequence_id);
        assert_eq!(counted, members(sequence_id, if sequence_id < 1_024 { 2 } else { 1 }));
    }
    world.begin_node();
    world.view(2, 3);
    world.store.held = false;
    world.run();
    assert!(world.take_heard(new)[0].contains("messaging_failed"));
    [watcher, old, new].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}
