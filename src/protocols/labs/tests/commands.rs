//! Commands: sent, sent again, overdue.

use super::world::{SECOND, World, hello, id, place};
use crate::{
    protocols::labs::{
        asks::{Refused, Target},
        letters::{AgentWord, Capacity},
        model::{Progress, State},
    },
    realtime::StoreFault,
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_command_is_sent_again_to_an_agent_that_returns_under_the_same_name() {
    let mut world = World::with_agent(3);
    world.create(1);
    let first = world.last_command(1, "start_session");
    world.say(1, "a", AgentWord::Acknowledged { command: first.clone() });
    world.gone(1, "a");
    assert_eq!(world.state(1), State::Pending);
    world.register(2, hello("a", 3));
    assert_eq!(world.last_command(2, "start_session"), first);
    world.say(2, "a", AgentWord::Completed { command: first, place: Box::default() });
    assert_eq!(world.state(1), State::Running);
    world.register(3, hello("a", 3));
    assert_eq!(world.commands(3), [], "what is done is not sent");
}

#[test]
fn a_command_waits_for_an_agent_that_left_while_it_was_written() {
    let mut world = World::with_agent(3);
    world.prompt = false;
    world.create(1);
    world.gone(1, "a");
    world.prompt = true;
    world.store();
    assert_eq!((world.commands(1), world.state(1)), (vec![], State::Pending));
    world.register(2, hello("a", 3));
    world.last_command(2, "start_session");
    assert_eq!(world.shelf.commands.values().next().unwrap().progress, Progress::Sent);
}

#[test]
fn an_agent_that_was_silent_hears_its_commands_again() {
    let mut world = World::running();
    world.ask_move(1, Target::Terminating);
    world.pass(40 * SECOND);
    assert_eq!(world.commands(1).len(), 1);
    world.say(1, "a", AgentWord::Heartbeat(Capacity::default()));
    let commands = world.commands(1);
    assert_eq!((commands.len(), &commands[0]), (2, &commands[1]));
}

#[test]
fn doubled_and_late_words_change_nothing() {
    let mut world = World::with_agent(3);
    world.create(1);
    let start = world.last_command(1, "start_session");
    for _ in 0..3 {
        world.say(1, "a", AgentWord::Acknowledged { command: start.clone() });
    }
    world.prompt = false;
    for _ in 0..3 {
        world.done(start.clone());
        world.not_done(start.clone(), "no");
    }
    assert_eq!(world.pending.len(), 1);
    world.prompt = true;
    world.store();
    world.not_done(start.clone(), "no");
    world.say(1, "a", AgentWord::Acknowledged { command: start.clone() });
    for strange in ["", "cmd-", "cmd-00000000000", "cmd-zzzzzzzzzzzz", "cmd-000000000000", "0123456789ab"] {
        world.not_done(strange.into(), "no");
    }
    assert_eq!(world.state(1), State::Running);
    let number = world.ask_move(1, Target::Terminated);
    assert_eq!(world.session_in(number).state, State::Terminated);
    world.done(start);
    assert_eq!(world.state(1), State::Terminated);
}

#[test]
fn a_start_that_is_overdue_has_failed_and_is_stopped_in_case_it_runs() {
    let mut world = World::with_agent(1);
    world.create(1);
    let start = world.last_command(1, "start_session");
    world.pass_with(10 * MINUTE + SECOND, &[(1, "a")]);
    let session = world.look(1);
    assert_eq!((session.state, &*session.message), (State::Failed, "The agent did not answer in time"));
    let stop = world.last_command(1, "stop_session");
    world.done(start);
    assert_eq!(world.state(1), State::Failed);
    assert_eq!(world.registry.levels().places, 0);
    let number = world.ask_move(1, Target::Terminating);
    assert_eq!(world.session_in(number).state, State::Terminated);
    assert_eq!(world.last_command(1, "stop_session"), stop, "one stop is enough");
    world.done(stop);
    assert_eq!(world.registry.levels().commands, 0);
}

#[test]
fn hibernating_and_waking_that_are_overdue_go_back() {
    let mut world = World::running();
    world.ask_move(1, Target::Hibernated);
    world.pass_with(10 * MINUTE + SECOND, &[(1, "a")]);
    assert_eq!(world.state(1), State::Running);
    world.ask_move(1, Target::Hibernated);
    let command = world.last_command(1, "hibernate_session");
    world.done(command);
    world.ask_move(1, Target::Running);
    world.pass_with(10 * MINUTE + SECOND, &[(1, "a")]);
    let session = world.look(1);
    assert_eq!((session.state, &*session.message), (State::Hibernated, "Waking failed: The agent did not answer in time"));
    assert_eq!(world.registry.levels().places, 0);
}

#[test]
fn a_stop_without_a_result_is_sent_again_and_then_anew() {
    let mut world = World::running();
    world.ask_move(1, Target::Terminating);
    world.pass_with(5 * MINUTE + SECOND, &[(1, "a")]);
    let commands = world.commands(1);
    assert_eq!((commands.len(), &commands[0]), (2, &commands[1]));
    world.pass_with(5 * MINUTE + SECOND, &[(1, "a")]);
    let commands = world.commands(1);
    assert_ne!(commands.last(), commands.first(), "by another command");
    assert_eq!(world.state(1), State::Terminating);
    let stop = world.last_command(1, "stop_session");
    world.done(stop);
    assert_eq!(world.state(1), State::Terminated);
}

#[test]
fn a_stop_that_fails_is_tried_again_later_by_another_command() {
    let mut world = World::running();
    world.ask_move(1, Target::Terminating);
    let first = world.last_command(1, "stop_session");
    world.not_done(first.clone(), "busy");
    let session = world.look(1);
    assert_eq!((session.state, &*session.message), (State::Terminating, "Termination failed: busy"));
    assert_eq!(world.commands(1).len(), 1);
    world.pass_with(5 * MINUTE + SECOND, &[(1, "a")]);
    let second = world.last_command(1, "stop_session");
    assert_ne!(first, second);
    world.done(second);
    assert_eq!(world.state(1), State::Terminated);
}

#[test]
fn sessions_of_an_agent_that_does_not_come_back() {
    let mut world = World::running();
    world.create(2);
    world.ask_move(1, Target::Terminating);
    world.gone(1, "a");
    world.pass(10 * MINUTE + 2 * SECOND);
    assert_eq!((world.state(1), world.state(2)), (State::Terminated, State::Failed));
    world.pass(10 * MINUTE + 2 * SECOND);
    let levels = world.registry.levels();
    assert_eq!((levels.commands, levels.places, levels.timers), (0, 0, 0));
}

#[test]
fn what_the_store_refuses_of_an_agents_word_is_tried_until_it_is_written() {
    let mut world = World::with_agent(3);
    world.create(1);
    let start = world.last_command(1, "start_session");
    world.prompt = false;
    world.done(start);
    for fault in [StoreFault::Busy, StoreFault::Failed, StoreFault::Failed] {
        world.store_fails(fault);
        assert_eq!(world.pending.len(), 0);
        world.pass(SECOND + Duration::from_millis(10));
    }
    world.store();
    assert_eq!((world.state(1), world.look(1).place), (State::Running, place()));
}

#[test]
fn what_is_given_up_is_closed_before_the_stop() {
    let mut world = World::with_agent(1);
    world.create(1);
    world.prompt = false;
    let number = world.ask_move(1, Target::Terminating);
    world.store();
    assert_eq!(world.session_in(number).state, State::Terminating);
    assert_eq!(world.commands(1).len(), 1);
    let start = world.last_command(1, "start_session");
    world.done(start);
    world.store();
    world.last_command(1, "stop_session");
    assert_eq!(world.state(1), State::Terminating);
    let full = world.create(2);
    assert_eq!(world.refusal(full), Refused::Full, "it has its place until it has ended");
    let progress: Vec<_> = world.shelf.commands.values().map(|command| command.progress).collect();
    assert!(progress.contains(&Progress::Failed) && progress.contains(&Progress::Sent), "{progress:?}");
    assert_eq!(world.shelf.sessions[&id(1)].state, State::Terminating);
}
