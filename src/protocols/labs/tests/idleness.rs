//! Sessions that nobody uses.

use super::world::{SECOND, World, ann, creation, hello, id};
use crate::{
    protocols::labs::{
        ToRegistry,
        asks::{Ask, Creation},
        model::State,
    },
    realtime::UnixMicros,
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const AGENT: &[(u32, &str)] = &[(1, "a")];

fn with_timeout(text: &str) -> World {
    let mut world = World::with_agent(3);
    world.ask(Ask::Create(Box::new(Creation { idle_timeout: text.into(), ..creation(1) })));
    let start = world.last_command(1, "start_session");
    world.done(start);
    world
}

#[test]
fn a_session_sleeps_when_nobody_has_done_anything_for_its_time() {
    for (text, time) in [("30m", 30 * MINUTE), ("1h30m", 90 * MINUTE), ("90s", 90 * SECOND)] {
        let mut world = with_timeout(text);
        world.pass_with(time - SECOND, AGENT);
        assert_eq!(world.state(1), State::Running);
        world.pass_with(2 * SECOND, AGENT);
        let hibernate = world.last_command(1, "hibernate_session");
        world.done(hibernate);
        assert_eq!(world.state(1), State::Hibernated);
    }
}

#[test]
fn one_without_a_time_never_does() {
    for text in ["0s", "", "soon"] {
        let mut world = with_timeout(text);
        world.pass_with(24 * 60 * MINUTE, &[]);
        assert_eq!(world.state(1), State::Running);
    }
}

#[test]
fn what_viewers_do_keeps_it_awake() {
    let mut world = with_timeout("90s");
    for _ in 0..10 {
        world.pass_with(80 * SECOND, AGENT);
        world.letter(ToRegistry::Activity { session: id(1) });
    }
    assert_eq!(world.state(1), State::Running);
    let last = UnixMicros(world.now.wall.0);
    assert_eq!((world.look(1).last_activity, world.shelf.sessions[&id(1)].last_activity), (Some(last), Some(last)));
    world.pass_with(80 * SECOND, AGENT);
    world.view(9, 1, &ann());
    world.pass_with(80 * SECOND, AGENT);
    assert_eq!(world.state(1), State::Running, "to come is to do something");
    world.pass_with(11 * SECOND, AGENT);
    assert_eq!(world.state(1), State::Hibernating);
    world.letter(ToRegistry::Activity { session: id(1) });
    assert_eq!(world.look(1).last_activity, Some(UnixMicros(last.0 + 80_000_000)), "only of those that run");
}

#[test]
fn activity_while_something_is_written_is_not_lost() {
    let mut world = with_timeout("90s");
    world.pass_with(10 * SECOND, AGENT);
    world.prompt = false;
    world.ask_move(1, crate::protocols::labs::asks::Target::Hibernated);
    world.pass(SECOND);
    world.letter(ToRegistry::Activity { session: id(1) });
    world.prompt = true;
    world.store();
    let session = world.look(1);
    assert_eq!(session.last_activity, Some(world.now.wall));
    assert_eq!(world.shelf.sessions[&id(1)].last_activity, Some(world.now.wall));
}

#[test]
fn a_failed_hibernation_is_tried_again_after_as_long_a_time() {
    let mut world = with_timeout("90s");
    world.pass_with(91 * SECOND, AGENT);
    let first = world.last_command(1, "hibernate_session");
    world.not_done(first.clone(), "busy");
    world.pass_with(88 * SECOND, AGENT);
    assert_eq!(world.state(1), State::Running);
    world.pass_with(5 * SECOND, AGENT);
    assert_ne!(world.last_command(1, "hibernate_session"), first);
}

#[test]
fn without_its_agent_it_waits_for_its_return() {
    let mut world = with_timeout("90s");
    world.gone(1, "a");
    world.pass(200 * SECOND);
    assert_eq!(world.state(1), State::Running);
    world.register(2, hello("a", 3));
    world.pass_with(SECOND, &[(2, "a")]);
    world.last_command(2, "hibernate_session");
}

#[test]
fn after_a_restart_the_time_goes_on() {
    let mut world = with_timeout("90s");
    world.pass_with(60 * SECOND, AGENT);
    world.restart();
    world.register(1, hello("a", 3));
    world.pass_with(28 * SECOND, AGENT);
    assert_eq!(world.state(1), State::Running);
    world.pass_with(5 * SECOND, AGENT);
    assert_eq!(world.state(1), State::Hibernating);
}
