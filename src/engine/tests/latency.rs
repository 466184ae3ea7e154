//! How long deliveries take, as it is counted.

use super::world::*;
use crate::{
    engine::{Letter, Since, Topic},
    realtime::{Frame, Moment, ShardId},
};
use std::time::Duration;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn publish(world: &mut World, since: Moment) {
    let (topic, frame) = (Topic::Classroom(room(1)), Frame::from_wire(&[0x81, 1, b'x']));
    let now = world.now;
    world.engines[0].letter(ShardId(0), Letter::Publish { topic, frame, members: 2, since: Since::of(since) }, now);
}

#[test]
fn deliveries_take_from_the_home_to_the_sockets_and_what_is_held_back_to_its_own_send() {
    let mut world = World::new(1);
    let slow = world.session(0, "web", "slow", room(1));
    world.session(0, "web", "quick", room(1));
    let times = world.engines[0].counters().clone();
    let before = times.delivery.read();
    world.stalled.push(slow);
    let begin = world.now.moment;
    let at = |millis| begin + Duration::from_millis(millis);
    world.now.moment = at(2);
    publish(&mut world, at(0));
    world.turn(0);
    world.now.moment = at(11);
    publish(&mut world, at(10));
    world.turn(0);
    let told = times.delivery.read().since(&before);
    assert_eq!((told.count(), told.sum()), (3, 0.005), "two of 2 ms and one of 1 ms");
    world.now.moment = at(510);
    let now = world.now;
    world.in_flight.clear();
    world.engines[0].sent(slow, true, now);
    world.turn(0);
    let told = times.delivery.read().since(&before);
    assert_eq!((told.count(), told.sum(), told.within(-2)), (4, 0.505, 3), "who was busy had his second after 500 ms");
    assert_eq!(world.engines[0].counters().offered.read(), 4 + before.count());
}

#[test]
fn a_shell_that_says_nothing_of_its_sends_counts_nothing_and_keeps_nothing() {
    let mut world = World::new(1);
    world.session(0, "web", "ann", room(1));
    let times = world.engines[0].counters().clone();
    let before = times.delivery.read();
    for _ in 0..3 {
        let since = world.now.moment;
        publish(&mut world, since);
        let mut out = crate::engine::Output::default();
        let now = world.now;
        world.engines[0].finish(now, &mut out);
        out.sends.iter().for_each(|send| world.engines[0].sent(send.conn, true, now));
    }
    let now = world.now.moment;
    world.engines[0].submitted(now);
    assert_eq!(times.delivery.read().since(&before).count(), 1, "of the last turn alone");
}

#[test]
fn handshakes_and_sign_ins_take_as_long_as_the_client_and_the_store() {
    let mut world = World::new(1);
    world.session(0, "web", "ann", room(1));
    let times = world.engines[0].counters().clone();
    assert_eq!((times.handshake.read().count(), times.sign_in.read().count()), (1, 1));
    let conn = world.socket(0);
    world.pass(Duration::from_millis(300));
    world.bytes(conn, UPGRADE.as_bytes());
    assert_eq!((times.handshake.read().count(), times.handshake.read().sum()), (2, 0.3));
    world.store.held = true;
    world.text(conn, &connect_request("web", room(1), &token("bob")));
    world.pass(Duration::from_millis(200));
    assert_eq!(times.sign_in.read().count(), 1, "the row is not on disk");
    world.store.held = false;
    world.run();
    let sign_ins = times.sign_in.read();
    assert_eq!((sign_ins.count(), sign_ins.sum()), (2, 0.2));
}

#[test]
fn tasks_wait_until_their_agent_begins() {
    let mut world = World::new(1);
    let ann = world.guest(0, "ann");
    world.store.held = true;
    world.says(ann, "execute_agent", &serde_json::json!({"agent_id": "tutor", "task": "/count 1 100"}));
    world.pass(Duration::from_millis(250));
    let times = world.engines[0].counters().clone();
    assert_eq!(times.task_wait.read().count(), 0);
    world.store.held = false;
    world.run();
    world.pass(Duration::from_secs(1));
    let waits = times.task_wait.read();
    assert_eq!((waits.count(), waits.sum()), (1, 0.25));
    world.leave_tasks(&[ann]);
}
