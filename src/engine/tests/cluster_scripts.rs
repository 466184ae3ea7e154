//! Presence over several nodes: what people hear is what they hear on one.

use super::world::*;
use crate::{
    engine::{Answer, Question},
    protocols::{
        presence::{
            asks::{Ask, Member, Reply},
            record::Buried,
        },
        quiz::{
            asks::{Ask as QuizAsk, Reply as QuizReply},
            record::{Kept, Record},
        },
    },
    realtime::{ClassroomId, ConnId, NodeSlot},
};

/// Runs a script with the room's home on each node of three.
fn wherever_the_home_is(script: impl Fn(&mut World, ClassroomId)) {
    for home in 0..3 {
        let mut world = World::cluster(3, 2);
        let ring = world.ring(1, 3);
        let classroom = world.classroom_at(&ring, home);
        script(&mut world, classroom);
    }
}

fn replaced() -> String {
    failure("replaced", "Replaced", 422)
}

fn members(world: &mut World, place: usize, classroom: ClassroomId) -> Vec<(i64, String)> {
    match world.ask(place, Ask::Members { classroom, after: 0, limit: 10 }) {
        Reply::Members(members) => members.into_iter().map(|Member { sequence_id, agent_id }| (sequence_id, agent_id)).collect(),
        other => panic!("{other:?}"),
    }
}

fn leave(world: &mut World, conn: ConnId) {
    world.frame(conn, 8, &1000_u16.to_be_bytes());
    assert_eq!(world.take_heard(conn), ["CLOSE 1000", "END"]);
}

#[test]
fn others_hear_who_comes_and_goes_whatever_node_they_are_on() {
    wherever_the_home_is(|world, classroom| {
        let watchers = [world.session(0, "web", "v", classroom), world.session(5, "web", "w", classroom)];
        world.heard.clear();
        let agent = world.session(3, "web", "a", classroom);
        for watcher in watchers {
            assert_eq!(world.take_heard(watcher), [change("entered", "web.a.school", 3)]);
        }
        assert_eq!(members(world, 4, classroom).len(), 3);
        leave(world, agent);
        for watcher in watchers {
            assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 3)]);
        }
        watchers.into_iter().for_each(|watcher| world.eof(watcher));
        world.assert_empty();
    });
}

#[test]
fn a_sign_in_on_another_node_closes_the_first_and_keeps_its_number() {
    wherever_the_home_is(|world, classroom| {
        let watcher = world.session(1, "web", "w", classroom);
        let old = world.session(2, "web", "a", classroom);
        world.take_heard(watcher);
        let new = world.websocket(4, "/ws");
        world.text(new, &connect_request("web", classroom, &token("a")));
        let heard = std::mem::take(&mut world.heard);
        let order: Vec<(ConnId, String)> = heard.into_iter().filter(|(_, words)| words != "FIN").collect();
        let expected = [(old, replaced()), (old, "CLOSE".into()), (new, SUCCESS.into()), (new, "PING".into())];
        assert_eq!(order, expected, "and the watcher hears nothing");
        assert_eq!(members(world, 0, classroom), [(1, "web.w.school".into()), (2, "web.a.school".into())]);
        assert_eq!(world.store.rows.len(), 2);
        [old, new].into_iter().for_each(|conn| world.eof(conn));
        assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
        world.eof(watcher);
        world.assert_empty();
    });
}

#[test]
fn a_row_that_another_node_takes_over_is_asked_for_by_its_number() {
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    world.session(0, "web", "a", classroom);
    world.store.held = true;
    let new = world.websocket(1, "/ws");
    world.text(new, &connect_request("web", classroom, &token("a")));
    let asked: Vec<_> = world.questions.iter().map(|(_, question)| question).collect();
    let [Question::Enter { entering, ticket }] = asked[..] else { panic!("{asked:?}") };
    assert_eq!((entering.node, entering.session), (NodeSlot(1), Some(1)));
    // One whose row is gone meanwhile gets another.
    let (ticket, now) = (*ticket, world.now);
    world.engines[0].answer(Answer::Entered { ticket, result: Ok(7) }, now);
    world.questions.clear();
    world.run();
    assert_eq!(world.take_heard(new), [SUCCESS, "PING"]);
    assert_eq!(members(&mut world, 1, classroom), [(7, "web.a.school".into())]);
}

#[test]
fn a_node_that_comes_takes_rooms_over_and_nobody_notices() {
    let mut world = World::cluster(2, 2);
    let (before, after) = (world.ring(1, 2), world.ring(2, 3));
    let classroom = world.classroom_that_moves((&before, 1), (&after, 2));
    let conns = [world.session(0, "web", "a", classroom), world.session(3, "web", "b", classroom)];
    world.heard.clear();
    world.begin_node();
    world.view(2, 3);
    assert_eq!(world.heard, []);
    assert_eq!(members(&mut world, 1, classroom), [(1, "web.a.school".into()), (2, "web.b.school".into())]);
    leave(&mut world, conns[0]);
    assert_eq!(world.take_heard(conns[1]), [change("left", "web.a.school", 1)]);
    let third = world.session(5, "web", "c", classroom);
    assert_eq!(world.take_heard(conns[1]), [change("entered", "web.c.school", 3)]);
    [third, conns[1]].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn whoever_leaves_while_the_room_moves_is_told_of_once() {
    // The home has the new view before the leave comes, and the leaver's shard has not.
    let mut world = World::cluster(2, 1);
    let (before, after) = (world.ring(1, 2), world.ring(2, 3));
    let classroom = world.classroom_that_moves((&before, 1), (&after, 2));
    let (watcher, leaver) = (world.session(1, "web", "w", classroom), world.session(0, "web", "a", classroom));
    world.heard.clear();
    world.begin_node();
    let nodes: Vec<_> = after.shards().collect();
    world.view_comes(nodes[1], &after);
    world.run();
    world.eof(leaver);
    world.take_heard(leaver);
    assert_eq!(world.heard, []);
    world.view_comes(nodes[2], &after);
    world.run();
    assert_eq!(world.heard, [], "one shard has not said that it has the view");
    world.view_comes(nodes[0], &after);
    world.run();
    assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
    assert_eq!(world.store.history, [2]);
    world.eof(watcher);
    world.assert_empty();
}

#[test]
fn a_sign_in_waits_for_the_new_home_until_all_have_its_view() {
    let mut world = World::cluster(2, 1);
    let (before, after) = (world.ring(1, 2), world.ring(2, 3));
    let classroom = world.classroom_that_moves((&before, 1), (&after, 2));
    let old = world.session(0, "web", "a", classroom);
    world.begin_node();
    let nodes: Vec<_> = after.shards().collect();
    world.view_comes(nodes[1], &after);
    world.view_comes(nodes[2], &after);
    world.run();
    let new = world.websocket(1, "/ws");
    world.text(new, &connect_request("web", classroom, &token("a")));
    assert_eq!(world.heard, [], "the old socket is on a node that may still speak by the old view");
    world.view_comes(nodes[0], &after);
    world.run();
    let heard: Vec<_> = std::mem::take(&mut world.heard).into_iter().filter(|(_, words)| words != "FIN").collect();
    let expected = [(old, replaced()), (old, "CLOSE".into()), (new, SUCCESS.into()), (new, "PING".into())];
    assert_eq!(heard, expected);
    assert_eq!(members(&mut world, 1, classroom), [(1, "web.a.school".into())]);
    [old, new].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn when_a_node_dies_its_people_leave_once_and_its_rooms_live_on() {
    for home in 0..3 {
        let mut world = World::cluster(3, 2);
        let classroom = world.classroom_at(&world.ring(1, 3), home);
        let watchers = [world.session(0, "web", "v", classroom), world.session(3, "web", "w", classroom)];
        world.session(4, "web", "a", classroom);
        world.heard.clear();
        world.kill(2);
        world.engines[1]
            .mourn((NodeSlot(2), 12), vec![Buried { classroom, agent_id: "web.a.school".into(), session: 3, is_over: true }]);
        world.view(2, 3);
        for watcher in watchers {
            assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 3)]);
        }
        let listed: Vec<i64> = members(&mut world, 1, classroom).into_iter().map(|(session, _)| session).collect();
        assert_eq!(listed, [1, 2]);
        leave(&mut world, watchers[0]);
        assert_eq!(world.take_heard(watchers[1]), [change("left", "web.v.school", 1)]);
        world.eof(watchers[1]);
        world.store.rows.clear();
        world.assert_empty();
    }
}

#[test]
fn a_sign_in_under_way_to_a_home_that_dies_is_let_in_by_the_next() {
    let mut world = World::cluster(3, 1);
    let classroom = world.classroom_at(&world.ring(1, 3), 2);
    let watcher = world.session(0, "web", "w", classroom);
    world.store.held = true;
    let conn = world.websocket(1, "/ws");
    world.text(conn, &connect_request("web", classroom, &token("a")));
    world.kill(2);
    world.store.held = false;
    world.view(2, 3);
    assert_eq!(world.take_heard(conn), [SUCCESS, "PING"]);
    assert_eq!(world.take_heard(watcher), [change("entered", "web.a.school", 2)]);
    [watcher, conn].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn a_leave_that_died_with_the_home_is_told_by_the_next() {
    let mut world = World::cluster(3, 1);
    let classroom = world.classroom_at(&world.ring(1, 3), 2);
    let (watcher, leaver) = (world.session(0, "web", "w", classroom), world.session(1, "web", "a", classroom));
    world.heard.clear();
    world.kill(2);
    world.eof(leaver);
    world.take_heard(leaver);
    assert_eq!(world.heard, []);
    world.view(2, 3);
    assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
    assert_eq!(world.store.history, [2]);
    world.eof(watcher);
    world.assert_empty();
}

#[test]
fn a_link_that_breaks_closes_whoever_may_have_missed_something_and_loses_no_leave_and_no_sign_in() {
    let mut world = World::cluster(2, 2);
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    let (watcher, missing) = (world.session(0, "web", "w", classroom), world.session(2, "web", "s", classroom));
    let leaver = world.session(3, "web", "a", classroom);
    world.heard.clear();
    world.cut(0, 1);
    world.eof(leaver);
    let conn = world.websocket(2, "/ws");
    world.text(conn, &connect_request("web", classroom, &token("b")));
    world.take_heard(leaver);
    assert_eq!(world.heard, []);
    world.mend(0, 1);
    assert_eq!(world.take_heard(missing), ["CLOSE 1012", "FIN"]);
    assert_eq!(world.take_heard(conn), [SUCCESS, "PING"]);
    let mut heard = world.take_heard(watcher);
    heard.sort();
    let left = [change("left", "web.s.school", 2), change("left", "web.a.school", 3)];
    assert_eq!(heard, [change("entered", "web.b.school", 4), left[0].clone(), left[1].clone()]);
    assert_eq!(world.heard, []);
    assert_eq!(members(&mut world, 3, classroom), [(1, "web.w.school".into()), (4, "web.b.school".into())]);
    [missing, watcher, conn].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn a_replacement_whose_words_are_lost_is_not_waited_for() {
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    let old = world.session(1, "web", "a", classroom);
    world.cut(0, 1);
    let new = world.websocket(0, "/ws");
    world.text(new, &connect_request("web", classroom, &token("a")));
    assert_eq!(world.heard, [], "nobody is let in before the old socket is told, or closed");
    world.mend(0, 1);
    let heard: Vec<_> = std::mem::take(&mut world.heard).into_iter().filter(|(_, words)| words != "FIN").collect();
    assert_eq!(heard, [(old, "CLOSE 1012".into()), (new, SUCCESS.into()), (new, "PING".into())]);
    [old, new].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn a_change_of_keys_waits_for_every_node_but_not_for_one_that_is_dead() {
    let mut world = World::cluster(2, 1);
    world.cut(0, 1);
    let key = super::quizzes::key(1, "a", crate::protocols::quiz::model::Role::Owner);
    let home = world.engines[0].ring.home(key.id.as_bytes());
    let place = world.nodes.place(home);
    let number = world.engines[place].ask_quiz(QuizAsk::Keep(Record::Key(key)));
    world.run();
    assert_eq!(world.reply(place, number), None);
    world.mend(0, 1);
    assert_eq!(world.reply(place, number), Some(QuizReply::Kept(Kept::Done)));
    assert!(world.engines.iter().all(|engine| engine.keys().len() == 1), "both act by it");
}
