//! Sessions over several nodes of which one dies, or whose link breaks: who watched is told once, and nobody waits for ever.

use super::{chat::*, cluster_chat::*, world::*};
use crate::{
    models::Word,
    protocols::chat::{Ask, Reply, Told, asks::Refused, model::Completeness},
    realtime::StoreFault,
};
use std::{
    task::{Poll, Waker},
    time::Duration,
};

const BUSY: Reply = Reply::Refused(Refused::Store(StoreFault::Busy));

#[test]
fn an_answer_whose_node_dies_has_one_end_for_all_who_watched() {
    let mut world = World::cluster(3, 1);
    let id = session_at(&[(&world.ring(1, 3), 2), (&world.ring(2, 2), 1)]);
    world.create(id, "far");
    let conns = [world.watch(0, id, "anna"), world.watch(1, id, "root")];
    let (followed, _) = world.follow(1, id, 1, true);
    let (waits, _) = world.follow(0, id, 2, false);
    world.word(Word::Delta("On".into()));
    world.kill(2);
    let asked = world.engines[0].ask_chat(Ask::Look { session: id, caller: person("anna") });
    world.run();
    world.view(2, 3);
    for conn in conns {
        let heard = world.texts(conn);
        assert!(
            heard.len() == 4 && heard[1] == delta("On") && heard[2].contains("AGENT_UNAVAILABLE") && done(&heard),
            "{heard:?}"
        );
    }
    assert!(matches!(followed.take()[..], [Told::Begin { .. }, Told::Delta(_), Told::Refused(Refused::Lost)]));
    assert!(matches!(waits.take()[..], [Told::Refused(Refused::Lost)]));
    assert_eq!(world.engines[0].poll_chat_reply(asked, Waker::noop()), Poll::Ready(BUSY));
    let messages = world.sessions.load(id).unwrap().messages;
    assert_eq!(messages.last().unwrap().completeness, Completeness::Incomplete);
    // All goes on at the next home.
    world.text(conns[0], &said("again"));
    assert_eq!(world.run_asked().0, 1);
    world.finish("Yes.");
    let heard = conns.map(|conn| world.texts(conn));
    assert!(heard[0] == heard[1] && heard[0].len() == 3 && done(&heard[0]), "{heard:?}");
    world.leave_chat(&conns);
}

#[test]
fn who_watches_where_nothing_goes_on_does_not_notice_that_the_home_dies() {
    let mut world = World::cluster(3, 1);
    let id = session_at(&[(&world.ring(1, 3), 2)]);
    world.create(id, "far");
    let conns = [world.watch(0, id, "anna"), world.watch(1, id, "anna")];
    world.text(conns[1], &said("one"));
    world.finish("1");
    world.heard.clear();
    world.kill(2);
    world.text(conns[0], &said("two"));
    world.view(2, 3);
    assert_eq!(world.runs.len(), 2, "what was on its way to the dead home is said again");
    world.finish("2");
    for conn in conns {
        let heard = world.texts(conn);
        assert!(heard.len() == 3 && done(&heard), "{heard:?}");
    }
    assert_eq!(world.sessions.load(id).unwrap().messages.len(), 4);
    world.leave_chat(&conns);
}

#[test]
fn who_has_missed_an_answer_is_closed_and_comes_again() {
    let mut world = World::cluster(3, 1);
    let id = session_at(&[(&world.ring(1, 3), 2)]);
    world.create(id, "far");
    let conns = [world.watch(0, id, "anna"), world.watch(1, id, "anna")];
    // What the home says does not reach the first node any more; then it dies.
    world.cut(0, 2);
    world.text(conns[1], &said("one"));
    world.finish("1");
    world.kill(2);
    world.view(2, 3);
    assert!(done(&world.texts(conns[1])));
    assert_eq!(world.texts(conns[0]), ["CLOSE 1012", "FIN"]);
    let again = world.watch(0, id, "anna");
    world.text(again, &said("two"));
    world.finish("2");
    assert!(done(&world.texts(again)) && done(&world.texts(conns[1])));
    world.leave_chat(&[conns[0], conns[1], again]);
}

#[test]
fn the_answer_is_broken_off_that_is_held_by_a_node_that_dies() {
    let (mut world, id) = about_to_move("far");
    let (far, near) = (world.watch(0, id, "anna"), world.watch(0, id, "root"));
    world.text(far, &said("one"));
    world.view(2, 3);
    let late = world.watch(2, id, "anna");
    let (followed, _) = world.follow(2, id, 1, true);
    world.word(Word::Delta("On".into()));
    world.kill(1);
    world.view(3, 3);
    for conn in [far, near, late] {
        let heard = world.texts(conn);
        assert!(heard.len() == 4 && heard[2].contains("AGENT_UNAVAILABLE") && done(&heard), "{heard:?}");
    }
    assert!(matches!(followed.take()[..], [Told::Refused(Refused::Lost)]));
    world.text(late, &said("two"));
    assert_eq!(world.run_asked().0, 2);
    world.finish("2");
    for conn in [far, near, late] {
        assert_eq!(world.texts(conn).len(), 3);
    }
    world.leave_chat(&[far, near, late]);
}

#[test]
fn whoever_was_on_a_node_that_dies_is_waited_for_no_more() {
    let mut world = World::cluster(3, 1);
    let id = session_at(&[(&world.ring(1, 3), 0), (&world.ring(2, 2), 0)]);
    world.create(id, "far");
    let conn = world.watch(1, id, "anna");
    world.watch(2, id, "anna");
    world.follow(2, id, 1, true);
    world.follow(2, id, 2, true);
    world.word(Word::Delta("On".into()));
    world.kill(2);
    world.view(2, 3);
    let heard = world.texts(conn);
    assert!(heard.len() == 3 && done(&heard), "nobody waits for it any more: {heard:?}");
    world.pass(Duration::from_secs(1));
    assert_eq!((world.runs.len(), world.texts(conn)), (1, Vec::new()), "the next is not begun");
    // A message of a socket stays when its node dies.
    world.text(conn, &said("two"));
    world.finish("2");
    assert!(done(&world.texts(conn)));
    world.leave_chat(&[conn]);
}

#[test]
fn a_link_that_breaks_closes_who_may_have_missed_something_and_nobody_else() {
    let mut world = World::cluster(2, 1);
    let ring = world.ring(1, 2);
    let (busy, idle) = (session_at(&[(&ring, 0)]), {
        let first = session_at(&[(&ring, 0)]);
        (first.as_u128() + 1..).map(uuid::Uuid::from_u128).find(|id| ring.home(id.as_bytes()).node().0 == 0).unwrap()
    });
    [busy, idle].into_iter().for_each(|id| world.create(id, "far"));
    let (near, far) = (world.watch(0, busy, "anna"), world.watch(1, busy, "anna"));
    let (quiet, speaks) = (world.watch(1, idle, "anna"), world.watch(1, idle, "anna"));
    let (followed, _) = world.follow(1, busy, 1, true);
    world.heard.clear();
    world.cut(0, 1);
    world.word(Word::Delta("On".into()));
    let asked = world.engines[1].ask_chat(Ask::Look { session: busy, caller: person("anna") });
    let joining =
        world.chat_socket(1, &crate::protocols::chat::messages::session(idle).to_string(), &format!("?token={}", ticket("anna")));
    world.text(speaks, &said("lost"));
    world.mend(0, 1);
    assert_eq!(world.texts(far), ["CLOSE 1012", "FIN"], "it may have missed a word");
    assert!(matches!(followed.take()[..], [Told::Begin { .. }, Told::Refused(Refused::Lost)]));
    assert_eq!(world.engines[1].poll_chat_reply(asked, Waker::noop()), Poll::Ready(BUSY));
    let heard = world.texts(near);
    assert!(heard[0] == delta("On") && done(&heard), "nobody follows it any more: {heard:?}");
    // The message was being counted there, and is said behind it.
    world.finish("found");
    for conn in [quiet, speaks] {
        let heard = world.texts(conn);
        assert!(heard.len() == 3 && done(&heard), "{heard:?}");
    }
    let heard = world.texts(joining);
    assert!(heard.len() == 2 + 3 && done(&heard), "{heard:?}");
    world.leave_chat(&[near, far, quiet, speaks, joining]);
}

#[test]
fn what_another_node_holds_is_asked_for_again_when_its_link_breaks() {
    for is_over in [false, true] {
        let (mut world, id) = about_to_move("far");
        let conn = world.watch(1, id, "anna");
        world.text(conn, &said("one"));
        world.view(2, 3);
        world.cut(1, 2);
        if is_over {
            world.finish("1");
            assert!(done(&world.texts(conn)));
        }
        let asked = world.engines[0].ask_chat(Ask::Approvals { session: id, caller: person("anna") });
        world.run();
        world.mend(1, 2);
        // Nobody who knows can be asked; or the one who holds it has been.
        match (world.engines[0].poll_chat_reply(asked, Waker::noop()), is_over) {
            (Poll::Ready(reply), true) => assert_eq!(reply, BUSY),
            (Poll::Ready(reply), false) => assert_eq!(reply, Reply::Approvals(Vec::new())),
            (Poll::Pending, _) => panic!("it waits for ever"),
        }
        if !is_over {
            world.finish("1");
            assert!(done(&world.texts(conn)));
        }
        world.text(conn, &said("two"));
        assert_eq!(world.run_asked().0, 2);
        world.finish("2");
        let heard = world.texts(conn);
        assert!(heard.len() == 3 && done(&heard), "{heard:?}");
        world.leave_chat(&[conn]);
    }
}

#[test]
fn a_request_that_was_counted_by_a_dead_node_is_counted_by_the_next() {
    let mut world = World::cluster(3, 1);
    let user = person("anna").id;
    let counts = world.ring(1, 3).home(user.as_bytes()).node().0;
    let other = (0..3).find(|node| *node != counts).unwrap();
    let id = session_at(&[(&world.ring(1, 3), other)]);
    world.create(id, "far");
    let conn = world.watch(usize::from(other), id, "anna");
    world.kill(counts);
    world.text(conn, &said("one"));
    assert!(world.runs.is_empty());
    world.view(2, 3);
    world.finish("1");
    let heard = world.texts(conn);
    assert!(heard.len() == 3 && done(&heard), "{heard:?}");
    world.leave_chat(&[conn]);
}
