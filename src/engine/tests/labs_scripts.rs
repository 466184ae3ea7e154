//! Agents in both dialects and those who follow logs, from their upgrade to their end.

use super::{labs::*, world::*};
use crate::protocols::labs::{
    asks::{Ask, Reply},
    letters::{Capacity, Dialect, Hello},
};
use std::time::Duration;

fn on_one_and_two(script: impl Fn(&mut World, usize)) {
    script(&mut World::new(1), 0);
    script(&mut World::new(2), 1);
}

fn online(world: &mut World) -> Vec<(String, bool)> {
    match world.ask_labs(0, Ask::Agents) {
        Reply::Agents(agents) => agents.iter().map(|view| (view.agent.name.to_string(), view.connection.is_some())).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_agent_is_online_from_its_register_to_the_end_of_its_socket() {
    on_one_and_two(|world, other| {
        let agent = world.agent(other, "a1");
        assert_eq!(online(world), [("a1".to_owned(), true)]);
        assert_eq!(world.engines[other].counters().labs_agents.read(), 1);
        world.eof(agent);
        assert_eq!(online(world), [("a1".to_owned(), false)]);
        world.take_heard(agent);
        world.leave_labs(&[]);
    });
}

#[test]
fn a_second_connection_of_an_agent_closes_the_first() {
    on_one_and_two(|world, other| {
        let first = world.agent(other, "a1");
        let second = world.agent(0, "a1");
        assert_eq!(world.take_heard(first), ["CLOSE 1008", "FIN"]);
        world.eof(first);
        assert_eq!(online(world), [("a1".to_owned(), true)]);
        world.leave_labs(&[second]);
    });
}

#[test]
fn who_does_not_register_in_time_or_says_something_else_first_is_closed() {
    let mut world = World::new(1);
    let path = "/agent/ws?agent_id=a1&platform=host";
    let (silent, other) = (world.upgrade(0, path, ""), world.upgrade(0, path, ""));
    world.text(other, r#"{"type":"heartbeat"}"#);
    assert_eq!(world.take_heard(other), ["101", "CLOSE 1008", "FIN"]);
    world.eof(other);
    world.pass(Duration::from_millis(10_010));
    assert_eq!(world.take_heard(silent), ["101", "CLOSE 1008", "FIN"]);
    world.leave_labs(&[silent]);
}

#[test]
fn what_an_agent_says_behind_its_head_is_heard() {
    let mut world = World::new(1);
    let conn = world.engines[0].accepted(LABS_LISTENER, world.now).unwrap();
    let mut bytes = format!("GET /agent/ws?agent_id=a1&platform=host HTTP/1.1\r\n{HEAD}\r\n").into_bytes();
    bytes.extend_from_slice(&masked(1, br#"{"type":"register","agent_id":"a1"}"#));
    world.bytes(conn, &bytes);
    let heard = world.take_heard(conn);
    assert_eq!((&*heard[0], &json(&heard[1])["type"]), ("101", &"register_ack".into()));
    world.leave_labs(&[conn]);
}

#[test]
fn an_agent_of_the_second_dialect_is_taken_when_it_has_enrolled_and_its_banner_is_kept() {
    on_one_and_two(|world, other| {
        let path = "/api/v1/agents/connect?agent_id=f1";
        let stranger = world.upgrade(other, path, "");
        let refused = world.take_heard(stranger);
        assert!(refused[0].starts_with("404 ") && refused[0].contains("AGENT_NOT_FOUND"), "before the upgrade: {refused:?}");
        world.eof(stranger);
        let hello = Hello {
            dialect: Dialect::Field,
            name: "f1".into(),
            platform: "host".into(),
            region: "".into(),
            capacity: Capacity { max_sessions: Some(3), ..Capacity::default() },
            metadata: "{}".into(),
        };
        assert!(matches!(world.ask_labs(0, Ask::Enrol(Box::new(hello))), Reply::Enrolled { new: true, .. }));
        let agent = world.upgrade(other, path, "");
        assert_eq!(world.take_heard(agent), ["101"]);
        assert_eq!(online(world), [("f1".to_owned(), true)]);
        let session = world.desktop(agent, "ann", 1);
        let vnc = format!(r#"{{"type":"vnc_data","payload":{{"sessionId":"{session}","data":"UkZCIDAwMy4wMDgK"}}}}"#);
        world.text(agent, &vnc);
        let viewer = world.upgrade(0, &format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER)), "");
        assert_eq!(world.take_stream(viewer), b"RFB 003.008\n", "said before anybody watched");
        world.leave_labs(&[viewer, agent]);
    });
}

#[test]
fn whoever_follows_a_log_is_told_its_lines_and_let_go_with_the_session() {
    on_one_and_two(|world, other| {
        let agent = world.agent(0, "a1");
        let session = world.desktop(agent, "ann", 1);
        let token = user_token("ann", 1, LATER);
        let path = format!("/api/v1/sessions/{session}/logs?follow=true");
        let nobody = world.upgrade(other, &path, "");
        assert!(world.take_heard(nobody)[0].starts_with("401 "));
        let follower = world.upgrade(other, &path, &format!("Authorization: Bearer {token}\r\n"));
        assert_eq!(world.take_heard(follower)[0], "101");
        let heard = world.take_heard(agent);
        let request = json(heard.last().unwrap());
        assert_eq!(request["command_type"], "get_logs");
        let number = &request["data"]["request"];
        world.text(agent, &format!(r#"{{"type":"logs","request":{number},"lines":["one","two"]}}"#));
        assert_eq!(world.take_heard(follower), ["one", "two"]);
        assert_eq!(world.engines[other].counters().labs_followers.read(), 1);
        world.eof(nobody);
        world.leave_labs(&[follower, agent]);
    });
}
