//! Agents that stay away, and are forgotten.

use super::world::{SECOND, START, Said, World, conn, hello, root};
use crate::{
    protocols::labs::{
        FromRegistry, Settings,
        asks::{Ask, Refused, Reply, Target},
        letters::{Capacity, Dialect, Hello},
        model::State,
    },
    realtime::{StoreFault, UnixMicros},
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn forget(world: &mut World, name: &str) -> u64 {
    world.ask(Ask::Forget { agent: name.into() })
}

fn is_known(world: &mut World) -> bool {
    let is_shown = !world.agents().is_empty();
    assert_eq!(is_shown, !world.shelf.agents.is_empty(), "on disk as in memory");
    is_shown
}

#[test]
fn an_agent_that_stays_away_is_forgotten_in_time() {
    let mut world = World::with_agent(5);
    let first = world.agent("a").agent.id;
    world.pass_with(DAY, &[(1, "a")]);
    world.gone(1, "a");
    world.pass(7 * DAY - SECOND);
    assert!(is_known(&mut world));
    world.pass(2 * SECOND);
    assert!(!is_known(&mut world));
    assert_eq!((world.registry.levels().timers, world.registry.levels().agents), (0, 0));
    world.register(2, hello("a", 5));
    let agent = world.agent("a").agent;
    assert!(agent.id != first && agent.created_at > START, "it is another");
}

#[test]
fn who_is_connected_or_heard_of_by_http_is_not_forgotten() {
    let mut world = World::with_agent(5);
    world.pass(8 * DAY);
    assert!(is_known(&mut world), "silent, and still connected");
    world.gone(1, "a");
    world.pass(6 * DAY);
    world.ask(Ask::Pulse { agent: "a".into(), capacity: Capacity::default() });
    world.pass(6 * DAY);
    assert!(is_known(&mut world));
    world.ask(Ask::Enrol(Box::new(hello("a", 5))));
    world.pass(6 * DAY);
    assert!(is_known(&mut world));
    world.pass(DAY + SECOND);
    assert!(!is_known(&mut world));
}

#[test]
fn one_that_enrolled_and_never_came_is_forgotten_as_well() {
    let mut world = World::new();
    world.ask(Ask::Enrol(Box::new(Hello { dialect: Dialect::Field, ..hello("f", 4) })));
    world.pass(7 * DAY - SECOND);
    assert!(is_known(&mut world));
    world.pass(2 * SECOND);
    assert!(!is_known(&mut world));
}

#[test]
fn one_that_left_before_its_row_was_there_is_kept_as_long() {
    let mut world = World::new();
    world.prompt = false;
    world.register(1, hello("a", 5));
    world.gone(1, "a");
    while world.store() {}
    world.prompt = true;
    world.pass(7 * DAY - SECOND);
    assert!(is_known(&mut world));
    world.pass(2 * SECOND);
    assert!(!is_known(&mut world));
}

#[test]
fn sessions_keep_their_agent_until_they_are_over() {
    let mut world = World::running();
    world.gone(1, "a");
    world.pass(30 * DAY);
    assert!(is_known(&mut world));
    let refused = forget(&mut world, "a");
    assert_eq!(world.refusal(refused), Refused::AgentInUse);
    world.ask(Ask::Move { session: super::world::id(1), caller: root(), to: Target::Terminated });
    assert_eq!(world.state(1), State::Terminated);
    let refused = forget(&mut world, "a");
    assert_eq!(world.refusal(refused), Refused::AgentInUse, "the stop is owed to it still");
    world.pass(Duration::from_secs(601));
    assert!(!is_known(&mut world), "it is given up, and nothing keeps the agent");
    assert_eq!(world.registry.levels().timers, 0);
}

#[test]
fn a_restart_lengthens_nothing() {
    let mut world = World::with_agent(5);
    world.gone(1, "a");
    world.pass(6 * DAY);
    world.restart();
    world.pass(DAY - HOUR);
    assert!(is_known(&mut world));
    world.pass(2 * HOUR);
    assert!(!is_known(&mut world));
    let mut world = World::with_agent(5);
    world.gone(1, "a");
    world.now.wall = UnixMicros(world.now.wall.0 + 30 * 24 * 3600 * 1_000_000);
    world.restart();
    world.pass(SECOND);
    assert!(!is_known(&mut world), "its time was over when the process began");
}

#[test]
fn an_admin_forgets_who_is_not_there() {
    let mut world = World::with_agent(5);
    let number = forget(&mut world, "a");
    assert_eq!(world.refusal(number), Refused::AgentInUse);
    world.gone(1, "a");
    let number = forget(&mut world, "a");
    assert!(matches!(world.answer(number), Some(Reply::Agent(view)) if &*view.agent.name == "a"));
    assert!(!is_known(&mut world));
    assert_eq!(world.registry.levels().timers, 0);
    let number = forget(&mut world, "a");
    assert_eq!(world.refusal(number), Refused::NoAgent);
}

#[test]
fn who_returns_while_it_is_forgotten_is_new() {
    let mut world = World::with_agent(5);
    world.ask(Ask::Drain { agent: "a".into(), draining: true });
    world.gone(1, "a");
    let before = world.agent("a").agent.id;
    world.prompt = false;
    let number = forget(&mut world, "a");
    let drain = world.ask(Ask::Drain { agent: "a".into(), draining: false });
    let again = forget(&mut world, "a");
    world.register(2, hello("a", 6));
    assert_eq!((world.answer(number), world.told(2)), (None, vec![]));
    world.store();
    assert!(matches!(world.answer(number), Some(Reply::Agent(_))));
    assert_eq!((world.refusal(drain), world.refusal(again)), (Refused::NoAgent, Refused::NoAgent));
    assert_eq!(world.told(2), []);
    world.store();
    assert_eq!(world.told(2), [FromRegistry::Registered]);
    let agent = world.agent("a").agent;
    assert!(agent.id != before && !agent.draining && agent.max_sessions == Some(6));
    assert_eq!(world.shelf.agents.keys().collect::<Vec<_>>(), [&agent.id]);
}

#[test]
fn one_of_the_field_that_comes_while_it_is_forgotten_has_to_enrol_again() {
    let mut world = World::new();
    world.ask(Ask::Enrol(Box::new(Hello { dialect: Dialect::Field, ..hello("f", 4) })));
    world.prompt = false;
    forget(&mut world, "f");
    world.register(1, Hello { dialect: Dialect::Field, platform: "".into(), region: "".into(), ..hello("f", 0) });
    while world.store() {}
    assert_eq!(world.told(1), [FromRegistry::Unknown]);
    assert!(!is_known(&mut world));
}

#[test]
fn what_the_records_do_not_let_go_is_known_still() {
    let mut world = World::with_agent(5);
    world.gone(1, "a");
    world.prompt = false;
    let number = forget(&mut world, "a");
    world.store_fails(StoreFault::Failed);
    assert_eq!(world.refusal(number), Refused::Store(StoreFault::Failed));
    world.pass(7 * DAY + SECOND);
    world.store_fails(StoreFault::Busy);
    assert!(is_known(&mut world));
    world.prompt = true;
    world.pass(59 * SECOND);
    assert!(is_known(&mut world));
    world.pass(2 * SECOND);
    assert!(!is_known(&mut world), "it is tried again");
}

#[test]
fn who_is_forgotten_makes_room() {
    let mut world = World::with(Settings { max_agents: 1, ..Settings::default() });
    world.register(1, hello("a", 1));
    world.register(2, hello("b", 1));
    assert_eq!(world.told(2), [FromRegistry::Full]);
    let number = world.ask(Ask::Enrol(Box::new(hello("c", 1))));
    assert_eq!((world.refusal(number), world.registry.levels().turned_away), (Refused::TooManyAgents, 2));
    world.gone(1, "a");
    forget(&mut world, "a");
    world.said.clear();
    world.register(3, hello("b", 1));
    assert_eq!(world.said.first(), Some(&Said::Told(conn(3), FromRegistry::Registered)));
}
