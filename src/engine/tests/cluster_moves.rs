//! Homes that move while something is on its way to them, or die before they have told it.

use super::{quizzes::*, world::*};
use crate::{
    engine::{Answer, Question},
    protocols::{
        presence::record::Buried,
        quiz::{
            QuizId,
            asks::{Ask as QuizAsk, Refused, Reply},
        },
    },
    realtime::{ClassroomId, ConnId, HashRing, NodeSlot, StoreFault},
};

/// A quiz without attempts that is at home on these nodes by these rings.
fn quiz_that_moves(world: &mut World, homes: &[(&HashRing, u8)]) -> i64 {
    let is_fit = |id: &i64| homes.iter().all(|(ring, slot)| ring.home(&QuizId(*id).place()).node() == NodeSlot(*slot));
    let id = (1..).find(is_fit).unwrap();
    world.library.quizzes = [(QuizId(id), quiz(id, "a", 0))].into();
    id
}

#[test]
fn a_quiz_that_moves_away_and_could_not_be_read_keeps_nobody_waiting() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let mut world = World::cluster(2, 1);
    let id = quiz_that_moves(&mut world, &[(&before, 1), (&after, 2)]);
    world.store.held = true;
    let owner = world.request(0, &format!("?token={}", token("a")));
    world.text(owner, &subscribe(&[&format!("quiz:{id}")]));
    world.begin_node();
    world.view(2, 3);
    assert!(world.engines.iter().any(|engine| !engine.is_whole()), "the quiz is still being read where it was");
    world.library.fault = Some(StoreFault::Busy);
    world.store.held = false;
    world.run();
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
}

#[test]
fn who_asks_hears_when_the_home_dies_to_which_his_question_went_on() {
    // The asker and the former home are one shard, or two.
    for former in [0, 1] {
        let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
        let mut world = World::cluster(2, 1);
        let id = quiz_that_moves(&mut world, &[(&before, former), (&after, 2)]);
        let classroom = world.classroom_that_moves((&before, former), (&after, 2));
        world.begin_node();
        let number = world.engines[0].ask_quiz(start(id, uuid::Uuid::from_u128(1), "Ann"));
        let looked = world.engines[0].ask(crate::protocols::presence::asks::Ask::Members { classroom, after: 0, limit: 9 });
        // The home has the next view before the question comes.
        for shard in after.shards().filter(|shard| shard.node() != NodeSlot(2)) {
            world.view_comes(shard, &after);
        }
        world.run();
        world.kill(2);
        world.view(3, 3);
        assert_eq!(world.reply(0, number), Some(Reply::Refused(Refused::Store(StoreFault::Busy))), "from {former}");
        let polled = world.engines[0].poll_reply(looked, std::task::Waker::noop());
        assert!(polled.is_ready(), "who is there is asked of the next home");
    }
}

#[test]
fn who_goes_as_the_home_dies_is_told_of_and_his_row_ends_though_his_node_lives() {
    let mut world = World::cluster(3, 1);
    let classroom = world.classroom_at(&world.ring(1, 3), 2);
    let (watcher, leaver) = (world.session(0, "web", "w", classroom), world.session(1, "web", "a", classroom));
    world.heard.clear();
    // The home takes the leave and says so, and dies before the store hears of it.
    world.store.held = true;
    let live = |session, agent_id: &str| Buried { classroom, agent_id: agent_id.into(), session, is_over: false };
    world.eof(leaver);
    assert!(world.questions.iter().any(|(_, question)| matches!(question, Question::Leave(_))));
    world.heard.clear();
    world.kill(2);
    world.store.held = false;
    world.engines[0].mourn((NodeSlot(2), 12), vec![live(1, "web.w.school"), live(2, "web.a.school")]);
    world.view(2, 3);
    assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
    assert_eq!(world.store.history, [2]);
    world.eof(watcher);
    world.assert_empty();
}

#[test]
fn who_was_let_in_by_a_home_that_died_before_it_told_him_is_told_of() {
    let mut world = World::cluster(3, 1);
    let classroom = world.classroom_at(&world.ring(1, 3), 2);
    let watcher = world.session(0, "web", "w", classroom);
    world.store.held = true;
    let conn = world.websocket(1, "/ws");
    world.text(conn, &connect_request("web", classroom, &token("a")));
    // His row is on disk.
    let written = world.store.enter("web.a.school".into(), None);
    world.kill(2);
    world.store.held = false;
    let live = |session, agent_id: &str| Buried { classroom, agent_id: agent_id.into(), session, is_over: false };
    world.engines[0].mourn((NodeSlot(2), 12), vec![live(1, "web.w.school"), live(written.unwrap(), "web.a.school")]);
    world.view(2, 3);
    assert_eq!(world.take_heard(conn), [SUCCESS, "PING"]);
    let heard = world.take_heard(watcher);
    assert_eq!(heard, [change("left", "web.a.school", 2), change("entered", "web.a.school", 3)]);
    [watcher, conn].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn a_channel_that_was_granted_while_others_were_waited_for_moves_with_its_home() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let mut world = World::cluster(2, 1);
    let id = quiz_that_moves(&mut world, &[(&before, 1), (&after, 2)]);
    let other = (1..).find(|other| *other != id && before.home(&QuizId(*other).place()).node() == NodeSlot(0)).unwrap();
    world.library.quizzes.insert(QuizId(other), quiz(other, "a", 0));
    let owner = world.request(0, &format!("?token={}", token("a")));
    world.take_heard(owner);
    world.store.held = true;
    world.text(owner, &subscribe(&[&format!("quiz:{id}"), &format!("quiz:{other}")]));
    // The one that moves is read, the other is not.
    let at = world.questions.iter().position(|(_, question)| matches!(question, Question::Load(QuizId(own)) if *own == id));
    let (place, _) = world.questions.remove(at.unwrap()).unwrap();
    let (quiz, now) = (QuizId(id), world.now);
    let result = Ok(world.library.quizzes.get(&quiz).cloned().map(Box::new));
    world.engines[place].answer(Answer::Loaded { quiz, result }, now);
    world.run();
    assert_eq!(world.heard, [], "both are waited for");
    world.begin_node();
    world.view(2, 3);
    world.store.held = false;
    world.run();
    assert_eq!(world.take_brief(owner), [format!("subscribed quiz:{id},quiz:{other}")]);
    let attempt = world.start(1, id, "Ann");
    assert_eq!(world.take_brief(owner), [format!("attempt_quiz {id} Ann")]);
    world.ask_quiz(1, QuizAsk::Submit { quiz: QuizId(id), attempt });
}

#[test]
fn a_channel_that_was_granted_while_others_were_waited_for_is_asked_for_anew_where_a_link_broke() {
    let mut world = World::cluster(3, 1);
    let ring = world.ring(1, 3);
    let (id, other) = (quiz_that_moves(&mut world, &[(&ring, 1)]), quiz_that_moves(&mut world, &[(&ring, 2)]));
    world.library.quizzes.insert(QuizId(id), quiz(id, "a", 0));
    let owner = world.request(0, &format!("?token={}", token("a")));
    world.take_heard(owner);
    world.store.held = true;
    world.text(owner, &subscribe(&[&format!("quiz:{id}"), &format!("quiz:{other}")]));
    let at = world.questions.iter().position(|(_, question)| matches!(question, Question::Load(QuizId(own)) if *own == id));
    let (place, _) = world.questions.remove(at.unwrap()).unwrap();
    let (quiz, now) = (QuizId(id), world.now);
    let result = Ok(world.library.quizzes.get(&quiz).cloned().map(Box::new));
    world.engines[place].answer(Answer::Loaded { quiz, result }, now);
    world.run();
    assert_eq!(world.heard, [], "the other is waited for");
    world.mend(0, 1);
    assert_eq!(world.take_heard(owner), ["CLOSE 1012", "FIN"]);
}

#[test]
fn who_was_there_when_a_former_life_of_a_slot_ended_is_not_told_of_when_the_next_one_does() {
    let mut world = World::cluster(3, 1);
    let classroom = world.classroom_at(&world.ring(1, 3), 2);
    let watcher = world.session(0, "web", "w", classroom);
    // It came and went in views that were passed over here.
    let live = |session, agent_id: &str| Buried { classroom, agent_id: agent_id.into(), session, is_over: false };
    world.engines[0].mourn((NodeSlot(2), 5), vec![live(9, "web.z.school")]);
    world.kill(2);
    world.engines[0].mourn((NodeSlot(2), 12), vec![live(1, "web.w.school"), live(3, "web.b.school")]);
    world.view(2, 3);
    assert_eq!(world.take_heard(watcher), [change("left", "web.b.school", 3)]);
    assert_eq!(world.store.history, [3]);
    world.eof(watcher);
    world.assert_empty();
}

/// A watcher on the second of three nodes, and a member on the first whose row the home's node, the third, has taken over for another
/// sign-in when it died, and told nobody.
fn bereft(world: &mut World) -> (ClassroomId, ConnId, ConnId) {
    let classroom = world.classroom_at(&world.ring(1, 3), 2);
    let (watcher, old) = (world.session(1, "web", "w", classroom), world.session(0, "web", "a", classroom));
    world.heard.clear();
    world.hold_letters_to(0);
    let new = world.websocket(2, "/ws");
    world.text(new, &connect_request("web", classroom, &token("a")));
    world.kill(2);
    world.let_letters_go();
    world.store.rows.retain(|(session, _)| *session != 2);
    assert_eq!(world.take_heard(old), [""; 0], "of the sign-in nobody has heard");
    world.heard.clear();
    let of = |session, agent_id: &str, is_over| Buried { classroom, agent_id: agent_id.into(), session, is_over };
    world.engines[1].mourn((NodeSlot(2), 12), vec![of(2, "web.a.school", true), of(1, "web.w.school", false)]);
    (classroom, watcher, old)
}

#[test]
fn whose_row_a_sign_in_on_the_homes_node_took_with_it_comes_again() {
    let mut world = World::cluster(3, 1);
    let (classroom, watcher, old) = bereft(&mut world);
    world.view(2, 3);
    assert_eq!(world.take_heard(old), ["CLOSE 1012", "FIN"]);
    assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
    let again = world.session(0, "web", "a", classroom);
    assert_eq!(world.take_heard(watcher), [change("entered", "web.a.school", 3)]);
    assert_eq!(world.store.rows, [(1, "web.w.school".into()), (3, "web.a.school".into())]);
    [watcher, old, again].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn who_comes_before_a_row_is_known_to_be_over_gets_one_of_his_own() {
    let mut world = World::cluster(3, 1);
    let (classroom, watcher, old) = bereft(&mut world);
    world.eof(old);
    let new = world.websocket(0, "/ws");
    world.text(new, &connect_request("web", classroom, &token("a")));
    world.view(2, 3);
    assert_eq!(world.take_heard(new), [SUCCESS, "PING"]);
    assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2), change("entered", "web.a.school", 3)]);
    assert_eq!(world.store.rows, [(1, "web.w.school".into()), (3, "web.a.school".into())]);
    [watcher, new].into_iter().for_each(|conn| world.eof(conn));
    world.assert_empty();
}

#[test]
fn who_was_left_to_a_home_across_a_link_that_broke_is_left_to_the_next_one() {
    let mut world = World::cluster(4, 1);
    let first = world.ring(1, 4);
    world.kill(3);
    let (second, third) = (world.ring(2, 4), world.ring(3, 5));
    let mut world = World::cluster(4, 1);
    let node = |ring: &HashRing, room: &ClassroomId| ring.home(room.as_bytes()).node().0;
    let is_fit = |room: &ClassroomId| (node(&first, room), node(&second, room), node(&third, room)) == (3, 1, 4);
    let classroom = (1..).map(ClassroomId::from_u128).find(is_fit).unwrap();
    let (watcher, leaver) = (world.session(2, "web", "w", classroom), world.session(2, "web", "a", classroom));
    // The home takes the leave, says so, and dies before the store hears of it.
    world.store.held = true;
    world.eof(leaver);
    world.heard.clear();
    world.kill(3);
    world.store.held = false;
    let live = |session, agent_id: &str| Buried { classroom, agent_id: agent_id.into(), session, is_over: false };
    world.engines[0].mourn((NodeSlot(3), 13), vec![live(1, "web.w.school"), live(2, "web.a.school")]);
    world.cut(0, 1);
    world.view(2, 4);
    world.begin_node();
    world.view(3, 5);
    world.mend(0, 1);
    assert!(world.engines.iter().enumerate().all(|(place, engine)| place == 3 || engine.is_whole()));
    assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
    assert_eq!(world.store.history, [2]);
    world.eof(watcher);
    world.assert_empty();
}
