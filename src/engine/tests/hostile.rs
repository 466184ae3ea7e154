//! Those who mean harm: strangers under another's name, numbers from the edge, texts without bottom.

use super::world::*;
use crate::protocols::presence::asks::{Ask, Publication, Reply};
use std::time::Duration;

/// Publishes to room 1; returns the number.
fn publish(world: &mut World, sequence_id: Option<i64>) -> i64 {
    let event = Publication {
        entity_type: "ban".into(),
        operation: "created".into(),
        sequence_id,
        payload: "{}".into(),
        receiver: None,
        sender: None,
    };
    match world.ask(0, Ask::Publish { classroom: room(1), event }) {
        Reply::Published { sequence_id, .. } => sequence_id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stranger_whose_agent_id_reads_the_same_replaces_nobody() {
    for shards in [1, 2] {
        let mut world = World::new(shards);
        let other = usize::from(shards) - 1;
        let watcher = world.session(0, "web", "w", room(1));
        let victim = world.session(0, "web", "anna.smith", room(1));
        assert_eq!(world.take_heard(watcher), [change("entered", "web.anna.smith.school", 2)]);
        let stranger = world.websocket(other, "/ws");
        world.text(stranger, &connect_request("web.anna", room(1), &token("smith")));
        assert_eq!(world.take_heard(stranger), [failure("access_denied", "Access denied", 403), "CLOSE".into(), "FIN".into()]);
        world.eof(stranger);
        assert_eq!(world.take_heard(victim), [] as [String; 0]);
        assert_eq!(world.take_heard(watcher), [] as [String; 0]);
        // Elsewhere, or when the other has left, the stranger is an agent like any other.
        let elsewhere = world.session(other, "web.anna", "smith", room(2));
        world.eof(victim);
        let returned = world.session(other, "web.anna", "smith", room(1));
        for conn in [watcher, elsewhere, returned] {
            world.eof(conn);
        }
        world.assert_empty();
    }
}

#[test]
fn a_stranger_is_refused_also_while_the_row_of_the_other_is_written() {
    let mut world = World::new(1);
    world.store.held = true;
    let first = world.websocket(0, "/ws");
    world.text(first, &connect_request("a", room(1), &token("b.c")));
    let stranger = world.websocket(0, "/ws");
    world.text(stranger, &connect_request("a.b", room(1), &token("c")));
    assert_eq!(world.take_heard(stranger)[0], failure("access_denied", "Access denied", 403));
    world.store.held = false;
    world.run();
    assert_eq!(world.take_heard(first), [SUCCESS, "PING"]);
    world.eof(stranger);
    world.eof(first);
    world.assert_empty();
}

#[test]
fn numbers_of_publications_rise_also_when_the_room_was_empty_in_between() {
    let mut world = World::new(1);
    let mut last = 0;
    for _ in 0..3 {
        let conn = world.session(0, "web", "a", room(1));
        for _ in 0..3 {
            let number = publish(&mut world, None);
            assert!(number > last, "{number} after {last}");
            assert!(number < 1 << 53, "a number that JavaScript can hold");
            last = number;
        }
        world.eof(conn);
        world.pass(Duration::from_millis(5));
    }
}

#[test]
fn the_largest_number_is_followed_by_no_overflow() {
    let mut world = World::new(1);
    world.session(0, "web", "a", room(1));
    assert_eq!(publish(&mut world, Some(i64::MAX)), i64::MAX);
    assert_eq!(publish(&mut world, None), i64::MAX);
}

#[test]
fn deep_nesting_is_no_way_to_the_end_of_the_stack() {
    let mut world = World::new(1);
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let depth = 9_000;
        let nested = [&open.repeat(depth), "1", &close.repeat(depth)].concat();
        let text = connect_request("web", room(1), &token("a")).replacen('{', &format!(r#"{{"x":{nested},"#), 1);
        let conn = world.websocket(0, "/ws");
        let mut frame = vec![0x81, 0x80 | 127];
        frame.extend_from_slice(&(text.len() as u64).to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(text.as_bytes());
        world.bytes(conn, &frame);
        assert!(text.len() < 64 << 10);
        assert_eq!(world.take_heard(conn)[0], failure("serialization_failed", "Serialization failed", 422));
        world.eof(conn);
    }
    world.assert_empty();
}
