//! Labs over several nodes, one of which dies, or whose link to another breaks: what goes on, what is over, and who is told.

use super::{
    cluster_labs::{Watched, watched},
    labs::*,
    world::*,
};
use crate::{
    protocols::labs::{
        asks::{Ask, Refused, Reply, Target},
        model::{Role, State},
        record::{Kept, Record},
    },
    realtime::{ConnId, HashRing, StoreFault},
};
use std::time::Duration;
use uuid::Uuid;

const LINE: &str = r#"{"type":"status","session_id":"SESSION","state":"stopped"}"#;

fn revoked(token: u128) -> Ask {
    Ask::Keep(Record::Revoked { token: Uuid::from_u128(token), expires_at: LATER })
}

fn edited(name: &str, role: Role) -> Ask {
    let (email, active, password_hash, last_login) = (None, None, None, None);
    Ask::Keep(Record::EditedUser { user: user_id(name), email, role: Some(role), active, password_hash, last_login })
}

fn sleep(watched: &Watched) -> Ask {
    Ask::Move { session: watched.session, caller: caller("ann"), to: Target::Hibernated }
}

/// The session that is there beside the one that is watched.
fn second() -> Uuid {
    Uuid::from_u128(0xD2)
}

fn heard(world: &mut World, conn: ConnId, ends: &[&str]) {
    let heard = world.take_heard(conn);
    assert!(heard.len() >= ends.len() && heard[heard.len() - ends.len()..] == *ends, "{heard:?}");
}

#[test]
fn when_the_registry_dies_the_next_one_knows_all_and_screens_go_on() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    let follower = world.upgrade(2, &follow(&watched), "");
    world.take_heard(follower);
    world.is_shown(&watched, 1);
    world.kill(0);
    let lost = world.engines[2].ask_labs(sleep(&watched));
    let looked = world.engines[2].ask_labs(Ask::Agents);
    world.run();
    world.heard.clear();
    world.view(2, 3);
    assert!(world.engines[1].has_registry());
    assert_eq!(
        world.labs_reply(2, lost),
        Some(Reply::Refused(Refused::Store(StoreFault::Busy))),
        "nobody knows whether it was done"
    );
    assert!(matches!(world.labs_reply(2, looked), Some(Reply::Agents(agents)) if agents[0].connection.is_some()));
    assert_eq!(world.take_heard(follower), ["CLOSE 1012", "FIN"], "lines may be lost");
    assert_eq!(world.heard, [], "neither the agent nor the viewer hears of it");
    world.is_shown(&watched, 2);
    assert_eq!((world.state(2, watched.session), world.online(2)), (State::Running, vec!["a1".to_owned()]));
    let (other, proxy) = world.viewer(1, (watched.session, &user_token("ann", 1, LATER)), watched.agent);
    assert_eq!(proxy, watched.proxy + 1, "tunnels are counted on");
    heard(&mut world, watched.viewer, &["CLOSE 1008", "FIN"]);
    let asleep = world.engines[2].ask_labs(sleep(&watched));
    world.run();
    world.obey_all(watched.agent);
    assert!(matches!(world.labs_reply(2, asleep), Some(Reply::Session(row)) if row.state == State::Hibernated));
    world.leave_labs(&[watched.viewer, follower, other, watched.agent]);
}

#[test]
fn a_command_that_was_on_its_way_when_the_registry_died_is_told_again_and_done_once() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    world.engines[2].ask_labs(sleep(&watched));
    world.run();
    let told = world.take_heard(watched.agent);
    let command = json(told.iter().find(|words| words.contains("hibernate_session")).unwrap());
    world.kill(0);
    let done =
        format!(r#"{{"type":"command_result","command_id":{},"status":"completed","result":{{}}}}"#, command["command_id"]);
    world.text(watched.agent, &done);
    world.view(2, 3);
    assert_eq!(world.state(2, watched.session), State::Hibernating, "its word went to the dead");
    let again = world.take_heard(watched.agent);
    assert_eq!(again.iter().filter(|words| json(words)["command_id"] == command["command_id"]).count(), 1, "{again:?}");
    world.text(watched.agent, &done);
    assert_eq!(world.state(2, watched.session), State::Hibernated);
    world.leave_labs(&[watched.viewer, watched.agent]);
}

#[test]
fn an_agent_whose_word_on_a_session_may_be_lost_comes_again() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    world.kill(0);
    world.text(watched.agent, &LINE.replace("SESSION", &watched.session.to_string()));
    world.view(2, 3);
    assert_eq!(world.take_heard(watched.agent), ["CLOSE 1012", "FIN"]);
    heard(&mut world, watched.viewer, &["CLOSE 1011", "FIN"]);
    let agent = world.agent(2, "a1");
    world.text(agent, &LINE.replace("SESSION", &watched.session.to_string()));
    assert_eq!(world.state(1, watched.session), State::Failed);
    // Once it is on disk nothing is lost any more.
    world.kill(1);
    world.view(3, 3);
    assert_eq!((world.take_heard(agent), world.online(2)), (vec![], vec!["a1".to_owned()]));
    world.eof(watched.viewer);
    world.eof(agent);
}

#[test]
fn whoever_asks_while_the_registry_is_read_waits_and_not_for_ever() {
    let mut world = World::cluster(2, 1);
    let agent = world.agent(1, "a1");
    let session = world.desktop(agent, "ann", 1);
    world.kill(0);
    world.labs_fault = Some(StoreFault::Busy);
    world.view(2, 2);
    let first = world.engines[1].ask_labs(Ask::Agents);
    let viewer = world.upgrade(1, &format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER)), "");
    world.pass(Duration::from_secs(4));
    assert_eq!((world.labs_reply(1, first), world.take_heard(viewer)), (None, vec![]));
    let second = world.engines[1].ask_labs(Ask::Agents);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.labs_reply(1, first), Some(Reply::Refused(Refused::Store(StoreFault::Busy))));
    assert_eq!(world.take_heard(viewer), ["503 SERVICE_UNAVAILABLE"]);
    world.labs_fault = None;
    world.pass(Duration::from_secs(1));
    assert!(matches!(world.labs_reply(1, second), Some(Reply::Agents(agents)) if agents[0].connection.is_some()));
    let (viewer, _) = world.viewer(1, (session, &user_token("ann", 1, LATER)), agent);
    world.leave_labs(&[viewer, agent]);
}

#[test]
fn when_the_agents_node_dies_it_is_offline_and_its_viewers_are_told() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    assert!(matches!(world.ask_labs(2, creation("ann", 2)), Reply::Session(_)));
    world.kill(1);
    world.view(2, 3);
    heard(&mut world, watched.viewer, &["CLOSE 1011", "FIN"]);
    assert_eq!((world.online(2), world.state(2, watched.session)), (vec![], State::Running));
    let viewer = world.upgrade(0, &format!("/vnc-viewer/{}?token={}", watched.session, user_token("ann", 1, LATER)), "");
    assert_eq!(world.take_heard(viewer), ["503 AGENT_OFFLINE"]);
    // It comes to another node, and is told what it may not have heard.
    let agent = world.agent_hears(2, "a1");
    assert_eq!(world.state(2, second()), State::Pending);
    world.obey_all(agent);
    assert_eq!(world.state(2, second()), State::Running);
    world.leave_labs(&[watched.viewer, agent]);
}

#[test]
fn when_the_viewers_node_dies_the_agent_is_told_and_another_may_look() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    world.kill(2);
    world.view(2, 3);
    let told = world.take_heard(watched.agent);
    assert_eq!(told.iter().filter(|words| json(words)["type"] == "vnc_proxy_close").count(), 1, "{told:?}");
    let (viewer, proxy) = world.viewer(0, (watched.session, &user_token("ann", 1, LATER)), watched.agent);
    world.ready(watched.agent, proxy, None);
    world.is_shown(&Watched { viewer, proxy, ..watched }, 3);
    world.leave_labs(&[viewer, watched.agent]);
}

#[test]
fn a_link_that_breaks_ends_the_tunnels_over_it_and_no_others() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    // The registry is cut off from the agent: the screen goes on, and what the agent was told meanwhile it is told again.
    world.cut(0, 1);
    assert!(matches!(world.ask_labs(2, creation("ann", 2)), Reply::Session(_)));
    assert_eq!(world.take_heard(watched.agent), [] as [&str; 0]);
    world.mend(0, 1);
    world.obey(watched.agent);
    assert_eq!(world.state(2, second()), State::Running);
    world.is_shown(&watched, 3);
    // From the viewer: as before, nobody notices.
    world.cut(0, 2);
    world.mend(0, 2);
    world.is_shown(&watched, 4);
    // Between the two ends: bytes may be lost.
    world.cut(1, 2);
    world.bytes(watched.agent, &long(2, &data(watched.proxy, b"lost")));
    world.mend(1, 2);
    heard(&mut world, watched.viewer, &["CLOSE 1012", "FIN"]);
    let told = world.take_heard(watched.agent);
    assert_eq!(told.iter().filter(|words| words.contains("vnc_proxy_close")).count(), 1, "{told:?}");
    world.leave_labs(&[watched.viewer, watched.agent]);
}

#[test]
fn whoever_left_while_the_link_was_broken_is_not_there_when_it_works_again() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 1, 2);
    world.cut(0, 1);
    world.eof(watched.agent);
    heard(&mut world, watched.viewer, &["CLOSE 1011", "FIN"]);
    assert_eq!(world.online(2), ["a1"], "the registry has not heard of it");
    world.mend(0, 1);
    assert_eq!(world.online(2), [] as [&str; 0]);
    let agent = world.agent(1, "a1");
    assert_eq!(world.online(2), ["a1"]);
    world.leave_labs(&[watched.viewer, agent]);
}

#[test]
fn nobody_is_told_that_a_token_is_revoked_before_every_node_has_heard_of_it() {
    let mut world = World::cluster(2, 1);
    let watched = watched(&mut world, 0, 1);
    world.cut(0, 1);
    let number = world.engines[0].ask_labs(revoked(1));
    world.run();
    world.pass(Duration::from_secs(4));
    assert_eq!((world.labs_reply(0, number), world.take_heard(watched.viewer)), (None, vec![]));
    world.pass(Duration::from_secs(2));
    assert_eq!(world.labs_reply(0, number), Some(Reply::Refused(Refused::Store(StoreFault::Busy))), "and nobody waits for ever");
    let again = world.engines[0].ask_labs(revoked(2));
    world.run();
    world.mend(0, 1);
    assert!(world.engines[1].revoked().has(Uuid::from_u128(1)));
    assert_eq!(world.labs_reply(0, again), Some(Reply::Kept(Kept::Done)));
    // By a node that dies all who live have heard: then it is said.
    let (agent, session) = (watched.agent, watched.session);
    let (viewer, _) = world.viewer(1, (session, &user_token("ann", 3, LATER)), agent);
    world.kill(1);
    let number = world.engines[0].ask_labs(revoked(3));
    world.run();
    assert_eq!(world.labs_reply(0, number), None);
    world.view(2, 2);
    assert_eq!((world.labs_reply(0, number), viewer.shard.node().0), (Some(Reply::Kept(Kept::Done)), 1));
    world.eof(agent);
}

#[test]
fn what_a_node_died_with_on_its_lips_the_others_read() {
    let mut world = World::cluster(3, 1);
    let watched = watched(&mut world, 0, 1);
    // It tells nobody any more, but the store has it.
    world.cut(2, 0);
    world.cut(2, 1);
    for ask in [revoked(1), edited("root", Role::User)] {
        let home = world.engines[2].ask_labs(ask);
        world.run();
        assert_eq!(world.labs_reply(2, home), None);
    }
    assert!(!world.engines[1].revoked().has(Uuid::from_u128(1)));
    world.kill(2);
    world.view(2, 3);
    assert!(world.engines[..2].iter().all(|engine| engine.revoked().has(Uuid::from_u128(1))));
    heard(&mut world, watched.viewer, &["CLOSE 1008", "FIN"]);
    world.leave_labs(&[watched.viewer, watched.agent]);
}

#[test]
fn a_node_that_comes_lets_nobody_in_by_a_token_before_it_has_read_which_are_revoked() {
    let mut world = World::cluster(2, 1);
    let agent = world.agent(0, "a1");
    let session = world.desktop(agent, "ann", 1);
    world.begin_node();
    assert_eq!(world.ask_labs(0, revoked(1)), Reply::Kept(Kept::Done), "the new one is nobody's yet");
    let path = format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER));
    let ring = world.ring(2, 3);
    world.view_comes(ring.shards().nth(2).unwrap(), &ring);
    world.run();
    let viewer = world.upgrade(2, &path, "");
    assert_eq!(world.take_heard(viewer), ["503 SERVICE_UNAVAILABLE"]);
    world.view(2, 3);
    let viewer = world.upgrade(2, &path, "");
    assert_eq!(world.take_heard(viewer), ["401 AUTH_TOKEN_INVALID"]);
    world.leave_labs(&[agent]);
}

#[test]
fn of_two_changes_of_a_user_all_nodes_know_the_later_one() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let moves =
        |name: &String| (before.home(user_id(name).as_bytes()).node().0, after.home(user_id(name).as_bytes()).node().0) == (1, 2);
    let name = (0..).map(|n| format!("u{n}")).find(moves).unwrap();
    let mut world = World::cluster(2, 1);
    world.store.held = true;
    let first = world.engines[0].ask_labs(edited(&name, Role::Admin));
    world.run();
    world.begin_node();
    world.view(2, 3);
    let second = world.engines[0].ask_labs(edited(&name, Role::User));
    world.run();
    assert_eq!(world.questions.iter().filter(|(_, question)| format!("{question:?}").contains("EditedUser")).count(), 1);
    world.store.held = false;
    world.run();
    for number in [first, second] {
        assert_eq!(world.labs_reply(0, number), Some(Reply::Kept(Kept::Done)));
    }
    let roles: Vec<_> = world.labs.iter().map(|record| format!("{record:?}").contains("Admin")).collect();
    assert_eq!(roles, [true, false], "one after the other");
    let agent = world.agent(0, "a1");
    let session = world.desktop(agent, "ann", 1);
    for place in 0..3 {
        let viewer = world.upgrade(place, &format!("/vnc-viewer/{session}?token={}", user_token(&name, 9, LATER)), "");
        assert_eq!(world.take_heard(viewer), ["403 AUTH_INSUFFICIENT_PERMISSIONS"]);
    }
    world.leave_labs(&[agent]);
}

/// A user whose rights are written on one node by the first view, and on the other by those behind it.
fn user_that_moves(from: u8, to: u8, rings: [&HashRing; 3]) -> String {
    let home = |ring: &HashRing, name: &str| ring.home(user_id(name).as_bytes()).node().0;
    let moves = |name: &String| rings.map(|ring| home(ring, name)) == [from, to, to];
    (0..).map(|n| format!("u{n}")).find(moves).unwrap()
}

#[test]
fn a_change_that_goes_back_from_a_former_home_is_written_by_the_next_though_the_former_one_dies() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let mut bereft = World::cluster(3, 1);
    bereft.kill(1);
    let name = user_that_moves(1, 2, [&before, &after, &bereft.ring(3, 3)]);
    let mut world = World::cluster(2, 1);
    world.begin_node();
    let nodes: Vec<_> = after.shards().collect();
    let number = world.engines[0].ask_labs(edited(&name, Role::Admin));
    // The former home has the next view before the question comes.
    world.view_comes(nodes[1], &after);
    world.view_comes(nodes[2], &after);
    world.run();
    // The next home hears that it died before whoever asks has even heard of the view.
    world.kill(1);
    let last = world.ring(3, 3);
    world.view_comes(nodes[2], &last);
    world.run();
    for ring in [&after, &last] {
        world.view_comes(nodes[0], ring);
        world.run();
    }
    assert_eq!(world.labs_reply(0, number), Some(Reply::Kept(Kept::Done)));
}

#[test]
fn a_change_that_died_with_a_former_home_is_answered() {
    let (before, after) = (World::cluster(2, 1).ring(1, 2), World::cluster(3, 1).ring(2, 3));
    let mut world = World::cluster(2, 1);
    world.begin_node();
    let name = user_that_moves(1, 2, [&before, &after, &after]);
    world.hold_letters_to(1);
    let number = world.engines[0].ask_labs(edited(&name, Role::Admin));
    world.run();
    world.view(2, 3);
    world.kill(1);
    world.held = None;
    world.view(3, 3);
    assert_eq!(world.labs_reply(0, number), Some(Reply::Refused(Refused::Store(StoreFault::Busy))), "it never came there");
}

fn follow(watched: &Watched) -> String {
    let token = user_token("ann", 1, LATER);
    format!("/api/v1/sessions/{}/logs?follow=true&tail=5&token={token}", watched.session)
}

impl World {
    /// An agent that has registered, whatever it was told since.
    fn agent_hears(&mut self, shard: usize, name: &str) -> ConnId {
        let conn = self.upgrade(shard, &format!("/agent/ws?agent_id={name}&platform=host"), "");
        self.take_heard(conn);
        self.text(conn, &format!(r#"{{"type":"register","agent_id":"{name}","capacity":{{"max_sessions":8}}}}"#));
        conn
    }

    /// As [`World::obey`], where bytes may be among what was heard.
    pub(super) fn obey_all(&mut self, agent: ConnId) {
        self.heard.retain(|(conn, words)| *conn != agent || words.starts_with('{'));
        self.obey(agent);
    }
}
