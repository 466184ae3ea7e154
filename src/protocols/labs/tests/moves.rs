//! Sessions: what they may become, and who is told what.

use super::world::{SECOND, World, ann, bob, creation, hello, id, place, root};
use crate::{
    protocols::labs::{
        asks::{Ask, Creation, Refused, Reply, Target},
        letters::AgentWord,
        model::{Progress, State},
    },
    realtime::{StoreFault, UnixMicros},
};

#[test]
fn a_whole_life() {
    let mut world = World::with_agent(3);
    let number = world.create(1);
    let session = world.session_in(number).clone();
    assert_eq!(session.name, "ann-firefox-browser-000001");
    assert_eq!((session.state, &*session.message), (State::Pending, "Session provisioning in progress..."));
    let start = world.last_command(1, "start_session");
    world.say(1, "a", AgentWord::Acknowledged { command: start.clone() });
    assert_eq!(world.shelf.commands.values().next().unwrap().progress, Progress::Acknowledged);
    world.done(start);
    let session = world.look(1);
    assert_eq!((session.state, &*session.message), (State::Running, "Session is running"));
    assert_eq!((&session.place, session.last_activity), (&place(), Some(world.now.wall)));

    let number = world.ask_move(1, Target::Hibernated);
    assert_eq!(world.answer(number), None, "it waits for the agent");
    let hibernate = world.last_command(1, "hibernate_session");
    world.done(hibernate);
    assert_eq!(
        (world.session_in(number).state, &*world.session_in(number).message),
        (State::Hibernated, "Session hibernated successfully")
    );
    let number = world.ask_move(1, Target::Running);
    let wake = world.last_command(1, "wake_session");
    world.done(wake);
    assert_eq!(world.session_in(number).state, State::Running);

    let number = world.ask_move(1, Target::Terminating);
    assert_eq!(world.session_in(number).state, State::Terminating, "without waiting");
    let stop = world.last_command(1, "stop_session");
    world.done(stop);
    assert_eq!(world.look(1).state, State::Terminated);
    assert_eq!(world.shelf.sessions[&id(1)].state, State::Terminated);
    assert!(world.shelf.commands.values().all(|command| command.progress == Progress::Completed));
    let levels = world.registry.levels();
    assert_eq!((levels.sessions, levels.places, levels.commands, levels.waiting, levels.timers), (0, 0, 0, 0, 1));
}

#[test]
fn nothing_is_told_or_sent_before_it_is_on_disk() {
    let mut world = World::with_agent(3);
    world.prompt = false;
    let number = world.create(1);
    assert_eq!(world.said, []);
    let look = world.ask(Ask::Look { session: id(1), caller: ann() });
    assert_eq!(world.refusal(look), Refused::NoSession);
    world.store();
    assert_eq!(world.session_in(number).state, State::Pending);
    let start = world.last_command(1, "start_session");
    world.done(start);
    assert_eq!(world.state(1), State::Pending);
    world.store();
    assert_eq!(world.state(1), State::Running);
}

#[test]
fn capacity_counts_what_is_on_its_way_and_is_given_back_when_it_fails() {
    let mut world = World::with_agent(2);
    world.prompt = false;
    let (one, two, three) = (world.create(1), world.create(2), world.create(3));
    assert_eq!(world.refusal(three), Refused::Full);
    world.store_fails(StoreFault::Failed);
    assert_eq!(world.refusal(one), Refused::Store(StoreFault::Failed));
    world.store();
    assert_eq!(world.session_in(two).state, State::Pending);
    let four = world.create(4);
    world.store();
    assert_eq!(world.session_in(four).state, State::Pending);
    let five = world.create(5);
    assert_eq!(world.refusal(five), Refused::Full);
}

#[test]
fn a_sleeper_gives_its_place_away_and_wakes_when_there_is_one() {
    let mut world = World::with_agent(1);
    world.start(1);
    world.ask_move(1, Target::Hibernated);
    let hibernate = world.last_command(1, "hibernate_session");
    let full = world.create(2);
    assert_eq!(world.refusal(full), Refused::Full, "until it sleeps it has its place");
    world.done(hibernate);
    world.start(3);
    let wake = world.ask_move(1, Target::Running);
    assert_eq!(world.refusal(wake), Refused::Full);
    world.ask_move(3, Target::Terminated);
    let wake = world.ask_move(1, Target::Running);
    assert_eq!(world.answer(wake), None);
    assert_eq!(world.state(1), State::Waking);
    let full = world.create(4);
    assert_eq!(world.refusal(full), Refused::Full);
}

#[test]
fn a_wake_that_cannot_be_written_gives_its_place_back() {
    let mut world = World::with_agent(1);
    world.start(1);
    world.ask_move(1, Target::Hibernated);
    let hibernate = world.last_command(1, "hibernate_session");
    world.done(hibernate);
    world.prompt = false;
    let wake = world.ask_move(1, Target::Running);
    let full = world.create(2);
    assert_eq!(world.refusal(full), Refused::Full);
    world.store_fails(StoreFault::Busy);
    assert_eq!(world.refusal(wake), Refused::Store(StoreFault::Busy));
    assert_eq!(world.state(1), State::Hibernated);
    world.prompt = true;
    world.start(3);
}

#[test]
fn a_request_that_the_agent_does_not_answer_gets_what_is_to_be() {
    let mut world = World::running();
    let number = world.ask_move(1, Target::Hibernated);
    world.pass_with(9 * SECOND, &[(1, "a")]);
    assert_eq!(world.answer(number), None);
    world.pass_with(2 * SECOND, &[(1, "a")]);
    let session = world.session_in(number);
    assert_eq!((session.state, &*session.message), (State::Hibernated, "Session hibernated successfully"));
    assert_eq!(world.state(1), State::Hibernating);
    let hibernate = world.last_command(1, "hibernate_session");
    world.not_done(hibernate, "no space");
    let session = world.look(1);
    assert_eq!((session.state, &*session.message), (State::Running, "Hibernation failed: no space"));
}

#[test]
fn failures_go_back_and_the_asker_hears_the_agents_words() {
    let mut world = World::running();
    let number = world.ask_move(1, Target::Hibernated);
    let command = world.last_command(1, "hibernate_session");
    world.not_done(command, "no space");
    assert_eq!(world.refusal(number), Refused::Failed("no space".into()));
    assert_eq!(world.state(1), State::Running);
    world.ask_move(1, Target::Hibernated);
    let command = world.last_command(1, "hibernate_session");
    world.done(command);
    let number = world.ask_move(1, Target::Running);
    let command = world.last_command(1, "wake_session");
    world.not_done(command, "no image");
    assert_eq!(world.refusal(number), Refused::Failed("no image".into()));
    let session = world.look(1);
    assert_eq!((session.state, &*session.message), (State::Hibernated, "Waking failed: no image"));
    assert_eq!(world.registry.levels().places, 0);
}

#[test]
fn a_start_that_fails_is_told_and_may_be_deleted() {
    let mut world = World::with_agent(1);
    world.create(1);
    let command = world.last_command(1, "start_session");
    world.not_done(command, "Failed to create pod: insufficient resources");
    let session = world.look(1);
    assert_eq!((session.state, &*session.message), (State::Failed, "Failed to create pod: insufficient resources"));
    assert_eq!(world.registry.levels().places, 0);
    for to in [Target::Running, Target::Hibernated] {
        let number = world.ask_move(1, to);
        assert_eq!(world.refusal(number), Refused::NoSuchMove(State::Failed));
    }
    let number = world.ask_move(1, Target::Terminating);
    assert_eq!(world.session_in(number).state, State::Terminated);
    let stop = world.last_command(1, "stop_session");
    world.done(stop);
    assert_eq!(world.registry.levels().commands, 0);
}

#[test]
fn an_agents_words_are_kept_within_bounds() {
    let mut world = World::with_agent(1);
    world.create(1);
    let command = world.last_command(1, "start_session");
    world.not_done(command, &"é".repeat(100_000));
    assert_eq!(world.look(1).message, "é".repeat(512));
}

#[test]
fn waking_straight_after_hibernating_and_the_other_way_round() {
    let mut world = World::with_agent(1);
    world.start(1);
    let sleep = world.ask_move(1, Target::Hibernated);
    let wake = world.ask_move(1, Target::Running);
    let command = world.last_command(1, "hibernate_session");
    world.done(command);
    assert_eq!(world.session_in(sleep).state, State::Hibernated);
    assert_eq!(world.answer(wake), None);
    assert_eq!(world.state(1), State::Waking);
    let full = world.create(2);
    assert_eq!(world.refusal(full), Refused::Full, "its place was kept");
    let sleep = world.ask_move(1, Target::Hibernated);
    let command = world.last_command(1, "wake_session");
    world.done(command);
    assert_eq!(world.session_in(wake).state, State::Running);
    let command = world.last_command(1, "hibernate_session");
    world.done(command);
    assert_eq!(world.session_in(sleep).state, State::Hibernated);
    assert_eq!(world.registry.levels().places, 0);
}

#[test]
fn who_asks_for_what_is_under_way_waits_for_it() {
    let mut world = World::running();
    let (one, two) = (world.ask_move(1, Target::Hibernated), world.ask_move(1, Target::Hibernated));
    let command = world.last_command(1, "hibernate_session");
    assert_eq!(world.commands(1).len(), 1);
    world.done(command);
    assert_eq!((world.session_in(one).state, world.session_in(two).state), (State::Hibernated, State::Hibernated));
}

#[test]
fn a_change_of_mind_leaves_nobody_without_an_answer() {
    let mut world = World::running();
    let sleep = world.ask_move(1, Target::Hibernated);
    let wake = world.ask_move(1, Target::Running);
    let again = world.ask_move(1, Target::Hibernated);
    let command = world.last_command(1, "hibernate_session");
    world.done(command);
    assert_eq!(world.state(1), State::Hibernated);
    for number in [sleep, wake, again] {
        assert_eq!(world.session_in(number).state, State::Hibernated);
    }
    assert_eq!(world.registry.levels().places, 0);
}

#[test]
fn a_failed_hibernation_is_a_success_for_who_wanted_to_wake() {
    let mut world = World::running();
    let (sleep, wake) = (world.ask_move(1, Target::Hibernated), world.ask_move(1, Target::Running));
    let command = world.last_command(1, "hibernate_session");
    world.not_done(command, "no");
    assert_eq!(world.refusal(sleep), Refused::Failed("no".into()));
    assert_eq!(world.session_in(wake).state, State::Running);
    assert_eq!(world.commands(1).len(), 1, "there is nothing to wake");
}

#[test]
fn a_session_that_is_to_sleep_from_the_start() {
    let mut world = World::with_agent(1);
    let number = world.ask(Ask::Create(Box::new(Creation { hibernated: true, ..creation(1) })));
    assert_eq!(world.session_in(number).state, State::Pending);
    let command = world.last_command(1, "start_session");
    world.done(command);
    let command = world.last_command(1, "hibernate_session");
    world.done(command);
    assert_eq!(world.state(1), State::Hibernated);
}

#[test]
fn whose_it_is() {
    let mut world = World::running();
    for (caller, expected) in [(bob(), Some(Refused::NotYours)), (ann(), None), (root(), None)] {
        let look = world.ask(Ask::Look { session: id(1), caller: caller.clone() });
        let logs = world.ask(Ask::Logs { session: id(1), caller: caller.clone(), tail: 5 });
        let sleep = world.ask(Ask::Move { session: id(1), caller, to: Target::Hibernated });
        match expected {
            Some(expected) => [look, logs, sleep].map(|number| assert_eq!(world.refusal(number), expected)),
            None => [look, logs, sleep].map(|number| assert!(!matches!(world.answer(number), Some(Reply::Refused(_))))),
        };
    }
    let number = world.ask(Ask::Move { session: id(9), caller: root(), to: Target::Hibernated });
    assert_eq!(world.refusal(number), Refused::NoSession);
}

#[test]
fn without_its_agent_it_neither_sleeps_nor_wakes_but_ends() {
    let mut world = World::running();
    world.gone(1, "a");
    let number = world.ask_move(1, Target::Hibernated);
    assert_eq!(world.refusal(number), Refused::AgentOffline);
    assert_eq!(world.state(1), State::Running);
    let number = world.ask_move(1, Target::Terminating);
    assert_eq!(world.session_in(number).state, State::Terminating);
    assert!(world.shelf.commands.values().any(|command| command.progress == Progress::Pending));
    world.register(2, hello("a", 3));
    world.last_command(2, "stop_session");
}

#[test]
fn names_that_are_taken() {
    let mut world = World::with_agent(9);
    let same = |session| Ask::Create(Box::new(Creation { suffixes: creation(1).suffixes, ..creation(session) }));
    let numbers: Vec<_> = (1..=5).map(|session| world.ask(same(session))).collect();
    let names: Vec<_> = numbers[..4].iter().map(|number| world.session_in(*number).name.clone()).collect();
    let expected = ["000001", "000101", "000201", "000301"].map(|suffix| format!("ann-firefox-browser-{suffix}"));
    assert_eq!(names, expected);
    assert_eq!(world.refusal(numbers[4]), Refused::Taken);
    assert_eq!(world.registry.levels().places, 4);
}

#[test]
fn names_that_only_the_store_knows_to_be_taken() {
    let mut world = World::with_agent(9);
    world.prompt = false;
    let number = world.create(1);
    world.store_has_the_name();
    world.store_has_the_name();
    world.store();
    assert_eq!(world.session_in(number).name, "ann-firefox-browser-000201");
    assert_eq!(world.commands(1).len(), 1);
    let number = world.create(2);
    for _ in 0..4 {
        world.store_has_the_name();
    }
    assert_eq!(world.refusal(number), Refused::Taken);
    assert_eq!((world.registry.levels().places, world.registry.levels().sessions), (1, 1));
}

#[test]
fn a_store_that_is_slow_keeps_nobody_waiting_for_long() {
    let mut world = World::running();
    world.prompt = false;
    let numbers: Vec<_> = (0..20).map(|_| world.ask_move(1, Target::Terminating)).collect();
    assert_eq!(world.refusal(numbers[19]), Refused::Store(StoreFault::Busy), "the queue has an end");
    world.pass(6 * SECOND);
    for number in numbers {
        assert_eq!(world.refusal(number), Refused::Store(StoreFault::Busy));
    }
    world.prompt = true;
    world.store();
    assert_eq!(world.state(1), State::Terminating, "what was begun goes on");
    assert_eq!(world.commands(1).len(), 1, "and what nobody waits for does not begin");
}

#[test]
fn times_move_with_changes_only() {
    let mut world = World::running();
    let before = world.look(1).updated_at;
    world.pass_with(5 * SECOND, &[(1, "a")]);
    assert_eq!(world.look(1).updated_at, before);
    world.ask_move(1, Target::Terminating);
    assert_eq!(world.look(1).updated_at, UnixMicros(before.0 + 5_000_000));
}
