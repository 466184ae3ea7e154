//! Who watches.

use super::world::{Said, World, ann, bob, conn, hello, id, json, place, root};
use crate::protocols::labs::{
    FromRegistry, ProxyId, ToRegistry,
    asks::Target,
    letters::{AgentWord, Dialect, Hello, ViewOver, ViewRefused},
};
use serde_json::json as value;

#[test]
fn the_agent_is_told_then_the_viewer() {
    let mut world = World::running();
    world.view(9, 1, &ann());
    let request = value!({
        "type": "vnc_proxy_request", "session_id": id(1), "proxy_id": "proxy-1",
        "data": {"pod_name": "pod-1", "namespace": "streamspace", "vnc_port": 5900},
    });
    let view = FromRegistry::View { agent: conn(1), proxy: ProxyId(1) };
    let [Said::Told(to, FromRegistry::Proxy { proxy, session, viewer, request: Some(frame) }), after] = &world.said[..] else {
        panic!("{:?}", world.said)
    };
    assert_eq!((*to, *proxy, *session, *viewer, json(frame)), (conn(1), ProxyId(1), id(1), conn(9), request));
    assert_eq!(*after, Said::Told(conn(9), view));
    assert_eq!(world.registry.levels().viewers, 1);
}

#[test]
fn who_may_not() {
    let mut world = World::running();
    world.create(2);
    let refused = |world: &World, slot| match world.told(slot).pop() {
        Some(FromRegistry::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    };
    world.view(11, 9, &root());
    assert_eq!(refused(&world, 11), ViewRefused::NoSession);
    world.view(12, 1, &bob());
    assert_eq!(refused(&world, 12), ViewRefused::NotYours);
    world.view(13, 2, &ann());
    assert_eq!(refused(&world, 13), ViewRefused::NotRunning);
    world.ask_move(2, Target::Terminated);
    world.view(14, 2, &ann());
    assert_eq!(refused(&world, 14), ViewRefused::NotRunning);
    world.gone(1, "a");
    world.view(15, 1, &ann());
    assert_eq!(refused(&world, 15), ViewRefused::AgentOffline);
    assert_eq!(world.registry.levels().viewers, 0);
}

#[test]
fn an_admin_may_see_anyones_and_the_newest_wins() {
    let mut world = World::running();
    world.view(9, 1, &ann());
    world.view(10, 1, &root());
    assert_eq!(world.told(9).pop(), Some(FromRegistry::ViewOver(ViewOver::Displaced)));
    assert_eq!(world.told(10), [FromRegistry::View { agent: conn(1), proxy: ProxyId(2) }]);
    world.letter(ToRegistry::ViewerGone { conn: conn(9), session: id(1) });
    assert_eq!(world.registry.levels().viewers, 1, "the one that was displaced is not the one that is there");
    world.letter(ToRegistry::ViewerGone { conn: conn(10), session: id(1) });
    assert_eq!(world.registry.levels().viewers, 0);
    world.view(11, 1, &ann());
    assert_eq!(world.told(11), [FromRegistry::View { agent: conn(1), proxy: ProxyId(3) }], "never used twice");
}

#[test]
fn a_view_ends_with_the_agents_connection() {
    let over = |why| Some(FromRegistry::ViewOver(why));
    let mut world = World::running();
    world.view(9, 1, &ann());
    world.gone(1, "a");
    assert_eq!(world.told(9).pop(), over(ViewOver::AgentGone));
    world.register(1, hello("a", 3));
    world.view(10, 1, &ann());
    world.register(2, hello("a", 3));
    assert_eq!(world.told(10).pop(), over(ViewOver::AgentGone), "its tunnel went through the old one");
    world.view(11, 1, &ann());
    world.pass(31 * super::world::SECOND);
    assert_eq!(world.told(11).pop(), over(ViewOver::AgentGone));
    assert_eq!(world.registry.levels().viewers, 0);
}

#[test]
fn a_view_ends_when_the_session_runs_no_more() {
    for to in [Target::Hibernated, Target::Terminating, Target::Terminated] {
        let mut world = World::running();
        world.view(9, 1, &ann());
        world.ask_move(1, to);
        assert_eq!(world.told(9).pop(), Some(FromRegistry::ViewOver(ViewOver::Stopped)), "{to:?}");
        world.view(10, 1, &ann());
        assert_eq!(world.told(10), [FromRegistry::Refused(ViewRefused::NotRunning)]);
    }
}

#[test]
fn an_agent_of_the_field_needs_no_request() {
    let mut world = World::new();
    world.register(1, Hello { dialect: Dialect::Field, ..hello("f", 3) });
    world.create(1);
    let Some(Said::Sent(_, frame)) = world.said.iter().rfind(|said| matches!(said, Said::Sent(..))) else { panic!() };
    let command = frame["payload"]["commandId"].as_str().unwrap().to_owned();
    world.say(1, "f", AgentWord::Completed { command, place: Box::new(place()) });
    world.said.clear();
    world.view(9, 1, &ann());
    assert!(!world.said.iter().any(|said| matches!(said, Said::Sent(..))));
    assert_eq!((world.told(1).len(), world.told(9).len()), (1, 1));
}
