//! What is on disk goes on after a restart.

use super::world::{SECOND, World, hello, id};
use crate::protocols::labs::{
    asks::{Refused, Target},
    letters::AgentWord,
    model::{Progress, State},
};
use std::time::Duration;

#[test]
fn commands_are_sent_again_under_the_same_name_and_places_are_counted() {
    let mut world = World::with_agent(4);
    world.start(1);
    world.start(2);
    world.create(3);
    let start = world.last_command(1, "start_session");
    world.ask_move(1, Target::Hibernated);
    let hibernate = world.last_command(1, "hibernate_session");
    world.ask_move(2, Target::Terminating);
    let stop = world.last_command(1, "stop_session");
    world.restart();
    assert_eq!(world.agent("a").connection, None);
    let number = world.create(9);
    assert_eq!(world.refusal(number), Refused::NoAgents);
    world.register(1, hello("a", 4));
    let mut sent: Vec<_> = world.commands(1).into_iter().map(|(_, _, command)| command).collect();
    let mut expected = vec![start.clone(), hibernate.clone(), stop.clone()];
    sent.sort();
    expected.sort();
    assert_eq!(sent, expected);
    assert_eq!(world.registry.levels().places, 3);
    world.create(4);
    let number = world.create(5);
    assert_eq!(world.refusal(number), Refused::Full);
    for command in expected {
        world.done(command);
    }
    assert_eq!([1, 2, 3].map(|session| world.state(session)), [State::Hibernated, State::Terminated, State::Running]);
    assert_eq!(world.registry.levels().places, 2);
}

#[test]
fn new_commands_have_names_that_were_never_used() {
    let mut world = World::with_agent(9);
    world.create(1);
    let before = world.last_command(1, "start_session");
    world.done(before.clone());
    world.pass(SECOND);
    world.restart();
    world.register(1, hello("a", 9));
    world.create(2);
    assert_ne!(world.last_command(1, "start_session"), before);
}

#[test]
fn a_stop_that_was_not_written_any_more_is_written_now() {
    let mut world = World::with_agent(3);
    world.create(1);
    world.prompt = false;
    world.ask_move(1, Target::Terminating);
    world.store();
    world.prompt = true;
    world.restart();
    world.register(1, hello("a", 3));
    let stop = world.last_command(1, "stop_session");
    world.done(stop);
    assert_eq!(world.state(1), State::Terminated);
}

#[test]
fn what_should_not_be_is_put_right() {
    let mut world = World::running();
    world.create(2);
    world.ask_move(1, Target::Hibernated);
    // A store that lost its commands, but for one that is of no session.
    let command = world.shelf.commands.values().find(|command| command.session == id(2)).unwrap().clone();
    world.shelf.commands.clear();
    let stray = crate::protocols::labs::model::Command { session: id(77), ..command };
    world.shelf.commands.insert(stray.id, stray);
    world.restart();
    assert_eq!((world.state(1), world.state(2)), (State::Running, State::Failed));
    assert!(world.shelf.commands.values().any(|command| command.session == id(77) && command.progress == Progress::Failed));
    world.register(1, hello("a", 3));
    let commands = world.commands(1);
    assert!(commands.iter().all(|(kind, session, _)| kind == "stop_session" && *session == id(2)), "{commands:?}");
}

#[test]
fn sessions_of_an_agent_that_the_store_lost() {
    let mut world = World::running();
    world.start(2);
    world.ask_move(2, Target::Hibernated);
    world.shelf.agents.clear();
    world.restart();
    assert_eq!((world.state(1), world.state(2)), (State::Running, State::Running));
    let number = world.ask_move(1, Target::Hibernated);
    assert_eq!(world.refusal(number), Refused::AgentOffline);
    for session in [1, 2] {
        let number = world.ask_move(session, Target::Terminating);
        assert_eq!(world.session_in(number).state, State::Terminated);
    }
    assert_eq!((world.registry.levels().commands, world.registry.levels().timers), (0, 0));
}

#[test]
fn the_time_of_a_command_begins_again() {
    let mut world = World::with_agent(3);
    world.create(1);
    world.pass_with(Duration::from_secs(500), &[(1, "a")]);
    world.restart();
    world.register(1, hello("a", 3));
    world.pass_with(Duration::from_secs(500), &[(1, "a")]);
    assert_eq!(world.state(1), State::Pending);
    let start = world.last_command(1, "start_session");
    world.say(1, "a", AgentWord::Completed { command: start, place: Box::default() });
    assert_eq!(world.state(1), State::Running);
}
