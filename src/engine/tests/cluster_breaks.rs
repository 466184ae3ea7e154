//! A link that breaks: the one node hears of it before the other does, whose letters go on coming meanwhile. What the first says waits for
//! the link, and so comes when the other has heard too.

use super::{cluster_labs::watched, world::*};
use crate::{
    engine::Letter,
    protocols::presence::asks::{Ask, Publication, Reply},
    realtime::{HashRing, NodeSlot, ShardId, View, view::Member},
};
use std::{
    sync::Arc,
    task::{Poll, Waker},
};

const PAYLOAD: &str = r#"{"version":"v1"}"#;

fn publication() -> Publication {
    let (entity_type, operation, payload) = ("ban".to_owned(), "created".to_owned(), PAYLOAD.into());
    Publication { entity_type, operation, sequence_id: Some(7), payload, receiver: None, sender: None }
}

#[test]
fn who_has_not_come_again_has_not_left_before_his_node_knows_of_the_break() {
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    let (watcher, conn) = (world.session(0, "web", "w", classroom), world.session(1, "web", "a", classroom));
    world.heard.clear();
    world.hold_letters_to(1);
    world.hears_of_a_break(0, 1);
    let now = world.now;
    // It has reached its view long ago.
    world.engines[0].letter(ShardId::of(NodeSlot(1), 0), Letter::ViewReached { view: 1 }, now);
    world.run();
    assert_eq!(world.heard, [], "nobody has left");
    world.hears_of_a_break(1, 0);
    world.let_letters_go();
    assert_eq!(world.take_heard(conn), ["CLOSE 1012", "FIN"]);
    assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
}

#[test]
fn what_is_published_as_a_link_breaks_is_heard_once() {
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    let listener = world.session(0, "web", "w", classroom);
    world.hold_letters_to(1);
    world.hears_of_a_break(0, 1);
    // Its letter comes by the link that works again, and it asks once more when it hears that the answer may be lost.
    let number = world.engines[1].ask(Ask::Publish { classroom, event: publication() });
    world.run();
    world.hears_of_a_break(1, 0);
    world.let_letters_go();
    let reply = world.engines[1].poll_reply(number, Waker::noop());
    assert_eq!(reply, Poll::Ready(Reply::Published { sequence_id: 7, members: 1 }));
    assert_eq!(world.take_heard(listener).len(), 1, "once");
    // Whatever comes from there is read as it comes again.
    let again = world.ask(1, Ask::Publish { classroom, event: publication() });
    assert_eq!((again, world.take_heard(listener).len()), (Reply::Published { sequence_id: 7, members: 1 }, 1));
}

#[test]
fn whoever_is_buried_before_he_has_heard_of_a_break_keeps_nobody_waiting() {
    for comes_again in [false, true] {
        let mut world = World::cluster(2, 1);
        world.hold_letters_to(1);
        world.hears_of_a_break(0, 1);
        world.held = None;
        if comes_again {
            world.reborn(1);
            world.view_of(2, &[10, 111]);
        } else {
            world.kill(1);
            world.view(2, 2);
        }
        assert!(world.engines[0].is_whole(), "what his next life says counts");
    }
}

#[test]
fn a_view_that_comes_before_the_break_is_heard_of_says_nothing_again() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    world.hold_letters_to(1);
    world.hears_of_a_break(0, 1);
    // It hears of the view first, and that it has reached it is true; but nobody has said again what was lost.
    world.begin_node();
    world.view(2, 4);
    assert_eq!(world.online(2), ["a1"]);
    world.hears_of_a_break(1, 0);
    world.let_letters_go();
    assert_eq!((world.online(2), world.take_heard(watched.agent)), (vec!["a1".to_owned()], vec![]));
    world.is_shown(&watched, 1);
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
    world.leave_labs(&[watched.viewer, watched.agent]);
}

#[test]
fn what_is_said_to_a_nodes_last_life_is_not_for_the_next_one() {
    let mut world = World::cluster(2, 1);
    let classroom = world.classroom_at(&world.ring(1, 2), 0);
    let last = world.session(1, "web", "a", classroom);
    world.reborn(1);
    let member = |(slot, epoch)| Member { slot: NodeSlot(slot), epoch, shards: 1 };
    let ring = Arc::new(HashRing::of(Arc::new(View::new(2, [(0, 10), (1, 111)].map(member).to_vec()))));
    world.view_comes(ShardId::of(NodeSlot(1), 0), &ring);
    let next = world.websocket(1, "/ws");
    world.text(next, &connect_request("web", classroom, &token("b")));
    assert_eq!(next, last, "names of connections begin anew");
    world.heard.clear();
    // The home has heard that the link broke, and not yet why.
    world.hears_of_a_break(0, 1);
    let second = world.websocket(0, "/ws");
    world.text(second, &connect_request("web", classroom, &token("a")));
    assert_eq!(world.take_heard(next), [""; 0], "the other one is replaced");
    world.view_comes(ShardId::of(NodeSlot(0), 0), &ring);
    world.run();
    assert!(world.engines.iter().all(|engine| engine.is_whole()));
    assert_eq!(world.take_heard(next)[..2], [SUCCESS, "PING"]);
    [second, next].into_iter().for_each(|conn| world.eof(conn));
}
