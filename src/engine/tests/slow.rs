//! Those who do not read: bounded, told, cut; and nobody else waits for them.

use super::world::*;
use crate::{
    engine::{Letter, Limits, Since, Topic},
    protocols::presence::{
        Settings,
        asks::{Ask, Publication, Reply},
    },
    realtime::{ConnId, Frame, ShardId},
};
use std::time::Duration;

fn publication(bytes: usize, receiver: Option<&str>) -> Ask {
    let event = Publication {
        entity_type: "load".into(),
        operation: "tick".into(),
        sequence_id: None,
        payload: format!(r#"{{"pad":"{}"}}"#, "x".repeat(bytes)).into(),
        receiver: receiver.map(str::to_owned),
        sender: None,
    };
    Ask::Publish { classroom: room(1), event }
}

fn publish(world: &mut World, bytes: usize) {
    let reply = world.ask(0, publication(bytes, None));
    assert!(matches!(reply, Reply::Published { .. }));
}

#[test]
fn a_slow_reader_is_cut_and_the_others_miss_nothing() {
    let limits = Limits { outbox_bytes: 4_000, ..Limits::default() };
    let mut world = World::with(2, Settings::default(), limits);
    let slow = world.session(1, "web", "slow", room(1));
    let quick = world.session(1, "web", "quick", room(1));
    world.take_heard(slow);
    world.stalled.push(slow);
    for _ in 0..4 {
        publish(&mut world, 1_000);
    }
    let texts = |heard: Vec<String>| heard.iter().filter(|words| words.contains("tick")).count();
    let heard = world.take_heard(quick);
    assert_eq!(heard.last(), Some(&change("left", "web.slow.school", 1)));
    assert_eq!(texts(heard), 4);
    let counters = world.engines[1].counters().clone();
    assert_eq!((counters.slow_readers.read(), counters.dropped_slow.read()), (1, 3), "one was in flight already");
    publish(&mut world, 10);
    assert_eq!(texts(world.take_heard(quick)), 1);
    world.stalled.clear();
    let in_flight = std::mem::take(&mut world.in_flight);
    assert_eq!(in_flight.len(), 1);
    let now = world.now;
    world.engines[1].sent(slow, true, now);
    world.run();
    assert_eq!(world.take_heard(slow), ["CLOSE 1013", "FIN"], "between whole frames");
    world.eof(slow);
    world.eof(quick);
    let delivered = counters.delivered.read();
    let dropped = counters.dropped_slow.read() + counters.dropped_gone.read();
    assert_eq!(delivered, 6 + 2, "five publications and a `left` to the quick; an `entered` and one publication to the slow");
    assert_eq!(dropped, 3);
    world.assert_empty();
}

#[test]
fn one_that_never_takes_its_goodbye_is_cut_after_the_close_time() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    let mut world = World::with(1, Settings::default(), limits);
    let slow = world.session(0, "web", "slow", room(1));
    world.stalled.push(slow);
    publish(&mut world, 800);
    publish(&mut world, 800);
    assert_eq!(world.take_heard(slow), [] as [String; 0]);
    world.pass(Duration::from_millis(5_010));
    assert_eq!(world.take_heard(slow), ["END"]);
    world.assert_empty();
}

#[test]
fn the_last_words_are_queued_however_much_waits() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    type End = fn(&mut World, ConnId);
    let replaced: End = |world, _| {
        world.session(0, "web", "slow", room(1));
    };
    let closed: End = |world, slow| world.frame(slow, 8, &1000_u16.to_be_bytes());
    let at_fault: End = |world, slow| world.bytes(slow, &[0x81, 1, b'x']);
    let ends: [(End, &str); 3] = [(replaced, "CLOSE"), (closed, "CLOSE 1000"), (at_fault, "CLOSE 1002")];
    for (end, close) in ends {
        let mut world = World::with(1, Settings::default(), limits.clone());
        let slow = world.session(0, "web", "slow", room(1));
        world.stalled.push(slow);
        publish(&mut world, 1_000);
        end(&mut world, slow);
        world.stalled.clear();
        world.in_flight.clear();
        let now = world.now;
        world.engines[0].sent(slow, true, now);
        world.run();
        let heard = world.take_heard(slow);
        assert!(heard.iter().any(|words| words == close), "{close}: {heard:?}");
    }
}

#[test]
fn one_that_missed_a_frame_hears_only_its_last_words() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    let mut world = World::with(1, Settings::default(), limits);
    let slow = world.session(0, "web", "slow", room(1));
    world.stalled.push(slow);
    publish(&mut world, 600);
    // All in one turn: what does not fit, what would, and the end for another reason.
    world.engines[0].ask(publication(600, None));
    world.engines[0].ask(publication(10, Some("web.slow.school")));
    world.engines[0].ask(Ask::Close { classroom: room(1), agent_id: "web.slow.school".into() });
    world.run();
    world.stalled.clear();
    world.in_flight.clear();
    let now = world.now;
    world.engines[0].sent(slow, true, now);
    world.run();
    assert_eq!(world.take_heard(slow), [failure("replaced", "Replaced", 422), "CLOSE".into(), "FIN".into()]);
    world.eof(slow);
    let counters = world.engines[0].counters();
    assert_eq!((counters.offered.read(), counters.delivered.read(), counters.dropped_slow.read()), (3, 1, 2));
}

#[test]
fn a_message_larger_than_the_bound_still_reaches_one_who_reads() {
    let limits = Limits { outbox_bytes: 1_000, ..Limits::default() };
    let mut world = World::with(1, Settings::default(), limits);
    let reader = world.session(0, "web", "a", room(1));
    publish(&mut world, 300_000);
    assert_eq!(world.take_heard(reader).len(), 1);
}

#[test]
fn a_burst_within_one_turn_cuts_nobody_who_reads() {
    let limits = Limits { outbox_bytes: 10_000, ..Limits::default() };
    let mut world = World::with(2, Settings::default(), limits);
    let readers = [world.session(0, "web", "a", room(1)), world.session(1, "web", "b", room(1))];
    world.take_heard(readers[0]);
    let payload = format!(r#"{{"pad":"{}"}}"#, "x".repeat(1_000));
    for _ in 0..500 {
        let payload = payload.clone().into();
        let (entity_type, operation) = ("load".into(), "tick".into());
        let event = Publication { entity_type, operation, sequence_id: None, payload, receiver: None, sender: None };
        world.engines[0].ask(Ask::Publish { classroom: room(1), event });
    }
    world.run();
    for reader in readers {
        assert_eq!(world.take_heard(reader).len(), 500, "half a megabyte, and not one is missing");
    }
}

#[test]
fn pings_without_end_from_one_who_reads_nothing_cost_no_more_than_the_outbox_may_hold() {
    let limits = Limits { outbox_bytes: 64 << 10, ..Limits::default() };
    let mut world = World::with(1, Settings::default(), limits);
    let conn = world.session(0, "web", "a", room(1));
    world.stalled.push(conn);
    // Each Pong is two bytes, and a segment of its own: what a segment costs counts.
    let mut pings = 0;
    while world.engines[0].counters().slow_readers.read() == 0 {
        world.frame(conn, 9, b"");
        pings += 1;
        assert!(pings < 2_000, "it is cut long before its outbox holds as many segments as bytes");
    }
    world.eof(conn);
}

#[test]
fn a_listener_that_its_home_still_counts_is_a_drop() {
    let mut world = World::new(2);
    let there = world.session(1, "web", "a", room(1));
    let now = world.now;
    let publish = |members| Letter::Publish {
        topic: Topic::Classroom(room(1)),
        frame: Frame::from_wire(&[0x81, 1, b'x']),
        members,
        since: Since::default(),
    };
    world.engines[1].letter(ShardId(1), publish(3), now);
    world.run();
    assert_eq!(world.take_heard(there), ["x"]);
    let counters = world.engines[1].counters();
    assert_eq!([&counters.offered, &counters.delivered, &counters.dropped_absent].map(|count| count.read()), [1, 1, 2]);
}
