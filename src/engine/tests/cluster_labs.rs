//! Labs over several nodes: the registry is on the first, agents and viewers wherever they came. What each hears is what it hears on one.

use super::{labs::*, world::*};
use crate::{
    protocols::labs::{
        ProxyId, SessionId,
        asks::{Ask, LimitKey, Reply, Window},
        model::State,
    },
    realtime::ConnId,
};
use uuid::Uuid;

const WINDOW: usize = 1 << 20;
/// What is given at first to an agent that counts, for a viewer on another node.
const FAR: usize = WINDOW / 4;

/// An agent that counts on one node, and a viewer of its session on another.
pub(super) struct Watched {
    pub(super) agent: ConnId,
    pub(super) viewer: ConnId,
    pub(super) session: SessionId,
    pub(super) proxy: u32,
}

pub(super) fn watched(world: &mut World, agent_at: usize, viewer_at: usize) -> Watched {
    let agent = world.agent(agent_at, "a1");
    let session = world.desktop(agent, "ann", 1);
    let (viewer, proxy) = world.viewer(viewer_at, (session, &user_token("ann", 1, LATER)), agent);
    world.ready(agent, proxy, Some(1 << 20));
    assert_eq!(world.given(agent), if agent_at == viewer_at { WINDOW } else { FAR });
    Watched { agent, viewer, session, proxy }
}

impl World {
    /// The credit that an agent was given since it was last asked, and nothing else was said to it.
    pub(super) fn given(&mut self, agent: ConnId) -> usize {
        assert!(self.take_heard(agent).iter().all(|words| words == "BINARY 9"));
        let stream = self.take_stream(agent);
        stream.chunks(9).map(|frame| u32::from_be_bytes(frame[5..9].try_into().unwrap()) as usize).sum()
    }

    /// Bytes of a screen reach the viewer.
    pub(super) fn is_shown(&mut self, watched: &Watched, salt: usize) {
        let bytes = stream(30_000, salt);
        self.bytes(watched.agent, &long(2, &data(watched.proxy, &bytes)));
        assert!(self.take_stream(watched.viewer) == bytes, "what the agent sent");
        self.take_heard(watched.viewer);
        self.frame(watched.viewer, 2, b"key");
        assert!(self.take_stream(watched.agent).ends_with(b"key"));
        self.take_heard(watched.agent);
    }

    pub(super) fn state(&mut self, place: usize, session: SessionId) -> State {
        match self.ask_labs(place, Ask::Look { session, caller: caller("ann") }) {
            Reply::Session(row) => row.state,
            other => panic!("{other:?}"),
        }
    }

    /// The agents that are online, as a shard is told.
    pub(super) fn online(&mut self, place: usize) -> Vec<String> {
        match self.ask_labs(place, Ask::Agents) {
            Reply::Agents(agents) => {
                agents.into_iter().filter(|view| view.connection.is_some()).map(|view| view.agent.name.to_string()).collect()
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn one_registry_serves_agents_viewers_and_requests_of_every_node() {
    for (agent_at, viewer_at) in [(2, 4), (4, 2), (0, 2), (2, 0), (3, 2)] {
        let mut world = World::cluster(3, 2);
        assert_eq!(world.engines.iter().filter(|engine| engine.has_registry()).count(), 1);
        assert!(world.engines[0].has_registry());
        let watched = watched_anywhere(&mut world, agent_at, viewer_at);
        for place in 0..6 {
            assert_eq!(world.state(place, watched.session), State::Running);
            assert_eq!(world.online(place), ["a1"]);
        }
        world.is_shown(&watched, 1);
        let ended = world.ask_labs(
            5,
            Ask::Move { session: watched.session, caller: caller("ann"), to: crate::protocols::labs::asks::Target::Terminating },
        );
        assert!(matches!(ended, Reply::Session(_)), "{ended:?}");
        assert_eq!(world.take_heard(watched.viewer), ["CLOSE 1000", "FIN"]);
        world.obey_all(watched.agent);
        assert_eq!(world.state(1, watched.session), State::Terminated);
        world.leave_labs(&[watched.viewer, watched.agent]);
    }
}

fn watched_anywhere(world: &mut World, agent_at: usize, viewer_at: usize) -> Watched {
    let agent = world.agent(agent_at, "a1");
    let session = world.desktop(agent, "ann", 1);
    let (viewer, proxy) = world.viewer(viewer_at, (session, &user_token("ann", 1, LATER)), agent);
    world.ready(agent, proxy, None);
    Watched { agent, viewer, session, proxy }
}

#[test]
fn bytes_are_the_same_at_both_ends_and_no_more_is_on_its_way_than_there_is_credit_for() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    let Watched { agent, viewer, proxy, .. } = watched;
    let down = stream(3 << 20, 1);
    let (mut sent, mut may_send) = (0, FAR);
    while sent < down.len() {
        let length = may_send.min(down.len() - sent).min(60_000);
        assert!(length > 0, "credit comes as bytes leave");
        world.bytes(agent, &long(2, &data(proxy, &down[sent..sent + length])));
        sent += length;
        may_send = may_send - length + world.given(agent);
    }
    assert!(world.take_stream(viewer) == down);
    // The viewer takes nothing: its own stream stands, and another of the same agent to the same node goes on.
    world.take_heard(viewer);
    world.stalled.push(viewer);
    while may_send > 0 {
        let length = may_send.min(32_768);
        world.bytes(agent, &long(2, &data(proxy, &stream(length, 3))));
        may_send = may_send - length + world.given(agent);
    }
    let other = world.desktop(agent, "ann", 2);
    let (quick, two) = world.viewer(2, (other, &user_token("ann", 1, LATER)), agent);
    world.ready(agent, two, Some(1 << 20));
    assert_eq!(world.given(agent), FAR);
    for n in 0..40 {
        world.bytes(agent, &long(2, &data(two, &stream(30_000, n))));
    }
    assert_eq!((world.given(agent), world.take_stream(quick).len()), (1_200_000, 1_200_000));
    let mut given = 0;
    while world.let_go(viewer) {
        given += world.given(agent);
    }
    assert_eq!((given, world.take_stream(viewer).len()), (FAR, FAR));
    world.leave_labs(&[viewer, quick, agent]);
}

#[test]
fn a_node_that_comes_moves_nothing_and_nobody_notices() {
    let mut world = World::cluster(2, 2);
    let watched = watched(&mut world, 2, 0);
    world.heard.clear();
    world.begin_node();
    world.view(2, 3);
    assert_eq!(world.heard, []);
    assert!(world.engines[0].has_registry() && world.engines.iter().all(|engine| engine.knows_rights()));
    world.is_shown(&watched, 5);
    assert_eq!((world.online(5), world.state(4, watched.session)), (vec!["a1".to_owned()], State::Running));
    let (other, two) = world.viewer(5, (watched.session, &user_token("root", 2, LATER)), watched.agent);
    assert_eq!(world.take_heard(watched.viewer), ["CLOSE 1008", "FIN"]);
    assert_eq!(ProxyId(two), ProxyId(watched.proxy + 1));
    world.leave_labs(&[watched.viewer, other, watched.agent]);
}

#[test]
fn a_limit_is_one_over_all_nodes() {
    let mut world = World::cluster(3, 2);
    for user in (1..20).map(Uuid::from_u128) {
        let mut left = |place| match world.ask_labs(place, Ask::Limit { key: LimitKey::User(user), window: Window::Login }) {
            Reply::Limit { remaining, .. } => remaining,
            other => panic!("{other:?}"),
        };
        let left: Vec<_> = (0..6).map(&mut left).collect();
        assert_eq!(left, [Some(4), Some(3), Some(2), Some(1), Some(0), None]);
    }
}

#[test]
fn whoever_counts_dies_and_the_next_one_is_asked_again() {
    let mut world = World::cluster(3, 1);
    let ring = world.ring(1, 3);
    let user = (1..).map(Uuid::from_u128).find(|user| ring.home(user.as_bytes()).node().0 == 2).unwrap();
    world.kill(2);
    let number = world.engines[1].ask_labs(Ask::Limit { key: LimitKey::User(user), window: Window::Login });
    world.run();
    assert_eq!(world.labs_reply(1, number), None);
    world.view(2, 3);
    let reply = world.labs_reply(1, number);
    assert!(matches!(reply, Some(Reply::Limit { remaining: Some(4), .. })), "{reply:?}");
}
