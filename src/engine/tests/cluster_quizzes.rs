//! Quizzes over several nodes: owners and participants hear what they hear on one, whatever node the home is on, and when it changes.

use super::{quizzes::*, world::*};
use crate::{
    protocols::quiz::{
        QuizId,
        asks::{Ask, Refused, Reply},
        model::{AttemptId, Reason},
    },
    realtime::{HashRing, NodeSlot, StoreFault},
};
use std::time::Duration;

/// A cluster whose store has quizzes, one of which is at home on these nodes by these rings.
fn school(nodes: u8, homes: &[(&HashRing, u8)]) -> (World, i64) {
    let mut world = World::cluster(nodes, 1);
    let is_fit = |id: &i64| homes.iter().all(|(ring, slot)| ring.home(&QuizId(*id).place()).node() == NodeSlot(*slot));
    let id = (1..).find(is_fit).unwrap();
    world.library.quizzes = [(QuizId(id), quiz(id, "a", 0))].into();
    world.begin();
    (world, id)
}

fn submit(quiz: i64, attempt: AttemptId) -> Ask {
    Ask::Submit { quiz: QuizId(quiz), attempt }
}

#[test]
fn an_owner_on_any_node_sees_every_attempt() {
    for home in 0..3 {
        let ring = World::cluster(3, 1).ring(1, 3);
        let (mut world, id) = school(3, &[(&ring, home)]);
        let channel = format!("quiz:{id}");
        let owners = [0, 1, 2].map(|place| world.owner(place, "a", &[&channel]));
        let attempt = world.start(1, id, "Ann");
        let participant = world.participant(2, id, attempt);
        world.answer(0, id, attempt, 1, true);
        assert!(matches!(world.ask_quiz(1, submit(id, attempt)), Reply::Submitted(_)));
        for owner in owners {
            let heard = world.take_brief(owner);
            assert_eq!(heard[..2], [format!("attempt_quiz {id} Ann"), format!("attempt_update {id} 1")]);
            assert_eq!(heard.len(), 3, "{heard:?}");
        }
        assert_eq!(world.take_heard(participant).len(), 1, "of its end");
        world.leave_all(&[owners[0], owners[1], owners[2], participant]);
    }
}

#[test]
fn when_the_home_moves_whoever_listens_goes_on_listening() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let (mut world, id) = school(2, &[(&before, 1), (&after, 2)]);
    let owner = world.owner(0, "a", &[&format!("quiz:{id}")]);
    let attempt = world.start(1, id, "Ann");
    let participant = world.participant(1, id, attempt);
    world.answer(0, id, attempt, 1, true);
    world.heard.clear();
    world.begin_node();
    world.view(2, 3);
    assert_eq!(world.heard, [], "nobody notices");
    world.answer(1, id, attempt, 2, true);
    assert_eq!(world.take_brief(owner), [format!("attempt_update {id} 2")]);
    assert!(matches!(world.ask_quiz(0, submit(id, attempt)), Reply::Submitted(_)));
    assert_eq!(world.take_brief(owner).len(), 1);
    assert_eq!(world.take_heard(participant).len(), 1);
    assert_eq!(world.end_of(attempt).map(|(_, _, answered)| answered), Some(2));
    world.leave_all(&[owner, participant]);
}

#[test]
fn what_a_former_home_began_is_written_and_told_before_the_next_one_reads() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let (mut world, id) = school(2, &[(&before, 1), (&after, 2)]);
    let owner = world.owner(0, "a", &[&format!("quiz:{id}")]);
    let attempt = world.start(1, id, "Ann");
    world.heard.clear();
    world.store.held = true;
    let answered = world.engines[0].ask_quiz(answer(id, attempt, 1, true));
    world.run();
    world.begin_node();
    world.view(2, 3);
    let later = world.engines[0].ask_quiz(answer(id, attempt, 2, true));
    world.run();
    assert!(world.engines.iter().all(|engine| !engine.is_whole()), "an answer is on its way to disk");
    assert_eq!((world.reply(0, answered), world.reply(0, later)), (None, None));
    world.store.held = false;
    world.run();
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
    for number in [answered, later] {
        let reply = world.reply(0, number);
        assert!(matches!(reply, Some(Reply::Answered { .. })), "{reply:?}");
    }
    assert_eq!(world.take_brief(owner), [format!("attempt_update {id} 1"), format!("attempt_update {id} 2")]);
    world.ask_quiz(0, submit(id, attempt));
    world.leave_all(&[owner]);
}

#[test]
fn when_the_home_dies_the_next_one_has_all_that_was_kept_and_who_waits_is_told() {
    let (before, after) = (World::cluster(3, 1).ring(1, 3), World::cluster(2, 1).ring(2, 2));
    let (mut world, id) = school(3, &[(&before, 2), (&after, 1)]);
    let owner = world.owner(0, "a", &[&format!("quiz:{id}")]);
    let attempt = world.start(1, id, "Ann");
    let participant = world.participant(1, id, attempt);
    world.answer(0, id, attempt, 1, true);
    world.heard.clear();
    world.kill(2);
    let lost = world.engines[0].ask_quiz(answer(id, attempt, 2, true));
    world.run();
    world.view(2, 3);
    assert_eq!(world.reply(0, lost), Some(Reply::Refused(Refused::Store(StoreFault::Busy))));
    assert_eq!(world.heard, []);
    world.answer(1, id, attempt, 3, true);
    assert_eq!(world.take_brief(owner), [format!("attempt_update {id} 2")]);
    assert!(matches!(world.ask_quiz(0, submit(id, attempt)), Reply::Submitted(_)));
    assert_eq!((world.take_brief(owner).len(), world.take_heard(participant).len()), (1, 1));
    world.leave_all(&[owner, participant]);
}

#[test]
fn whoever_may_have_missed_something_of_a_quiz_is_closed_and_the_home_forgets_him() {
    let ring = World::cluster(2, 1).ring(1, 2);
    let (mut world, id) = school(2, &[(&ring, 1)]);
    let far = world.owner(0, "a", &[&format!("quiz:{id}")]);
    let near = world.owner(1, "a", &[&format!("quiz:{id}")]);
    world.cut(0, 1);
    world.start(1, id, "Ann");
    world.mend(0, 1);
    assert_eq!(world.take_heard(far), ["CLOSE 1012", "FIN"]);
    assert_eq!(world.take_brief(near), [format!("attempt_quiz {id} Ann")]);
}

#[test]
fn an_attempt_ends_in_time_though_its_home_has_moved_or_died_and_nobody_touches_it() {
    let before = World::cluster(3, 1).ring(1, 3);
    let mut bereft = World::cluster(3, 1);
    bereft.kill(2);
    for (after, home) in [(bereft.ring(2, 3), 2), (World::cluster(4, 1).ring(2, 4), 1)] {
        let next = after.view().members().last().unwrap().slot.0;
        let (mut world, id) = school(3, &[(&before, home), (&after, next)]);
        world.library.quizzes = [(QuizId(id), quiz(id, "a", 60))].into();
        let attempt = world.start(0, id, "Ann");
        if home == 2 {
            world.kill(2)
        } else {
            world.begin_node()
        }
        // What cannot be read is asked for again.
        world.library.fault = Some(StoreFault::Busy);
        world.view(2, if home == 2 { 3 } else { 4 });
        world.library.fault = None;
        world.pass(Duration::from_secs(59));
        assert_eq!(world.end_of(attempt), None);
        world.pass(Duration::from_secs(2));
        assert_eq!(world.end_of(attempt), Some((Reason::TimeUp, 0.0, 0)));
        world.leave_all(&[]);
    }
}
