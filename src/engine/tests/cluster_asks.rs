//! Requests whose answers are lost where nobody notices: whoever asked is told so in time.

use super::{
    cluster_tasks::{SECOND, id_at},
    labs::creation,
    tasks::as_guest,
    world::*,
};
use crate::{
    engine::Letter,
    protocols::{chat, labs, presence, quiz, tasks},
    realtime::{NodeSlot, StoreFault},
};
use std::task::{Poll, Waker};

const BUSY: StoreFault = StoreFault::Busy;

/// Two nodes between which no answer comes.
fn mute() -> World {
    let mut world = World::cluster(2, 1);
    world.nodes.loses = |letter| {
        matches!(
            letter,
            Letter::Reply { .. }
                | Letter::QuizReply { .. }
                | Letter::LabsReply { .. }
                | Letter::ChatReply { .. }
                | Letter::TasksReply { .. }
        )
    };
    world
}

#[test]
fn an_answer_that_is_lost_is_not_waited_for_without_an_end() {
    let mut world = mute();
    let ring = world.ring(1, 2);
    let (classroom, id) = (world.classroom_at(&ring, 0), id_at(0, &[(&ring, 0)]));
    let quiz = (1..).map(quiz::QuizId).find(|id| ring.home(&id.place()).node() == NodeSlot(0)).unwrap();
    let engine = &mut world.engines[1];
    let looked = engine.ask(presence::asks::Ask::Members { classroom, after: 0, limit: 9 });
    let submitted = engine.ask_quiz(quiz::asks::Ask::Submit { quiz, attempt: id });
    let created = engine.ask_labs(creation("ann", 1));
    let listed = engine.ask_chat(chat::Ask::Look { session: id, caller: super::chat::person("ann") });
    let cancelled = engine.ask_tasks(tasks::Ask::Cancel { task: id, caller: as_guest("anna") });
    world.run();
    world.pass(9 * SECOND);
    let engine = &mut world.engines[1];
    assert!(engine.poll_reply(looked, Waker::noop()).is_pending());
    assert!(engine.poll_quiz_reply(submitted, Waker::noop()).is_pending());
    assert!(engine.poll_chat_reply(listed, Waker::noop()).is_pending());
    assert!(engine.poll_tasks_reply(cancelled, Waker::noop()).is_pending());
    world.pass(2 * SECOND);
    let engine = &mut world.engines[1];
    assert_eq!(engine.poll_reply(looked, Waker::noop()), Poll::Ready(presence::asks::Reply::Late));
    let refused = quiz::asks::Reply::Refused(quiz::asks::Refused::Store(BUSY));
    assert_eq!(engine.poll_quiz_reply(submitted, Waker::noop()), Poll::Ready(refused));
    let refused = chat::Reply::Refused(chat::asks::Refused::Store(BUSY));
    assert_eq!(engine.poll_chat_reply(listed, Waker::noop()), Poll::Ready(refused));
    let refused = tasks::Reply::Refused(tasks::asks::Refused::Store(BUSY));
    assert_eq!(engine.poll_tasks_reply(cancelled, Waker::noop()), Poll::Ready(refused));
    assert!(engine.poll_labs_reply(created, Waker::noop()).is_pending(), "an agent may have to do something first");
    world.pass(10 * SECOND);
    let refused = labs::asks::Reply::Refused(labs::asks::Refused::Store(BUSY));
    assert_eq!(world.engines[1].poll_labs_reply(created, Waker::noop()), Poll::Ready(refused));
}

#[test]
fn who_begins_an_attempt_waits_longer_and_not_for_ever() {
    let mut world = mute();
    let ring = world.ring(1, 2);
    let id = (1..).find(|id| ring.home(&quiz::QuizId(*id).place()).node() == NodeSlot(0)).unwrap();
    world.library.quizzes = [(quiz::QuizId(id), super::quizzes::quiz(id, "a", 0))].into();
    let number = world.engines[1].ask_quiz(super::quizzes::start(id, id_at(0, &[(&ring, 0)]), "Ann"));
    world.run();
    world.pass(58 * SECOND);
    assert_eq!(world.reply(1, number), None);
    world.pass(3 * SECOND);
    assert_eq!(world.reply(1, number), Some(quiz::asks::Reply::Refused(quiz::asks::Refused::Store(BUSY))));
}

#[test]
fn what_another_service_said_is_said_again_until_it_is_known_that_it_was_heard() {
    let mut world = mute();
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    let (entity_type, operation, payload) = ("ban".to_owned(), "created".to_owned(), "{}".into());
    let event =
        presence::asks::Publication { entity_type, operation, sequence_id: Some(7), payload, receiver: None, sender: None };
    let now = world.now;
    world.engines[1].answer(crate::engine::Answer::Outside { ticket: 3, classroom, event: Box::new(event) }, now);
    world.run();
    world.pass(9 * SECOND);
    assert!(world.engines[1].heard_outside().is_empty());
    world.nodes.loses = |_| false;
    world.pass(2 * SECOND);
    let heard: Vec<_> = world.engines[1].heard_outside().drain(..).map(|heard| (heard.ticket, heard.sequence_id)).collect();
    assert_eq!(heard, [(3, 7)]);
}
