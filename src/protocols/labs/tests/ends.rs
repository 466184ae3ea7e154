//! How sessions end: gently, by force, and by themselves.

use super::world::{World, ann, bob, hello, id, place, root};
use crate::{
    protocols::labs::{
        asks::{Ask, Refused, Reply, Target},
        letters::AgentWord,
        model::{Place, Progress, State},
    },
    realtime::StoreFault,
};

fn status(world: &mut World, session: u128, running: bool, place: Place) {
    world.say(1, "a", AgentWord::Status { session: id(session), running, place: Box::new(place) });
}

#[test]
fn to_delete_twice_is_to_delete_once() {
    let mut world = World::running();
    let (one, two) = (world.ask_move(1, Target::Terminating), world.ask_move(1, Target::Terminating));
    assert_eq!((world.session_in(one).state, world.session_in(two).state), (State::Terminating, State::Terminating));
    for to in [Target::Running, Target::Hibernated] {
        let number = world.ask_move(1, to);
        assert_eq!(world.refusal(number), Refused::Terminating);
    }
    assert_eq!(world.commands(1).len(), 1);
    let stop = world.last_command(1, "stop_session");
    world.done(stop);
    for to in [Target::Terminating, Target::Terminated] {
        let number = world.ask_move(1, to);
        assert_eq!(world.session_in(number).state, State::Terminated);
    }
    for to in [Target::Running, Target::Hibernated] {
        let number = world.ask_move(1, to);
        assert_eq!(world.refusal(number), Refused::NoSuchMove(State::Terminated));
    }
    let number = world.ask(Ask::Look { session: id(1), caller: bob() });
    assert_eq!(world.refusal(number), Refused::NotYours);
}

#[test]
fn waking_and_deleting_at_once() {
    let mut world = World::running();
    world.ask_move(1, Target::Hibernated);
    let command = world.last_command(1, "hibernate_session");
    world.done(command);
    let wake = world.ask_move(1, Target::Running);
    let delete = world.ask_move(1, Target::Terminating);
    assert_eq!(world.refusal(wake), Refused::Terminating);
    assert_eq!(world.session_in(delete).state, State::Terminating);
    let stop = world.last_command(1, "stop_session");
    world.done(stop);
    assert_eq!(world.state(1), State::Terminated);
    assert_eq!(world.registry.levels().places, 0);
}

#[test]
fn by_force_it_is_over_at_once_and_the_stop_is_owed() {
    for to in [Target::Hibernated, Target::Terminating] {
        let mut world = World::running();
        world.ask_move(1, to);
        let number = world.ask(Ask::Move { session: id(1), caller: root(), to: Target::Terminated });
        assert_eq!(world.session_in(number).state, State::Terminated);
        assert_eq!(world.shelf.sessions[&id(1)].state, State::Terminated);
        assert_eq!((world.registry.levels().places, world.registry.levels().sessions), (0, 0));
        let stop = world.last_command(1, "stop_session");
        world.register(2, hello("a", 3));
        assert_eq!(world.last_command(2, "stop_session"), stop, "until it is done it is sent again");
        world.say(2, "a", AgentWord::Completed { command: stop.clone(), place: Box::default() });
        world.register(3, hello("a", 3));
        assert_eq!(world.commands(3), []);
        assert!(world.shelf.commands.values().all(|command| !matches!(command.progress, Progress::Pending | Progress::Sent)));
    }
}

#[test]
fn by_force_also_without_its_agent() {
    let mut world = World::running();
    world.gone(1, "a");
    let number = world.ask_move(1, Target::Terminated);
    assert_eq!(world.session_in(number).state, State::Terminated);
    world.restart();
    world.register(2, hello("a", 3));
    world.last_command(2, "stop_session");
}

#[test]
fn an_end_that_cannot_be_written_is_none() {
    let mut world = World::running();
    world.prompt = false;
    for to in [Target::Terminating, Target::Terminated, Target::Hibernated] {
        let number = world.ask_move(1, to);
        world.store_fails(StoreFault::Failed);
        assert_eq!(world.refusal(number), Refused::Store(StoreFault::Failed));
        assert_eq!((world.state(1), world.commands(1)), (State::Running, vec![]));
        world.said.clear();
    }
}

#[test]
fn who_waits_for_a_session_that_is_over_is_told() {
    let mut world = World::running();
    let sleep = world.ask_move(1, Target::Hibernated);
    world.prompt = false;
    let over = world.ask_move(1, Target::Terminated);
    let (again, wake) = (world.ask_move(1, Target::Terminating), world.ask_move(1, Target::Running));
    world.store();
    assert_eq!(world.refusal(sleep), Refused::NoSuchMove(State::Terminated));
    assert_eq!((world.session_in(over).state, world.session_in(again).state), (State::Terminated, State::Terminated));
    assert_eq!(world.refusal(wake), Refused::NoSuchMove(State::Terminated));
}

#[test]
fn what_died_with_its_agent_has_failed() {
    let mut world = World::running();
    world.gone(1, "a");
    world.register(1, hello("a", 3));
    status(&mut world, 1, false, Place::default());
    let session = world.look(1);
    assert_eq!((session.state, &*session.message), (State::Failed, "The session died at its agent"));
    assert_eq!((world.registry.levels().places, world.commands(1)), (0, vec![]));
}

#[test]
fn what_survived_its_agent_runs_where_it_runs_now() {
    let mut world = World::running();
    world.prompt = false;
    status(&mut world, 1, true, place());
    assert_eq!(world.pending.len(), 0, "nothing new");
    status(&mut world, 1, true, Place { vnc_port: Some(5901), ..Place::default() });
    world.store();
    assert_eq!(world.look(1).place, Place { vnc_port: Some(5901), ..place() });
    assert_eq!(world.state(1), State::Running);
}

#[test]
fn where_it_runs_may_be_said_before_the_result() {
    let mut world = World::with_agent(1);
    world.create(1);
    status(&mut world, 1, true, Place { vnc_port: Some(5901), ..Place::default() });
    assert_eq!(world.state(1), State::Pending);
    let start = world.last_command(1, "start_session");
    world.say(1, "a", AgentWord::Completed { command: start, place: Box::default() });
    assert_eq!(world.look(1).place.vnc_port, Some(5901));
    assert_eq!(world.shelf.sessions[&id(1)].place.vnc_port, Some(5901));
}

#[test]
fn what_is_gone_needs_no_stop_that_succeeds() {
    let mut world = World::running();
    world.ask_move(1, Target::Terminating);
    let stop = world.last_command(1, "stop_session");
    world.not_done(stop, "there is none");
    status(&mut world, 1, false, Place::default());
    assert_eq!(world.state(1), State::Terminated);
}

#[test]
fn what_nobody_knows_is_stopped() {
    let mut world = World::running();
    status(&mut world, 9, false, Place::default());
    assert_eq!(world.commands(1), []);
    status(&mut world, 9, true, place());
    let commands = world.commands(1);
    assert_eq!((&*commands[0].0, commands[0].1), ("stop_session", id(9)));
    world.register(2, hello("b", 3));
    world.said.clear();
    world.say(2, "b", AgentWord::Status { session: id(1), running: false, place: Box::default() });
    assert_eq!((world.state(1), world.commands(2)), (State::Running, vec![]), "another agent's session is not its own");
}

#[test]
fn the_log_of_a_session() {
    let mut world = World::running();
    let number = world.ask(Ask::Logs { session: id(1), caller: ann(), tail: 2 });
    assert_eq!(world.answer(number), None);
    let frame = world.said.iter().find_map(|said| match said {
        super::world::Said::Sent(_, frame) => Some(frame.clone()),
        super::world::Said::Told(..) | super::world::Said::Replied(..) => None,
    });
    let data = &frame.unwrap()["data"];
    assert_eq!((&data["tail"], &data["name"]), (&2.into(), &"ann-firefox-browser-000001".into()));
    let request = data["request"].as_u64().unwrap();
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    world.register(2, hello("b", 3));
    world.say(2, "b", AgentWord::Logs { request, lines: lines(&["not mine"]) });
    world.say(1, "a", AgentWord::Logs { request: request + 1, lines: lines(&["not that"]) });
    assert_eq!(world.answer(number), None);
    world.say(1, "a", AgentWord::Logs { request, lines: lines(&["1", "2", "3"]) });
    world.say(1, "a", AgentWord::Logs { request, lines: lines(&["4"]) });
    assert_eq!(world.answer(number), Some(&Reply::Logs(lines(&["2", "3"]))));
}

#[test]
fn a_log_that_nobody_sends_is_what_is_known() {
    let mut world = World::running();
    let known = |world: &World, number| match world.answer(number) {
        Some(Reply::Logs(lines)) => lines.clone(),
        other => panic!("{other:?}"),
    };
    let number = world.ask(Ask::Logs { session: id(1), caller: ann(), tail: 100 });
    world.pass(6 * super::world::SECOND);
    let lines = ["2023-11-14T22:13:20Z [INFO] Session created", "2023-11-14T22:13:20Z [INFO] Session is running"];
    assert_eq!(known(&world, number), lines);
    world.gone(1, "a");
    let number = world.ask(Ask::Logs { session: id(1), caller: ann(), tail: 1 });
    assert_eq!(known(&world, number), lines[1..]);
    let number = world.ask(Ask::Logs { session: id(2), caller: ann(), tail: 1 });
    assert_eq!(world.refusal(number), Refused::NoSession);
    assert_eq!(world.registry.levels().waiting, 0);
}
