//! What operators ask of a shard: who is ended and who is not, which rooms are told and with which rate, and who reads slowly.

use super::world::*;
use crate::{
    engine::{Answer, Errand, Limits},
    protocols::presence::{
        Settings,
        asks::{Ask, Publication},
    },
    realtime::{
        ConnId,
        survey::{Chore, Done, Looked, Most, Whom},
    },
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// What a shard makes of a chore, the way that the house asks for it.
fn ask(world: &mut World, shard: usize, chore: Chore) -> Done {
    let told = Arc::new(Mutex::new(None));
    let tell = told.clone();
    let reply = Box::new(move |done| *tell.lock().unwrap() = Some(done));
    let now = world.now;
    world.engines[shard].answer(Answer::Errand(Errand { chore, reply }), now);
    world.run();
    let done = told.lock().unwrap().take();
    done.expect("it is answered at once")
}

fn kick(world: &mut World, shard: usize, whom: Whom) -> u64 {
    match ask(world, shard, Chore::Kick(whom)) {
        Done::Kicked(count) => count,
        other @ Done::Looked(_) => panic!("{other:?}"),
    }
}

fn look(world: &mut World, shard: usize) -> Looked {
    match ask(world, shard, Chore::Look(Most { rooms: 2, readers: 2 })) {
        Done::Looked(looked) => looked,
        other @ Done::Kicked(_) => panic!("{other:?}"),
    }
}

fn publish(world: &mut World, classroom: u128, bytes: usize) {
    let event = Publication {
        entity_type: "load".into(),
        operation: "tick".into(),
        sequence_id: None,
        payload: format!(r#"{{"pad":"{}"}}"#, "x".repeat(bytes)).into(),
        receiver: None,
        sender: None,
    };
    world.ask(0, Ask::Publish { classroom: room(classroom), event });
}

fn ends(world: &mut World, conns: &[ConnId]) {
    conns.iter().for_each(|conn| world.eof(*conn));
    world.assert_empty();
}

#[test]
fn a_users_connections_are_ended_with_1008_and_nobody_elses() {
    let mut world = World::new(1);
    let web = world.session(0, "web", "ada", room(1));
    let phone = world.session(0, "phone", "ada", room(2));
    let other = world.session(0, "web", "adam", room(1));
    world.take_heard(web);
    world.take_heard(phone);
    world.take_heard(other);
    assert_eq!(kick(&mut world, 0, Whom::User("nobody".into())), 0);
    assert_eq!(kick(&mut world, 0, Whom::User("ada".into())), 2);
    assert_eq!(kick(&mut world, 0, Whom::User("ada".into())), 0, "they are ending already");
    for conn in [web, phone] {
        assert_eq!(world.take_heard(conn).last_chunk(), Some(&["CLOSE 1008".to_owned(), "FIN".to_owned()]));
    }
    assert_eq!(world.take_heard(other), [change("left", "web.ada.school", 1)], "the room hears of it");
    ends(&mut world, &[web, phone, other]);
}

#[test]
fn a_user_is_known_by_subject_account_and_agent_id() {
    for name in ["ada", "ada.school", "web.ada.school"] {
        let mut world = World::new(1);
        let conn = world.session(0, "web", "ada", room(1));
        assert_eq!(kick(&mut world, 0, Whom::User(name.into())), 1, "{name}");
        ends(&mut world, &[conn]);
    }
}

#[test]
fn a_classroom_is_emptied_and_one_connection_goes_alone() {
    let mut world = World::new(2);
    let first = world.session(1, "web", "ada", room(1));
    let second = world.session(1, "web", "bob", room(1));
    let elsewhere = world.session(1, "web", "cleo", room(2));
    assert_eq!(kick(&mut world, 0, Whom::Connection(first)), 0, "it is on another shard");
    assert_eq!(kick(&mut world, 1, Whom::Connection(first)), 1);
    assert_eq!(kick(&mut world, 1, Whom::Classroom(room(1))), 1);
    for conn in [first, second] {
        assert!(world.take_heard(conn).contains(&"CLOSE 1008".to_owned()));
    }
    let stale = ConnId { generation: elsewhere.generation.wrapping_add(1), ..elsewhere };
    assert_eq!(kick(&mut world, 1, Whom::Connection(stale)), 0);
    assert!(!world.take_heard(elsewhere).contains(&"CLOSE 1008".to_owned()));
    ends(&mut world, &[first, second, elsewhere]);
}

#[test]
fn rooms_are_told_by_members_and_by_rate_while_somebody_looks() {
    let mut world = World::new(1);
    let mut conns = Vec::new();
    for (classroom, members) in [(1, 4), (2, 3), (3, 1), (4, 1)] {
        for member in 0..members {
            conns.push(world.session(0, "web", &format!("s{member}"), room(classroom)));
        }
    }
    publish(&mut world, 4, 1);
    let first = look(&mut world, 0);
    assert!(first.rooms.iter().all(|room| room.rate.is_none()), "nobody counted: {first:?}");
    for _ in 0..5 {
        publish(&mut world, 4, 1);
    }
    publish(&mut world, 1, 1);
    world.pass(Duration::from_secs(1));
    let seen = look(&mut world, 0);
    let told: Vec<_> =
        seen.rooms.iter().map(|seen| (seen.classroom.as_u128(), seen.members, seen.rate.unwrap().round())).collect();
    assert_eq!(told, [(1, 4, 1.0), (2, 3, 0.0), (4, 1, 5.0)], "two by members and two by rate");
    assert_eq!(look(&mut world, 0), seen, "a second who looks at the same moment hears the same");
    world.pass(Duration::from_secs(11));
    assert!(look(&mut world, 0).rooms.iter().all(|room| room.rate.is_none()), "nobody looked for long");
    ends(&mut world, &conns);
}

#[test]
fn who_reads_slowly_is_told_until_he_has_read() {
    let limits = Limits { outbox_bytes: 8_000, ..Limits::default() };
    let mut world = World::with(1, Settings::default(), limits);
    let slow = world.session(0, "web", "slow", room(1));
    let quick = world.session(0, "web", "quick", room(1));
    assert_eq!(look(&mut world, 0).readers, []);
    world.stalled.push(slow);
    for _ in 0..3 {
        publish(&mut world, 1, 1_000);
    }
    let seen = look(&mut world, 0).readers;
    let [reader] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((reader.conn, reader.api, reader.user.as_deref(), reader.bound), (slow, "presence", Some("slow"), 8_000));
    assert!((3_000..8_000).contains(&reader.waiting), "{reader:?}");
    world.stalled.clear();
    world.in_flight.clear();
    let now = world.now;
    world.engines[0].sent(slow, true, now);
    world.run();
    assert_eq!(look(&mut world, 0).readers, []);
    ends(&mut world, &[slow, quick]);
}
