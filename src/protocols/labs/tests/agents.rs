//! Agents that come, speak and go.

use super::world::{SECOND, START, Said, World, conn, creation, hello, id, root};
use crate::{
    protocols::labs::{
        FromRegistry, Settings,
        asks::{Ask, Creation, Refused, Reply},
        letters::{AgentWord, Capacity, Dialect, Hello},
    },
    realtime::{StoreFault, UnixMicros},
};
use serde_json::json;

fn online(world: &mut World, name: &str) -> bool {
    world.agent(name).connection.is_some()
}

#[test]
fn a_new_agent_is_told_when_its_row_is_on_disk() {
    let mut world = World::new();
    world.prompt = false;
    world.register(1, hello("a", 5));
    assert_eq!(world.said, []);
    assert_eq!(world.agents(), []);
    world.said.clear();
    world.store();
    assert_eq!(world.said, [Said::Told(conn(1), FromRegistry::Registered)]);
    let view = world.agent("a");
    assert_eq!((view.agent.max_sessions, &*view.agent.platform, &*view.agent.region), (Some(5), "kubernetes", "us-east-1"));
    assert_eq!((view.connected_at, view.agent.last_heartbeat), (Some(START), Some(START)));
    assert_eq!(world.shelf.agents.values().next(), Some(&view.agent));
}

#[test]
fn a_returning_agent_needs_no_disk_unless_it_says_something_new() {
    let mut world = World::with_agent(5);
    world.gone(1, "a");
    world.prompt = false;
    world.register(2, hello("a", 5));
    assert_eq!(world.told(2), [FromRegistry::Registered]);
    world.register(3, hello("a", 6));
    assert_eq!(world.told(3), []);
    world.store();
    assert_eq!(world.told(3), [FromRegistry::Registered]);
    assert_eq!(world.told(2), [FromRegistry::Registered, FromRegistry::Displaced]);
    assert_eq!(world.agent("a").agent.max_sessions, Some(6));
}

#[test]
fn a_row_that_fails_turns_the_agent_away_and_leaves_nothing() {
    let mut world = World::new();
    world.prompt = false;
    world.register(1, hello("a", 5));
    world.store_fails(StoreFault::Failed);
    assert_eq!(world.told(1), [FromRegistry::Unkept]);
    assert_eq!(world.agents(), []);
    world.register(2, hello("a", 5));
    world.store();
    assert_eq!(world.told(2), [FromRegistry::Registered]);
}

#[test]
fn the_newest_connection_wins_also_before_the_row_is_there() {
    let mut world = World::new();
    world.prompt = false;
    for slot in 1..=3 {
        world.register(slot, hello("a", 5));
    }
    assert_eq!((world.told(1), world.told(2)), (vec![FromRegistry::Displaced], vec![FromRegistry::Displaced]));
    while world.store() {}
    assert_eq!(world.told(3), [FromRegistry::Registered]);
    world.said.clear();
    world.gone(1, "a");
    world.gone(2, "a");
    assert!(online(&mut world, "a"), "those that were displaced say nothing of it");
    world.gone(3, "a");
    assert!(!online(&mut world, "a"));
}

#[test]
fn of_two_connections_that_wait_the_newer_counts_though_the_older_is_heard_of_later() {
    let mut world = World::new();
    world.prompt = false;
    let came = world.now.wall;
    world.pass(SECOND);
    world.register(2, hello("a", 5));
    world.register_since(1, came, hello("a", 5));
    assert_eq!(world.told(1), [FromRegistry::Displaced]);
    world.store();
    assert_eq!(world.told(2), [FromRegistry::Registered]);
    assert!(online(&mut world, "a"));
}

#[test]
fn who_leaves_before_the_row_is_there_is_not_online() {
    let mut world = World::new();
    world.prompt = false;
    world.register(1, hello("a", 5));
    world.gone(1, "a");
    world.store();
    assert_eq!(world.told(1), []);
    assert!(!online(&mut world, "a"));
}

#[test]
fn offline_at_once_when_the_socket_ends_and_it_is_written_down() {
    let mut world = World::with_agent(5);
    world.pass(4 * SECOND);
    world.say(1, "a", AgentWord::Heartbeat(Capacity::default()));
    world.pass(SECOND);
    world.gone(1, "a");
    assert!(!online(&mut world, "a"));
    let row = world.shelf.agents.values().next().unwrap();
    assert_eq!(row.last_heartbeat, Some(UnixMicros(START.0 + 4_000_000)));
    assert_eq!(row.updated_at, UnixMicros(START.0 + 5_000_000));
    assert_eq!(world.registry.levels().timers, 1, "it is not forgotten at once");
}

#[test]
fn three_missed_heartbeats_and_it_is_offline_until_it_speaks() {
    let mut world = World::with_agent(5);
    world.pass(25 * SECOND);
    world.say(1, "a", AgentWord::Heartbeat(Capacity::default()));
    world.pass(29 * SECOND);
    assert!(online(&mut world, "a"));
    world.pass(2 * SECOND);
    assert!(!online(&mut world, "a"));
    let number = world.create(1);
    assert_eq!(world.refusal(number), Refused::NoAgents);
    world.say(1, "a", AgentWord::Heartbeat(Capacity::default()));
    assert!(online(&mut world, "a"));
    world.pass(31 * SECOND);
    assert!(!online(&mut world, "a"), "and is watched again");
}

#[test]
fn a_heartbeat_keeps_what_it_does_not_say() {
    let mut world = World::new();
    let capacity = Capacity { max_sessions: Some(9), max_cpu: Some(100.0), max_memory: Some(256.0), current_sessions: None };
    world.register(1, Hello { capacity, ..hello("a", 0) });
    world.say(
        1,
        "a",
        AgentWord::Heartbeat(Capacity { current_sessions: Some(7), max_memory: Some(128.0), ..Capacity::default() }),
    );
    let view = world.agent("a");
    assert_eq!((view.agent.max_sessions, view.agent.max_cpu, view.agent.max_memory), (Some(9), Some(100.0), Some(128.0)));
    assert_eq!(view.sessions, [], "places are counted here");
}

#[test]
fn strangers_words_are_not_heard() {
    let mut world = World::with_agent(5);
    world.create(1);
    let command = world.last_command(1, "start_session");
    world.register(2, hello("b", 5));
    for (slot, name) in [(2, "a"), (1, "b"), (2, "b"), (3, "nobody")] {
        world.say(slot, name, AgentWord::Failed { command: command.clone(), error: "mine".into() });
    }
    world.gone(2, "a");
    world.gone(7, "nobody");
    assert!(online(&mut world, "a"));
    assert_eq!(world.look(1).message, "Session provisioning in progress...");
}

#[test]
fn draining_takes_no_new_sessions_and_survives_everything() {
    let mut world = World::running();
    let number = world.ask(Ask::Drain { agent: "a".into(), draining: true });
    assert!(matches!(world.answer(number), Some(Reply::Agent(view)) if view.agent.draining));
    let number = world.create(2);
    assert_eq!(world.refusal(number), Refused::NoAgents);
    world.say(1, "a", AgentWord::Heartbeat(Capacity::default()));
    world.register(2, hello("a", 9));
    assert!(world.agent("a").agent.draining);
    world.restart();
    world.register(3, hello("a", 9));
    assert!(world.agent("a").agent.draining);
    let number = world.create(3);
    assert_eq!(world.refusal(number), Refused::NoAgents);
    world.ask(Ask::Drain { agent: "a".into(), draining: false });
    let number = world.create(4);
    assert_eq!(world.session_in(number).agent.as_deref(), Some("a"));
}

#[test]
fn draining_that_cannot_be_written_is_refused() {
    let mut world = World::with_agent(5);
    world.prompt = false;
    let number = world.ask(Ask::Drain { agent: "a".into(), draining: true });
    let behind = world.ask(Ask::Drain { agent: "a".into(), draining: true });
    world.store_fails(StoreFault::Failed);
    assert_eq!(world.refusal(number), Refused::Store(StoreFault::Failed));
    assert!(!world.agent("a").agent.draining);
    world.pass(6 * SECOND);
    assert_eq!(world.refusal(behind), Refused::Store(StoreFault::Busy));
    world.store();
    assert!(world.agent("a").agent.draining, "what is on disk, holds");
    let unknown = world.ask(Ask::Drain { agent: "b".into(), draining: true });
    assert_eq!(world.refusal(unknown), Refused::NoAgent);
}

#[test]
fn the_field_enrols_by_http_and_connects_by_name() {
    let mut world = World::new();
    let nameless = || Hello { dialect: Dialect::Field, platform: "".into(), region: "".into(), ..hello("f", 0) };
    world.register(1, nameless());
    assert_eq!(world.told(1), [FromRegistry::Unknown]);
    let enrolment = Hello { dialect: Dialect::Field, ..hello("f", 4) };
    let first = world.ask(Ask::Enrol(Box::new(enrolment.clone())));
    let again = world.ask(Ask::Enrol(Box::new(enrolment)));
    assert!(matches!(world.answer(first), Some(Reply::Enrolled { new: true, .. })));
    assert!(matches!(world.answer(again), Some(Reply::Enrolled { new: false, .. })));
    assert!(!online(&mut world, "f"));
    world.said.clear();
    world.register(1, nameless());
    assert_eq!(world.said, [Said::Told(conn(1), FromRegistry::Registered)], "and no commands");
    let number = world.create(1);
    assert_eq!(world.session_in(number).agent.as_deref(), Some("f"));
    let Some(Said::Sent(_, frame)) = world.said.iter().find(|said| matches!(said, Said::Sent(..))) else { panic!() };
    assert_eq!((&frame["type"], &frame["payload"]["action"]), (&json!("command"), &json!("start_session")));
    let capacity = Capacity { max_sessions: Some(8), ..Capacity::default() };
    let pulse = world.ask(Ask::Pulse { agent: "f".into(), capacity });
    assert!(matches!(world.answer(pulse), Some(Reply::Agent(view)) if view.agent.max_sessions == Some(8)));
    let unknown = world.ask(Ask::Pulse { agent: "g".into(), capacity });
    assert_eq!(world.refusal(unknown), Refused::NoAgent);
}

#[test]
fn there_is_an_end_to_new_agents() {
    let mut world = World::with(Settings { max_agents: 2, ..Settings::default() });
    for (slot, name) in [(1, "a"), (2, "b"), (3, "c")] {
        world.register(slot, hello(name, 1));
    }
    assert_eq!(world.told(3), [FromRegistry::Full]);
    world.register(4, hello("a", 1));
    assert_eq!(world.told(4), [FromRegistry::Registered]);
    let number = world.ask(Ask::Enrol(Box::new(hello("d", 1))));
    assert_eq!(world.refusal(number), Refused::TooManyAgents);
}

#[test]
fn sessions_go_where_they_are_asked_for_and_fit() {
    let mut world = World::with_agent(1);
    world.register(2, Hello { platform: "docker".into(), region: "eu".into(), ..hello("d", 1) });
    let asked = |session, platform: &str, region: Option<&str>| {
        let (platform, region) = (Some(platform.into()), region.map(Into::into));
        Ask::Create(Box::new(Creation { platform, region, ..creation(session) }))
    };
    let number = world.ask(asked(1, "docker", None));
    assert_eq!(world.session_in(number).agent.as_deref(), Some("d"));
    assert_eq!(&*world.session_in(number).platform, "docker");
    let number = world.ask(asked(2, "docker", None));
    assert_eq!(world.refusal(number), Refused::Full);
    let number = world.ask(asked(3, "kubernetes", Some("eu")));
    assert_eq!(world.refusal(number), Refused::NoAgents);
    let number = world.ask(asked(4, "kubernetes", Some("us-east-1")));
    assert_eq!(world.session_in(number).agent.as_deref(), Some("a"));
    let sessions = world.agent("a").sessions;
    assert_eq!(sessions.iter().map(|(session, ..)| *session).collect::<Vec<_>>(), [id(4)]);
    let number = world.ask(Ask::Look { session: id(2), caller: root() });
    assert_eq!(world.refusal(number), Refused::NoSession);
}
