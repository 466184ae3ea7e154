//! Homes that go and come back while their word is on its way, and words of homes that are none any more.

use super::{quizzes::*, world::*};
use crate::{
    engine::{Answer, Question},
    protocols::{presence::record::Buried, quiz::QuizId},
    realtime::{ClassroomId, ConnId, HashRing, NodeSlot, StoreFault},
};
use std::{sync::Arc, time::Duration};

/// The rings of two nodes, and of three.
fn rings() -> (Arc<HashRing>, Arc<HashRing>) {
    (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3))
}

/// A third node comes, and dies before anybody has heard it.
fn comes_and_dies(world: &mut World) {
    world.begin_node();
    world.view(2, 3);
    world.kill(2);
    world.view(3, 3);
}

/// Signs in on a node, and is not answered yet.
fn asks(world: &mut World, place: usize, who: &str, classroom: ClassroomId) -> ConnId {
    let conn = world.websocket(place, "/ws");
    world.text(conn, &connect_request("web", classroom, &token(who)));
    conn
}

#[test]
fn who_was_replaced_by_a_home_that_went_and_is_back_asks_anew_and_one_of_both_is_in() {
    let (before, after) = rings();
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_that_moves((&before, 1), (&after, 2));
    world.store.held = true;
    let first = asks(&mut world, 0, "a", classroom);
    world.hold_letters_to(0);
    let second = asks(&mut world, 1, "a", classroom);
    comes_and_dies(&mut world);
    // Behind both views comes that the second had the first replaced, by the first view.
    world.let_letters_go();
    world.store.held = false;
    world.run();
    let heard = [first, second].map(|conn| world.take_heard(conn));
    let is_in = |heard: &Vec<String>| heard.first().is_some_and(|text| text == SUCCESS);
    let is_replaced = |heard: &Vec<String>| heard.iter().any(|text| text.contains("replaced"));
    assert_eq!(heard.iter().filter(|heard| is_in(heard) && !is_replaced(heard)).count(), 1, "{heard:?}");
    assert_eq!(world.store.rows.len(), 1);
    [first, second].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn a_watcher_whom_a_former_home_could_not_serve_is_served_by_the_same_one_when_it_is_home_again() {
    let (before, after) = rings();
    let mut world = World::cluster(2, 1);
    let moves =
        |id: &i64| [(&before, 1), (&after, 2)].iter().all(|(ring, slot)| ring.home(&QuizId(*id).place()).node().0 == *slot);
    let id = (1..).find(moves).unwrap();
    world.library.quizzes = [(QuizId(id), quiz(id, "a", 0))].into();
    let owner = world.request(0, &format!("?token={}", token("a")));
    world.take_heard(owner);
    world.store.held = true;
    world.text(owner, &subscribe(&[&format!("quiz:{id}")]));
    comes_and_dies(&mut world);
    // What the home began to read before it went cannot be read.
    let is_load = |(place, question): &(usize, Question)| *place == 1 && matches!(question, Question::Load(_));
    let at = world.questions.iter().position(is_load).unwrap();
    world.questions.remove(at);
    let (answer, now) = (Answer::Loaded { quiz: QuizId(id), result: Err(StoreFault::Busy) }, world.now);
    world.engines[1].answer(answer, now);
    world.store.held = false;
    world.run();
    assert_eq!(world.take_brief(owner), [format!("subscribed quiz:{id}")]);
    world.eof(owner);
    world.forget_quizzes();
    world.assert_empty();
}

#[test]
fn who_was_refused_and_had_asked_again_across_a_link_that_broke_is_nowhere() {
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    world.store.held = true;
    let conn = asks(&mut world, 1, "a", classroom);
    world.hold_letters_to(0);
    world.hears_of_a_break(1, 0);
    world.hears_of_a_break(0, 1);
    world.pass(Duration::from_secs(30));
    assert!(world.take_heard(conn)[0].contains("database_connection_acquisition_failed"));
    // That he asks once more is on its way when he is refused.
    world.let_letters_go();
    world.store.held = false;
    world.run();
    world.eof(conn);
    world.assert_empty();
}

#[test]
fn whose_row_is_over_hears_it_from_a_home_that_is_none_any_more() {
    let first = World::cluster(3, 1).ring(1, 3);
    let mut other = World::cluster(3, 1);
    other.kill(2);
    let (second, third) = (other.ring(2, 3), other.ring(3, 4));
    let node = |ring: &HashRing, room: &ClassroomId| ring.home(room.as_bytes()).node().0;
    let is_fit = |room: &ClassroomId| (node(&first, room), node(&second, room), node(&third, room)) == (2, 1, 3);
    let classroom = (1..).map(ClassroomId::from_u128).find(is_fit).unwrap();
    let mut world = World::cluster(3, 1);
    let member = world.session(0, "web", "a", classroom);
    world.heard.clear();
    world.kill(2);
    world.store.rows.clear();
    let buried = Buried { classroom, agent_id: "web.a.school".into(), session: 1, is_over: true };
    world.engines[1].mourn((NodeSlot(2), 12), vec![buried]);
    world.begin_node();
    world.hold_letters_to(0);
    second.shards().for_each(|shard| world.view_comes(shard, &second));
    world.run();
    let (to, letters) = world.held.take().unwrap();
    letters.into_iter().for_each(|(from, letter)| world.carry(from, to, letter));
    // All have reached the second view. By that its home says so, and it is heard by the third.
    world.hold_letters_to(0);
    world.run();
    world.view_comes(to, &third);
    world.let_letters_go();
    world.view(3, 4);
    assert_eq!(world.take_heard(member).first().map(String::as_str), Some("CLOSE 1012"));
    world.eof(member);
    world.assert_empty();
}

#[test]
fn who_comes_after_one_whose_row_the_dead_home_had_ended_has_a_row_of_his_own() {
    let mut world = World::cluster(3, 1);
    let classroom = world.classroom_at(&world.ring(1, 3), 2);
    let old = world.session(0, "web", "a", classroom);
    world.hold_letters_to(0);
    world.eof(old);
    assert_eq!((world.store.rows.len(), world.store.history.as_slice()), (0, &[1][..]), "of which nobody has heard");
    world.kill(2);
    world.let_letters_go();
    let new = asks(&mut world, 0, "a", classroom);
    world.view(2, 3);
    assert_eq!(world.take_heard(new), [SUCCESS, "PING"]);
    assert_eq!(world.store.rows, [(2, "web.a.school".into())]);
    world.eof(new);
    world.assert_empty();
}
