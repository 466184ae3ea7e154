//! What other services say to a room, what somebody hears who comes by a second connection meanwhile, and who was in a node's last life.

use super::world::*;
use crate::{
    engine::{Answer, Heard},
    protocols::presence::{asks::Publication, record::Buried},
    realtime::{ClassroomId, NodeSlot},
};

fn says(world: &mut World, shard: usize, classroom: ClassroomId, number: u64, (sender, receiver): (&str, Option<&str>)) {
    let event = Publication {
        entity_type: "ban".into(),
        operation: "created".into(),
        sequence_id: Some(number as i64),
        payload: "{}".into(),
        receiver: receiver.map(str::to_owned),
        sender: Some(sender.into()),
    };
    let (answer, now) = (Answer::Outside { ticket: number + 100, classroom, event: Box::new(event) }, world.now);
    world.engines[shard].answer(answer, now);
}

fn heard(world: &mut World, shard: usize) -> Vec<(u64, u64)> {
    let told: Vec<Heard> = world.engines[shard].heard_outside().drain(..).collect();
    told.iter().for_each(|told| assert_eq!(told.ticket, told.sequence_id as u64 + 100));
    told.into_iter().map(|told| (told.ticket - 100, told.members)).collect()
}

fn event(number: u64) -> String {
    format!(r#"{{"id":{{"entity_type":"ban","operation":"created","sequence_id":{number}}},"payload":{{}}}}"#)
}

#[test]
fn everybody_hears_a_service_but_who_says_it() {
    for home in 0..3 {
        let mut world = World::cluster(3, 2);
        let classroom = world.classroom_at(&world.ring(1, 3), home);
        let agents = ["a", "b", "c", "d"];
        // Two on one shard, one on another of the same node, one elsewhere.
        let conns: Vec<_> =
            [0, 0, 1, 4].into_iter().zip(agents).map(|(at, agent)| world.session(at, "web", agent, classroom)).collect();
        world.heard.clear();
        for (number, agent) in agents.iter().enumerate() {
            says(&mut world, 3, classroom, number as u64, (&format!("web.{agent}.school"), None));
        }
        says(&mut world, 3, classroom, 4, ("web.a.school", Some("web.b.school")));
        says(&mut world, 3, classroom, 5, ("web.a.school", Some("web.a.school")));
        says(&mut world, 3, classroom, 6, ("web.nobody.school", None));
        world.run();
        assert_eq!(heard(&mut world, 3), [(0, 3), (1, 3), (2, 3), (3, 3), (4, 1), (5, 0), (6, 4)]);
        for (own, conn) in conns.iter().enumerate() {
            let numbers = (0..7).filter(|number| *number != own as u64 && *number != 5 && (*number != 4 || own == 1));
            assert_eq!(world.take_heard(*conn), numbers.map(event).collect::<Vec<_>>(), "{own}");
        }
        conns.into_iter().for_each(|conn| world.eof(conn));
        world.assert_empty();
    }
}

#[test]
fn what_is_said_while_a_key_goes_from_one_connection_to_another_is_heard_by_the_new_one() {
    for home in 0..2 {
        let mut world = World::cluster(2, 1);
        let classroom = world.classroom_at(&world.ring(1, 2), home);
        let (old, other) = (world.session(0, "web", "a", classroom), world.session(1, "web", "b", classroom));
        world.heard.clear();
        world.store.held = true;
        let new = world.websocket(1, "/ws");
        world.text(new, &connect_request("web", classroom, &token("a")));
        assert_eq!(world.take_heard(old), [failure("replaced", "Replaced", 422), "CLOSE".into(), "FIN".into()]);
        for (number, receiver) in [(1, None), (2, Some("web.a.school"))] {
            says(&mut world, 0, classroom, number, ("web.x.school", receiver));
        }
        says(&mut world, 0, classroom, 3, ("web.a.school", None));
        world.run();
        assert_eq!(heard(&mut world, 0), [(1, 2), (2, 1), (3, 1)]);
        assert_eq!(world.take_heard(other), [event(1), event(3)]);
        assert_eq!(world.heard, []);
        world.store.held = false;
        world.run();
        assert_eq!(world.take_heard(new), [SUCCESS.into(), "PING".into(), event(1), event(2)]);
        [old, other, new].into_iter().for_each(|conn| world.eof(conn));
        world.assert_empty();
    }
}

#[test]
fn whoever_would_miss_something_is_turned_away_and_comes_again() {
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    let (old, other) = (world.session(0, "web", "a", classroom), world.session(1, "web", "b", classroom));
    world.store.held = true;
    let new = world.websocket(1, "/ws");
    world.text(new, &connect_request("web", classroom, &token("a")));
    world.heard.clear();
    for number in 0..1_025 {
        says(&mut world, 0, classroom, number, ("web.x.school", None));
    }
    world.store.held = false;
    world.run();
    let failed = failure("messaging_failed", "Messaging failed", 422);
    assert_eq!(world.take_heard(new), [failed, "CLOSE".into(), "FIN".into()]);
    let mut told = world.take_heard(other);
    assert_eq!(told.pop(), Some(change("left", "web.a.school", 1)));
    assert_eq!(told, (0..1_025).map(event).collect::<Vec<_>>());
    let again = world.session(1, "web", "a", classroom);
    [old, other, new, again].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn whoever_was_in_the_last_life_of_a_node_has_left_once() {
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(1, 2), 1);
    let watcher = world.session(0, "web", "w", classroom);
    world.session(1, "web", "a", classroom);
    world.heard.clear();
    let buried = vec![Buried { classroom, agent_id: "web.a.school".into(), session: 2, is_over: true }];
    // It is back in its slot, as another: the rooms that were at home there know of nobody.
    world.reborn(1);
    world.engines[1].mourn((NodeSlot(1), 11), buried);
    world.view_of(2, &[10, 99]);
    assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
    world.eof(watcher);
    world.store.rows.clear();
    world.assert_empty();
}
