//! Who gets a socket of labs, word for word, and how the others are told.

use super::{labs::*, world::*};
use crate::{
    auth::AgentKey,
    engine::Limits,
    protocols::{
        labs::{
            asks::{Ask, LimitKey, Refused, Reply, Window},
            record::{Kept, Loaded, Record},
        },
        presence::Settings,
    },
    realtime::{ConnId, ShardId, StoreFault, UnixMicros},
};
use std::time::Duration;
use uuid::Uuid;

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn on_one_and_two(script: impl Fn(&mut World, usize)) {
    script(&mut World::new(1), 0);
    script(&mut World::new(2), 1);
}

/// Status and code of a refusal, which REST tells.
fn refusal(world: &mut World, conn: ConnId) -> (u16, String) {
    let heard = world.take_heard(conn);
    let [words] = &heard[..] else { panic!("{heard:?}") };
    let (status, code) = words.split_once(' ').unwrap();
    (status.parse().unwrap(), code.to_owned())
}

#[test]
fn an_agent_and_a_viewer_are_answered_word_for_word() {
    on_one_and_two(|world, other| {
        let agent = world.agent(other, "a1");
        assert_eq!(world.heads[&agent], format!("{ACCEPTED}\r\n"));
        let session = world.desktop(agent, "ann", 1);
        let token = user_token("ann", 1, LATER);
        let path = format!("/vnc-viewer/{session}?token={token}");
        let mut conns = vec![agent];
        for (headers, answer) in [
            ("", String::new()),
            ("Sec-WebSocket-Protocol: binary\r\n", "Sec-WebSocket-Protocol: binary\r\n".to_owned()),
            ("Sec-WebSocket-Protocol: base64, binary\r\n", "Sec-WebSocket-Protocol: binary\r\n".to_owned()),
            ("Sec-WebSocket-Protocol: base64\r\n", String::new()),
        ] {
            let conn = world.upgrade(0, &path, headers);
            assert_eq!(world.heads[&conn], format!("{ACCEPTED}{answer}\r\n"));
            conns.push(conn);
        }
        let by_header = world.upgrade(0, &format!("/vnc-viewer/{session}"), &format!("Authorization: Bearer {token}\r\n"));
        assert_eq!(world.take_heard(by_header), ["101"]);
        conns.push(by_header);
        world.leave_labs(&conns);
    });
}

#[test]
fn each_viewer_who_may_not_has_a_status_and_a_code_before_any_101() {
    on_one_and_two(|world, other| {
        let agent = world.agent(other, "a1");
        let session = world.desktop(agent, "ann", 1);
        let (good, old) = (user_token("ann", 1, LATER), user_token("ann", 2, UnixMicros(1_700_000_000_000_000)));
        let (others, revoked) = (user_token("bob", 3, LATER), user_token("ann", 4, LATER));
        let token = Record::Revoked { token: Uuid::from_u128(4), expires_at: LATER };
        assert_eq!(world.ask_labs(0, Ask::Keep(token)), Reply::Kept(Kept::Done));
        let upgraded = world.engines[other].counters().upgraded.read();
        let unknown = Uuid::from_u128(99);
        let cases = [
            (format!("{session}"), 401, "AUTH_TOKEN_MISSING"),
            (format!("{session}?token="), 401, "AUTH_TOKEN_MISSING"),
            (format!("{session}?token=no.to.ken"), 401, "AUTH_TOKEN_INVALID"),
            (format!("{session}?token={old}"), 401, "AUTH_TOKEN_EXPIRED"),
            (format!("{session}?token={revoked}"), 401, "AUTH_TOKEN_INVALID"),
            (format!("{session}?token={good}&token={good}"), 400, "INVALID_PARAMETER"),
            (format!("nonsense?token={good}"), 404, "SESSION_NOT_FOUND"),
            (format!("{unknown}?token={good}"), 404, "SESSION_NOT_FOUND"),
            (format!("{session}?token={others}"), 403, "AUTH_INSUFFICIENT_PERMISSIONS"),
        ];
        for (rest, status, code) in &cases {
            let conn = world.upgrade(other, &format!("/vnc-viewer/{rest}"), "");
            let (got, said) = refusal(world, conn);
            assert_eq!((got, &*said), (*status, *code), "{rest}");
        }
        world.eof(agent);
        let conn = world.upgrade(other, &format!("/vnc-viewer/{session}?token={good}"), "");
        assert_eq!(refusal(world, conn).1, "AGENT_OFFLINE");
        assert_eq!(world.engines[other].counters().upgraded.read(), upgraded);
        assert_eq!(world.engines[other].counters().labs_denials.read(), cases.len() as u64 + 1);
        world.take_heard(agent);
        world.leave_labs(&[]);
    });
}

#[test]
fn each_agent_who_may_not_has_a_status_and_a_code() {
    let key = AgentKey::of("a key of the agents, or so".replace(' ', "-").as_str());
    let mut world = World::with_agent_key(1, Settings::default(), Limits::default(), key);
    let shown = "X-Agent-API-Key: a-key-of-the-agents,-or-so\r\n";
    for (target, headers, status, code) in [
        ("/agent/ws?platform=host", shown, 400, "MISSING_REQUIRED_FIELD"),
        ("/agent/ws?agent_id=a1", shown, 400, "MISSING_REQUIRED_FIELD"),
        ("/agent/ws?agent_id=a%20b&platform=host", shown, 400, "INVALID_PARAMETER"),
        ("/agent/ws?agent_id=a1&platform=host", "", 401, "AUTH_TOKEN_INVALID"),
        (
            "/agent/ws?agent_id=a1&platform=host",
            "X-Agent-API-Key: another-key-of-agents\r\n",
            403,
            "AUTH_INSUFFICIENT_PERMISSIONS",
        ),
        ("/agent/ws?agent_id=a1&platform=host&key=another-key", "", 403, "AUTH_INSUFFICIENT_PERMISSIONS"),
        ("/api/v1/agents/connect", shown, 400, "MISSING_REQUIRED_FIELD"),
        ("/api/v1/agents/connect?agent_id=a1", "", 401, "AUTH_TOKEN_INVALID"),
    ] {
        let conn = world.upgrade(0, target, headers);
        let (got, said) = refusal(&mut world, conn);
        assert_eq!((got, &*said), (status, code), "{target}");
    }
    let by_header = world.upgrade(0, "/agent/ws?agent_id=a1&platform=host", shown);
    let by_query = world.upgrade(0, "/agent/ws?agent_id=a2&platform=host&key=a-key-of-the-agents,-or-so", "");
    assert_eq!((world.take_heard(by_header), world.take_heard(by_query)), (vec!["101".to_owned()], vec!["101".to_owned()]));
    world.leave_labs(&[by_header, by_query]);
}

#[test]
fn what_asks_for_no_upgrade_is_rests() {
    let mut world = World::new(1);
    for target in ["/agent/ws", "/vnc-viewer/5", "/api/v1/sessions/5/logs?follow=true", "/api/v1/agents"] {
        let conn = world.engines[0].accepted(LABS_LISTENER, world.now).unwrap();
        world.bytes(conn, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert!(world.take_heard(conn)[0].starts_with("HTTP "), "{target}");
    }
}

/// Nothing is answered before the registry has spoken; what came behind the head is heard then, in order.
#[test]
fn a_viewer_waits_for_the_registry_and_loses_nothing_of_what_it_says_meanwhile() {
    for shards in [1, 2, 3] {
        let mut world = World::new(shards);
        let home = (0..shards).find(|shard| world.engines[usize::from(*shard)].has_registry()).unwrap();
        let other = usize::from((home + 1) % shards);
        let agent = world.agent(0, "a1");
        let session = world.desktop(agent, "ann", 1);
        world.held = Some((ShardId(home), Vec::new()));
        let conn = world.upgrade(other, &format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER)), "");
        world.frame(conn, 2, b"key");
        world.frame(conn, 9, b"");
        world.bytes(conn, &masked(2, b"strokes")[..5]);
        if shards > 1 {
            assert_eq!(world.take_heard(conn), [""; 0]);
        }
        world.bytes(conn, &masked(2, b"strokes")[5..]);
        let now = world.now;
        for (from, letter) in world.held.take().unwrap().1 {
            world.engines[usize::from(home)].letter(from, letter, now);
        }
        world.run();
        assert_eq!(world.take_heard(conn), ["101", "PONG"]);
        let proxy = world.wanted(agent);
        world.ready(agent, proxy, None);
        let told = world.take_stream(agent);
        assert_eq!(told, data(proxy, b"keystrokes"), "small pieces are put together where they wait");
        world.take_heard(agent);
        world.leave_labs(&[conn, agent]);
    }
}

#[test]
fn a_viewer_who_waits_while_heads_are_to_be_smaller_is_answered() {
    let mut world = World::new(2);
    let home = u16::from(!world.engines[0].has_registry());
    let agent = world.agent(0, "a1");
    let session = world.desktop(agent, "ann", 1);
    world.held = Some((ShardId(home), Vec::new()));
    let other = usize::from(1 - home);
    let conn = world.upgrade(other, &format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER)), "");
    world.engines[other].limits.door.head.bytes = 64;
    let now = world.now;
    for (from, letter) in world.held.take().unwrap().1 {
        world.engines[usize::from(home)].letter(from, letter, now);
    }
    world.run();
    assert_eq!(world.take_heard(conn), ["101"]);
    world.take_heard(agent);
    world.leave_labs(&[conn, agent]);
}

#[test]
fn a_viewer_whom_the_registry_does_not_answer_is_told_to_come_again_and_owes_nobody_anything() {
    let mut world = World::new(2);
    let home = (0..2).find(|shard| world.engines[*shard].has_registry()).unwrap();
    let agent = world.agent(home, "a1");
    let session = world.desktop(agent, "ann", 1);
    let path = format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER));
    world.held = Some((ShardId(home as u16), Vec::new()));
    let (late, leaving, loud) =
        (world.upgrade(1 - home, &path, ""), world.upgrade(1 - home, &path, ""), world.upgrade(1 - home, &path, ""));
    world.eof(leaving);
    assert_eq!(world.take_heard(leaving), ["END"]);
    world.bytes(loud, &vec![b'x'; 80 << 10]);
    assert_eq!(world.take_heard(loud), ["END"], "what waits is bounded");
    world.pass(Duration::from_millis(5_010));
    assert!(world.take_heard(late)[0].starts_with("503 "));
    let now = world.now;
    for (from, letter) in world.held.take().unwrap().1 {
        world.engines[home].letter(from, letter, now);
    }
    world.run();
    let told: Vec<_> = world.take_heard(agent).iter().map(|words| json(words)["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told.iter().filter(|kind| *kind == "vnc_proxy_request").count(), 3);
    assert_eq!(told.iter().filter(|kind| *kind == "vnc_proxy_close").count(), 3, "{told:?}");
    world.leave_labs(&[late, agent]);
}

/// A window is one over all shards, whoever counts.
#[test]
fn a_limit_has_one_home_and_its_count_is_exact() {
    let mut world = World::new(3);
    let key = LimitKey::User(Uuid::from_u128(5));
    let replies: Vec<_> = (0..7).map(|n| world.ask_labs(n % 3, Ask::Limit { key, window: Window::Login })).collect();
    let left = |reply: &Reply| match reply {
        Reply::Limit { remaining, .. } => *remaining,
        other => panic!("{other:?}"),
    };
    assert_eq!(replies.iter().map(left).collect::<Vec<_>>(), [Some(4), Some(3), Some(2), Some(1), Some(0), None, None]);
}

#[test]
fn records_that_are_not_the_registrys_are_written_by_who_asked() {
    let mut world = World::new(2);
    let record = Record::NoTemplate { name: "old".into() };
    assert_eq!(world.ask_labs(1, Ask::Keep(record.clone())), Reply::Kept(Kept::Done));
    assert_eq!(world.labs, std::slice::from_ref(&record));
    world.labs_fault = Some(StoreFault::Failed);
    assert_eq!(world.ask_labs(1, Ask::Keep(record.clone())), Reply::Refused(Refused::Store(StoreFault::Failed)));
    world.labs_fault = None;
    world.store.held = true;
    let number = world.engines[1].ask_labs(Ask::Keep(record));
    world.run();
    world.pass(Duration::from_millis(4_990));
    assert_eq!(world.labs_reply(1, number), None);
    world.pass(Duration::from_millis(20));
    assert_eq!(world.labs_reply(1, number), Some(Reply::Refused(Refused::Store(StoreFault::Busy))));
    world.store.held = false;
    world.run();
    assert_eq!((world.labs.len(), world.engines[1].counters().labs_keeping.read()), (2, 0), "it is written all the same");
}

/// Every shard acts by a revocation when whoever revoked is told, and not only those that were quick.
#[test]
fn a_token_is_no_good_anywhere_when_its_revoker_is_told() {
    let mut world = World::new(2);
    let agent = world.agent(0, "a1");
    let session = world.desktop(agent, "ann", 1);
    let path = format!("/vnc-viewer/{session}?token={}", user_token("ann", 7, LATER));
    let revoked = Ask::Keep(Record::Revoked { token: Uuid::from_u128(7), expires_at: LATER });
    let number = world.engines[0].ask_labs(revoked);
    world.held = Some((ShardId(1), Vec::new()));
    world.run();
    assert_eq!(world.labs_reply(0, number), None);
    let now = world.now;
    for (from, letter) in world.held.take().unwrap().1 {
        world.engines[1].letter(from, letter, now);
    }
    world.run();
    assert_eq!(world.labs_reply(0, number), Some(Reply::Kept(Kept::Done)));
    for shard in 0..2 {
        assert!(world.engines[shard].revoked().has(Uuid::from_u128(7)));
        let conn = world.upgrade(shard, &path, "");
        assert_eq!(refusal(&mut world, conn).1, "AUTH_TOKEN_INVALID");
    }
    world.leave_labs(&[agent]);
}

#[test]
fn what_was_kept_is_known_from_the_beginning() {
    let mut world = World::new(2);
    let now = world.now;
    for engine in &mut world.engines {
        engine.begin_labs(&Loaded::default(), &[(Uuid::from_u128(7), LATER), (Uuid::from_u128(8), now.wall)], now);
        assert!(engine.revoked().has(Uuid::from_u128(7)) && !engine.revoked().has(Uuid::from_u128(8)));
    }
}
