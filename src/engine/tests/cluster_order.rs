//! Homes that move while what they said is on its way: nobody hears the next one before he has heard the former one out.

use super::world::*;
use crate::{
    engine::{Answer, Question},
    protocols::presence::asks::{Ask, Publication},
    realtime::{ClassroomId, ConnId, HashRing, NodeSlot, ShardId},
};
use std::sync::Arc;

const PAYLOAD: &str = r#"{"version":"v1"}"#;

fn publish(classroom: ClassroomId, sequence_id: i64) -> Ask {
    let (entity_type, operation, payload) = ("ban".to_owned(), "created".to_owned(), PAYLOAD.into());
    let sequence_id = Some(sequence_id);
    Ask::Publish { classroom, event: Publication { entity_type, operation, sequence_id, payload, receiver: None, sender: None } }
}

fn published(sequence_id: i64) -> String {
    let id = format!(r#"{{"entity_type":"ban","operation":"created","sequence_id":{sequence_id}}}"#);
    format!(r#"{{"id":{id},"payload":{PAYLOAD}}}"#)
}

/// A room that is to move from the second of two nodes to a third, and a member on the first.
fn school() -> (World, ClassroomId, ConnId) {
    let mut world = World::cluster(2, 1);
    let (before, after) = (world.ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let classroom = world.classroom_that_moves((&before, 1), (&after, 2));
    let member = world.session(0, "web", "a", classroom);
    world.heard.clear();
    (world, classroom, member)
}

#[test]
fn what_a_former_home_said_is_heard_before_what_the_next_one_says() {
    let (mut world, classroom, member) = school();
    world.hold_letters_to(0);
    world.engines[1].ask(publish(classroom, 7));
    world.run();
    world.begin_node();
    world.view(2, 3);
    world.engines[2].ask(publish(classroom, 8));
    world.run();
    // What comes from the former home's node comes last.
    let (to, letters) = world.held.take().unwrap();
    let (late, prompt): (Vec<_>, Vec<_>) = letters.into_iter().partition(|(from, _)| from.node() == NodeSlot(1));
    for letters in [prompt, late] {
        letters.into_iter().for_each(|(from, letter)| world.carry(from, to, letter));
        world.run();
    }
    assert_eq!(world.take_heard(member), [published(7), published(8)]);
    world.eof(member);
    world.assert_empty();
}

#[test]
fn what_a_former_home_kept_for_one_whom_it_let_in_too_late_does_not_come_before_he_is_let_in() {
    let (mut world, classroom, member) = school();
    let old = world.session(1, "web", "b", classroom);
    world.store.held = true;
    let new = world.websocket(0, "/ws");
    world.text(new, &connect_request("web", classroom, &token("b")));
    world.engines[1].ask(publish(classroom, 7));
    world.run();
    world.hold_letters_to(0);
    world.store.held = false;
    world.run();
    let (_, letters) = world.held.as_ref().unwrap();
    assert!(letters.len() >= 2, "it is let in, and told what it missed: {letters:?}");
    world.begin_node();
    let after = world.ring(2, 3);
    world.view_comes(after.shards().next().unwrap(), &after);
    world.let_letters_go();
    world.view(2, 3);
    let heard = world.take_heard(new);
    assert_eq!(heard[0], SUCCESS, "{heard:?}");
    [member, old, new].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn a_row_that_was_given_to_another_node_as_the_room_moved_is_given_back_before_the_next_home_asks_for_it() {
    let (mut world, classroom, member) = school();
    world.store.held = true;
    let new = world.websocket(1, "/ws");
    world.text(new, &connect_request("web", classroom, &token("a")));
    world.begin_node();
    world.view(2, 3);
    let is_for = |node: u8| {
        move |question: &Question| {
            let Question::Enter { entering, .. } = question else { return false };
            (entering.node, entering.session) == (NodeSlot(node), Some(1))
        }
    };
    let at = world.questions.iter().position(|(place, question)| *place == 1 && is_for(1)(question)).unwrap();
    let (place, Question::Enter { ticket, .. }) = world.questions.remove(at).unwrap() else { panic!("a row") };
    let now = world.now;
    world.engines[place].answer(Answer::Entered { ticket, result: Ok(1) }, now);
    world.run();
    assert!(world.questions.iter().any(|(place, question)| *place == 1 && is_for(0)(question)), "{:?}", world.questions);
    assert!(world.engines.iter().all(|engine| !engine.is_whole()), "and until then the next home waits");
    world.store.held = false;
    world.run();
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
    assert_eq!(world.take_heard(new), [SUCCESS, "PING"]);
    [member, new].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn who_was_let_in_by_a_home_that_is_two_views_behind_and_has_gone_keeps_no_row() {
    let (first, second, third) = (ring_of(1, 2), ring_of(2, 3), ring_of(3, 4));
    let homes = [(&first, 1), (&second, 2), (&third, 3)];
    let is_fit = |room: &ClassroomId| homes.iter().all(|(ring, slot)| ring.home(room.as_bytes()).node() == NodeSlot(*slot));
    let classroom = (1..).map(ClassroomId::from_u128).find(is_fit).unwrap();
    let mut world = World::cluster(2, 1);
    let watcher = world.session(0, "web", "w", classroom);
    world.store.held = true;
    let conn = world.websocket(0, "/ws");
    world.text(conn, &connect_request("web", classroom, &token("a")));
    // The next home hears of who is there, and of who asks and goes, and has to leave the room before the first one has left it.
    world.begin_node();
    [0, 2].into_iter().for_each(|slot| world.view_comes(ShardId::of(NodeSlot(slot), 0), &second));
    world.run();
    world.eof(conn);
    world.begin_node();
    [0, 2, 3].into_iter().for_each(|slot| world.view_comes(ShardId::of(NodeSlot(slot), 0), &third));
    world.store.held = false;
    world.run();
    assert_eq!(world.store.rows.len(), 2, "the first home lets in who has gone");
    [&second, &third].into_iter().for_each(|ring| world.view_comes(ShardId::of(NodeSlot(1), 0), ring));
    world.run();
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
    assert_eq!(world.take_heard(watcher), [change("entered", "web.a.school", 2), change("left", "web.a.school", 2)]);
    assert_eq!(world.store.rows, [(1, "web.w.school".into())]);
    world.eof(watcher);
    world.assert_empty();
}

#[test]
fn who_asks_and_goes_while_a_room_is_away_and_comes_back_is_not_let_in() {
    let mut world = World::cluster(3, 2);
    let first = world.ring(1, 3);
    world.kill(2);
    let [second, third, fourth] = [(2, 4), (3, 5), (4, 4)].map(|(number, nodes)| world.ring(number, nodes));
    let home = ShardId::of(NodeSlot(0), 0);
    let node = |ring: &HashRing, room: &ClassroomId| ring.home(room.as_bytes()).node().0;
    let is_fit = |room: &ClassroomId| {
        node(&first, room) == 2 && second.home(room.as_bytes()) == home && node(&third, room) == 4 && node(&fourth, room) == 0
    };
    let classroom = (1..).map(ClassroomId::from_u128).find(is_fit).unwrap();
    world.begin_node();
    world.begin_node();
    let to = |world: &mut World, slots: &[u8], ring: &Arc<HashRing>| {
        ring.shards().filter(|shard| slots.contains(&shard.node().0)).for_each(|shard| world.view_comes(shard, ring));
        world.run();
    };
    // The fourth node says nothing, so that who asks waits for the view.
    to(&mut world, &[0, 1], &second);
    let conn = world.websocket(1, "/ws");
    world.text(conn, &connect_request("web", classroom, &token("a")));
    // The room is elsewhere when his home hears that he has gone.
    world.hold_letters_to(0);
    world.eof(conn);
    world.view_comes(home, &third);
    world.let_letters_go();
    to(&mut world, &[0, 1], &third);
    to(&mut world, &[0, 1, 3], &fourth);
    assert!(world.engines[..4].iter().all(|engine| engine.is_whole()));
    assert_eq!(world.store.rows, []);
}

fn ring_of(number: u64, nodes: u8) -> Arc<HashRing> {
    World::cluster(nodes, 1).ring(number, nodes)
}
