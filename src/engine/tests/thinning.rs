//! A paced drain: one by one, `terminated` first, and the stop behind it tells nobody twice.

use super::world::{World, room};
use crate::{engine::thinning::Pace, realtime::ConnId};
use std::time::Duration;

const PACE: Pace = Pace { lead: Duration::from_secs(5), over: Duration::from_secs(20), grace: Duration::from_secs(4) };
const TERMINATED: &str =
    r#"{"type":"recoverable_session_error","payload":{"type":"terminated","title":"terminated","status":422}}"#;

fn thin(world: &mut World) {
    let now = world.now;
    world.engines.iter_mut().for_each(|engine| engine.thin(PACE, now));
    world.run();
}

/// When each of these hears the first words of this kind, in whole seconds from now on.
fn times(world: &mut World, conns: &[ConnId], words: &str, seconds: u64) -> Vec<u64> {
    let mut times = vec![0; conns.len()];
    for second in 1..=seconds {
        world.pass(Duration::from_secs(1));
        for (time, conn) in times.iter_mut().zip(conns) {
            let heard = world.take_heard(*conn);
            if heard.iter().any(|heard| heard == "PING") {
                world.frame(*conn, 10, b"");
            }
            if heard.iter().any(|heard| heard == words) {
                assert_eq!(*time, 0, "said once");
                *time = second;
            }
        }
    }
    times
}

#[test]
fn those_in_classrooms_are_told_at_their_turn_and_closed_after_a_grace() {
    let mut world = World::new(2);
    let conns: Vec<ConnId> = (0..10).map(|n| world.session(n % 2, "a", &format!("s{n}"), room(n as u128))).collect();
    thin(&mut world);
    let told = times(&mut world, &conns, TERMINATED, 24);
    let mut sorted = told.clone();
    sorted.sort_unstable();
    // Of each shard five, every four seconds one, from the middle of the first four on.
    assert_eq!(sorted[..8], [7, 7, 11, 11, 15, 15, 19, 19], "{told:?}");
    assert_eq!(sorted.iter().filter(|time| **time == 0).count(), 0, "{told:?}");
}

#[test]
fn others_are_closed_at_their_turn_and_who_comes_meanwhile_stays_until_the_stop() {
    let mut world = World::new(1);
    let echo: Vec<ConnId> = (0..4).map(|_| world.websocket(0, "/echo")).collect();
    let head = world.socket(0);
    let live = world.session(0, "a", "live", room(1));
    thin(&mut world);
    let late = world.session(0, "b", "late", room(1));
    world.take_heard(live);
    let closed = times(&mut world, &echo, "CLOSE 1012", 26);
    assert!(closed.iter().all(|time| (6..=25).contains(time)), "{closed:?}");
    assert!(world.take_heard(head).contains(&"END".to_owned()), "its time for a first request was over");
    let heard = world.take_heard(late);
    assert!(!heard.iter().any(|words| words.starts_with("CLOSE") || words == TERMINATED), "{heard:?}");
    let again = world.session(0, "a", "live", room(1));
    world.frame(late, 10, b"");
    world.drain();
    assert_eq!(world.take_heard(late).last().map(String::as_str), Some(TERMINATED));
    assert_eq!(world.take_heard(again), [TERMINATED]);
    world.close();
    assert_eq!(world.take_heard(late), ["CLOSE 1012", "FIN"]);
    for conn in [&echo[..], &[live, late, again]].concat() {
        world.eof(conn);
    }
    world.assert_empty();
}

#[test]
fn a_stop_in_the_midst_of_it_tells_nobody_twice() {
    let mut world = World::new(1);
    let conns: Vec<ConnId> = (0..4).map(|n| world.session(0, "a", &format!("s{n}"), room(n))).collect();
    thin(&mut world);
    // One has had his turn, and is there still.
    world.pass(Duration::from_secs(8));
    world.drain();
    for conn in &conns {
        let heard = world.take_heard(*conn);
        assert_eq!(heard.iter().filter(|words| *words == TERMINATED).count(), 1, "{heard:?}");
    }
    world.pass(PACE.over);
    let closed = conns.iter().flat_map(|conn| world.take_heard(*conn)).any(|words| words.starts_with("CLOSE 1012"));
    assert!(!closed, "the stop has its own time");
    let seated = world.session(0, "b", "s9", room(9));
    world.close();
    assert_eq!(world.take_heard(seated), ["CLOSE 1012", "FIN"]);
}
