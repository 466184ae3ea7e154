//! Who is turned away, how, and that it is counted: pages, addresses, users, handshakes, heads, messages.

use super::{
    chat::ticket,
    labs::{LATER, user_token},
    world::*,
};
use crate::{
    engine::{
        Limits, Listener,
        door::{Address, Bound, Crowd, Door, PaceRule, TOLD},
    },
    protocols::presence::Settings,
    realtime::ConnId,
    websocket::{Origins, upgrade::Bounds},
};
use std::time::Duration;

const UPGRADE: &str = "Host: school.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const NOBODY: [&str; 0] = [];
const SECOND: Duration = Duration::from_secs(1);

fn world(shards: u16, door: Door) -> World {
    World::with(shards, Settings::default(), Limits { door, ..Limits::default() })
}

fn counted(world: &World, bound: Bound) -> u64 {
    let place = Bound::ALL.iter().position(|own| *own == bound).unwrap();
    world.engines.iter().map(|engine| engine.counters().bounds[place].read()).sum()
}

fn ask(world: &mut World, listener: Listener, target: &str, headers: &str) -> (ConnId, Vec<String>) {
    let conn = world.engines[0].accepted(listener, world.now).unwrap();
    world.bytes(conn, format!("GET {target} HTTP/1.1\r\n{UPGRADE}{headers}\r\n").as_bytes());
    (conn, world.take_heard(conn))
}

fn from(network: u128) -> Address {
    Address::of((0x2001_0db8 << 96) | network << 64)
}

#[test]
fn a_page_opens_a_socket_only_by_a_rule_and_each_refusal_is_counted() {
    let sockets = [
        (LISTENER, "/ws".to_owned()),
        (LISTENER, "/echo".to_owned()),
        (QUIZ_LISTENER, format!("/ws?token={}", token("anna"))),
        (CHAT_LISTENER, "/ws/sessions/sess_1".to_owned()),
        (CHAT_LISTENER, format!("/ws?token={}", ticket("anna"))),
    ];
    let viewer = format!("/vnc-viewer/0190f000-0000-7000-8000-000000000001?token={}", user_token("ann", 1, LATER));
    for rule in ["same-host", "https://school.example"] {
        let mut world = world(1, Door { origins: Origins(vec![rule.parse().unwrap()]), ..Door::default() });
        for (listener, target) in &sockets {
            let mut answer = |headers: &str| ask(&mut world, *listener, target, headers).1.remove(0);
            assert_eq!(answer(""), "101", "{target}");
            assert_eq!(answer("Origin: https://school.example\r\n"), "101", "{target}");
            for origin in ["https://evil.example", "null", "https://school.example.evil.example", "file://", "", "*"] {
                assert_eq!(answer(&format!("Origin: {origin}\r\n")), "403", "{target} {origin}");
            }
        }
        assert_eq!(counted(&world, Bound::Origin), 6 * sockets.len() as u64);
        let (_, heard) = ask(&mut world, LABS_LISTENER, &viewer, "Origin: https://evil.example\r\n");
        assert_eq!(heard, ["403", "FIN"]);
        let (_, heard) = ask(&mut world, LABS_LISTENER, &viewer, "");
        assert_eq!(heard, ["404 SESSION_NOT_FOUND"], "it is not the origin that keeps this one out");
    }
}

/// Where no key is asked of agents, this is all that keeps a page out.
#[test]
fn no_page_is_an_agent_unless_it_is_said_so() {
    let targets = ["/agent/ws?agent_id=a1&platform=host", "/api/v1/agents/connect?agent_id=a1"];
    let mut shut = world(1, Door::default());
    for target in targets {
        for origin in ["https://school.example", "null", "http://127.0.0.1:8080"] {
            let (_, heard) = ask(&mut shut, LABS_LISTENER, target, &format!("Origin: {origin}\r\n"));
            assert_eq!(heard, ["403", "FIN"], "{target}");
        }
    }
    assert_eq!((counted(&shut, Bound::Origin), shut.engines[0].counters().labs_agents.read()), (6, 0));
    assert_eq!(ask(&mut shut, LABS_LISTENER, targets[0], "").1, ["101"]);
    let mut open = world(1, Door { agent_origins: Origins::any(), ..Door::default() });
    assert_eq!(ask(&mut open, LABS_LISTENER, targets[0], "Origin: https://school.example\r\n").1, ["101"]);
}

#[test]
fn an_address_has_so_many_connections_on_all_shards_together() {
    for shards in [1, 3] {
        let mut world = world(shards, Door { addresses: Crowd::new(Some(3), 100, 1), ..Door::default() });
        let now = world.now;
        let come = |world: &mut World, network, nth: usize| {
            world.engines[nth % usize::from(shards)].accepted_from(LISTENER, from(network), now)
        };
        let conns: Vec<ConnId> = (0..3).map(|nth| come(&mut world, 1, nth).unwrap()).collect();
        let one_more = come(&mut world, 1, 3).unwrap();
        assert!(come(&mut world, 2, 0).is_some(), "another address has its own");
        for conn in [conns[0], one_more] {
            world.bytes(conn, format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes());
        }
        assert_eq!(
            (world.take_heard(conns[0]), world.take_heard(one_more)),
            (vec!["101".into()], vec!["429".into(), "FIN".into()])
        );
        assert!(world.heads[&one_more].contains("\r\nRetry-After: 1\r\n"));
        let told = (1..TOLD).filter(|nth| come(&mut world, 1, *nth).is_some()).count();
        assert_eq!(told, TOLD - 1);
        assert!(come(&mut world, 1, 0).is_none(), "so many are not even told");
        assert_eq!(counted(&world, Bound::AddressConnections), TOLD as u64 + 1);
        // Plain HTTP is told the same, and who is given to REST is counted there.
        world.eof(one_more);
        let plain = come(&mut world, 1, 1).unwrap();
        world.bytes(plain, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(world.take_heard(plain), ["429", "FIN"]);
        world.pass(60 * SECOND);
        world.eof(conns[0]);
        world.pass(SECOND);
        for nth in 0..3 {
            let conn = come(&mut world, 1, nth).unwrap();
            world.bytes(conn, format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes());
            assert_eq!(world.take_heard(conn), ["101"], "who has gone counts no more");
        }
    }
}

/// Behind a proxy the address is known a little later than the connection.
#[test]
fn whom_a_proxy_speaks_for_is_counted_as_if_he_had_come_himself() {
    let mut world = world(1, Door { addresses: Crowd::new(Some(1), 100, 1), ..Door::default() });
    let now = world.now;
    let conns: Vec<ConnId> = (0..2 + TOLD).map(|_| world.socket(0)).collect();
    conns.iter().for_each(|conn| world.engines[0].comes_from(*conn, from(1), now));
    world.run();
    for (nth, conn) in conns.iter().enumerate() {
        world.bytes(*conn, format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes());
        let expected: &[&str] = match nth {
            0 => &["101"],
            nth if nth <= TOLD => &["429", "FIN"],
            _ => &["END"],
        };
        assert_eq!(world.take_heard(*conn), expected, "{nth}");
    }
    // What it says of one who is counted already is not believed a second time.
    world.engines[0].comes_from(conns[0], from(2), now);
    assert_eq!(counted(&world, Bound::AddressConnections), TOLD as u64 + 1);
}

#[test]
fn rest_holds_a_place_for_the_address_too() {
    let limits = Limits { door: Door { addresses: Crowd::new(Some(2), 100, 1), ..Door::default() }, ..Limits::default() };
    let (entrance, door) = (Default::default(), &limits.door);
    let hold = |network| limits.seats.hold_for(&entrance, door, from(network));
    let held = [hold(1), hold(1)];
    assert!(held.iter().all(Option::is_some) && hold(1).is_none() && hold(2).is_some());
    drop(held);
    assert!(hold(1).is_some());
}

#[test]
fn an_address_comes_no_faster_than_it_may() {
    let mut world = world(1, Door { pace: Some(PaceRule::new(1, 2, 1)), ..Door::default() });
    // Without a limit of how many it may have, it is not known how many there are.
    let door = Door { addresses: Crowd::new(Some(1000), 100, 1), pace: Some(PaceRule::new(1, 2, 1)), ..Door::default() };
    let mut counting = World::with(1, Settings::default(), Limits { door, ..Limits::default() });
    for world in [&mut world, &mut counting] {
        let come = |world: &mut World| {
            let now = world.now;
            let conn = world.engines[0].accepted_from(LISTENER, from(1), now)?;
            world.bytes(conn, format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes());
            Some(world.take_heard(conn).remove(0))
        };
        let heard: Vec<_> = (0..6).map(|_| come(world)).collect();
        let is = |words: &str| Some(words.to_owned());
        assert_eq!(heard, [is("101"), is("101"), is("429"), is("429"), None, None]);
        assert_eq!(counted(world, Bound::AddressPace), 4);
        world.pass(Duration::from_secs(1));
        assert_eq!((come(world), come(world)), (is("101"), is("429")));
    }
}

#[test]
fn the_oldest_of_too_many_handshakes_go_and_nobody_else() {
    let mut world = world(1, Door { handshakes: 3, ..Door::default() });
    let upgraded: Vec<ConnId> = (0..10).map(|_| world.websocket(0, "/ws")).collect();
    let slow: Vec<ConnId> = (0..3).map(|_| world.socket(0)).collect();
    slow.iter().for_each(|conn| world.bytes(*conn, b"GET /ws"));
    world.pass(Duration::from_millis(500));
    let crowd: Vec<ConnId> = (0..20).map(|_| world.socket(0)).collect();
    world.run();
    assert!(slow.iter().chain(&crowd).all(|conn| world.take_heard(*conn) == NOBODY), "a crowd that comes at once is no attack");
    crowd.iter().for_each(|conn| world.bytes(*conn, format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes()));
    assert!(crowd.iter().all(|conn| world.take_heard(*conn) == ["101"]));
    world.pass(Duration::from_millis(600));
    let late = [world.socket(0), world.socket(0)];
    world.run();
    let ends = slow.iter().map(|conn| world.take_heard(*conn) == ["END"]).collect::<Vec<_>>();
    assert_eq!(ends, [true, true, false], "as many as came too much, and those that came first");
    assert_eq!((counted(&world, Bound::Handshakes), world.engines[0].counters().handshakes.read()), (2, 3));
    assert!(upgraded.iter().chain(&late).all(|conn| world.take_heard(*conn) == NOBODY));
    world.pass(11 * SECOND);
    let ended = [slow[2], late[0], late[1]].map(|conn| world.take_heard(conn) == ["END"]);
    assert_eq!((ended, counted(&world, Bound::HandshakeTime)), ([true; 3], 3));
}

#[test]
fn a_head_has_a_size_and_a_number_of_headers() {
    let mut world = world(1, Door { head: Bounds { bytes: 2 << 10, headers: 16 }, ..Door::default() });
    for (headers, expected) in [
        ("x: y\r\n".repeat(11), vec!["101"]),
        ("x: y\r\n".repeat(12), vec!["431", "FIN"]),
        (format!("x: {}\r\n", "y".repeat(1_500)), vec!["101"]),
        (format!("x: {}\r\n", "y".repeat(2_000)), vec!["431", "FIN"]),
    ] {
        assert_eq!(ask(&mut world, LISTENER, "/ws", &headers).1, expected, "{}", headers.len());
    }
    assert_eq!(counted(&world, Bound::Head), 2);
}

#[test]
fn a_user_has_so_many_sockets_of_presence_on_all_shards_together() {
    for shards in [1, 2] {
        let mut world = world(shards, Door { users: Crowd::new(Some(2), 100, 1), ..Door::default() });
        let other = usize::from(shards) - 1;
        let first = world.session(0, "web", "anna", room(1));
        let second = world.session(other, "phone", "anna", room(2));
        let third = world.websocket(0, "/ws");
        world.text(third, &connect_request("tablet", room(3), &token("anna")));
        assert_eq!(world.take_heard(third), ["CLOSE 1008", "FIN"]);
        let berta = world.session(0, "web", "berta", room(1));
        assert_eq!(counted(&world, Bound::UserConnections), 1);
        world.eof(third);
        world.eof(second);
        let fourth = world.session(other, "tablet", "anna", room(3));
        assert!(world.take_heard(first).iter().all(|words| words.contains("web.berta.school")), "of anna's others nobody hears");
        for conn in [first, berta, fourth] {
            world.eof(conn);
        }
        world.assert_empty();
    }
}

#[test]
fn a_user_has_so_many_sockets_of_each_other_protocol() {
    let mut world = world(1, Door { users: Crowd::new(Some(1), 100, 1), ..Door::default() });
    world.open("tutor");
    let owner = format!("/ws?token={}", token("anna"));
    let (owner_socket, heard) = ask(&mut world, QUIZ_LISTENER, &owner, "");
    assert_eq!(heard, ["101"]);
    let (_, heard) = ask(&mut world, QUIZ_LISTENER, &owner, "");
    let text = "this user has too many connections";
    assert_eq!(heard[0], format!(r#"429 {{"error":"{text}","message":"{text}"}}"#));
    let agent = world.agent(0, "a1");
    let session = world.desktop(agent, "ann", 1);
    let viewer = format!("/vnc-viewer/{session}?token={}", user_token("ann", 1, LATER));
    let held = world.engines[0].accepted(LABS_LISTENER, world.now).unwrap();
    world.bytes(held, format!("GET {viewer} HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes());
    assert_eq!(ask(&mut world, LABS_LISTENER, &viewer, "").1, ["429 RATE_LIMIT_EXCEEDED"]);
    let first = world.listener(0, "anna");
    let second = world.chat_socket(0, "sess_00000000000000000000000000005e55", &format!("?token={}", ticket("anna")));
    let heard = world.take_heard(second);
    assert_eq!((&*heard[0], &heard[heard.len() - 2..]), ("101", &["CLOSE 1008".to_owned(), "FIN".to_owned()][..]));
    assert_eq!(counted(&world, Bound::UserConnections), 3);
    world.eof(owner_socket);
    world.eof(first);
    assert_eq!(ask(&mut world, QUIZ_LISTENER, &owner, "").1, ["101"], "who has gone counts no more");
    world.listener(0, "anna");
}

#[test]
fn too_many_messages_in_a_second_end_a_socket() {
    let mut world = world(1, Door { messages_a_second: Some(10), ..Door::default() });
    world.open("tutor");
    let presence = world.session(0, "web", "anna", room(1));
    let quiz = world.owner(0, "anna", &[]);
    let chat = world.listener(0, "anna");
    let tasks = world.guest(0, "anna");
    world.pass(2 * SECOND);
    for conn in [presence, quiz, chat, tasks] {
        world.take_heard(conn);
        for _ in 0..2 {
            world.bytes(conn, &masked(9, b"").repeat(10));
            assert!(world.take_heard(conn).iter().all(|words| words == "PONG"), "as many as may");
            world.pass(SECOND);
        }
        world.take_heard(conn);
        world.bytes(conn, &masked(9, b"").repeat(11));
        let heard = world.take_heard(conn);
        assert_eq!(heard[heard.len() - 2..], ["CLOSE 1008", "FIN"], "{heard:?}");
    }
    assert_eq!(counted(&world, Bound::Messages), 4);
}
