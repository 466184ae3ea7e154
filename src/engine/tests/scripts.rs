//! Presence as the contract and its page tell it, on one shard and on two.

use super::world::*;
use crate::{
    engine::{Answer, Output, Question},
    protocols::presence::{
        Settings,
        asks::{Ask, Member, Publication, Reply},
        record::StoreFault,
    },
    realtime::ConnId,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Runs a script with both parties on one shard, and on two.
fn on_one_and_two(script: impl Fn(&mut World, usize)) {
    script(&mut World::new(1), 0);
    script(&mut World::new(2), 1);
}

fn replaced() -> String {
    failure("replaced", "Replaced", 422)
}

fn leave(world: &mut World, conn: ConnId) {
    world.frame(conn, 8, &1000_u16.to_be_bytes());
    assert_eq!(world.take_heard(conn), ["CLOSE 1000", "END"]);
}

#[test]
fn others_hear_who_comes_and_goes_and_nobody_hears_of_himself() {
    on_one_and_two(|world, other| {
        let watcher = world.session(0, "web", "w", room(1));
        let agent = world.session(other, "web", "a", room(1));
        let elsewhere = world.session(other, "web", "e", room(2));
        assert_eq!(world.take_heard(watcher), [change("entered", "web.a.school", 2)]);
        leave(world, agent);
        assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
        leave(world, watcher);
        leave(world, elsewhere);
        assert_eq!(world.heard, []);
        assert_eq!(world.store.history, [2, 1, 3]);
        world.assert_empty();
    });
}

#[test]
fn silence_ends_at_ten_seconds_and_a_half_sent_frame_does_not_reset_it() {
    let mut world = World::new(1);
    let silent = world.websocket(0, "/ws");
    let dripping = world.websocket(0, "/ws");
    for byte in &masked(1, connect_request("web", room(1), &token("a")).as_bytes())[..9] {
        world.pass(SECOND);
        world.bytes(dripping, &[*byte]);
    }
    world.pass(SECOND - Duration::from_millis(50));
    assert_eq!(world.heard, []);
    world.pass(Duration::from_millis(60));
    for conn in [silent, dripping] {
        assert_eq!(world.take_heard(conn), [failure("auth_timed_out", "Auth timed out", 422), "CLOSE".into(), "FIN".into()]);
        world.eof(conn);
        assert_eq!(world.take_heard(conn), ["END"]);
    }
    world.assert_empty();
}

#[test]
fn each_bad_first_frame_has_its_error() {
    let good = token("a");
    let serialization = failure("serialization_failed", "Serialization failed", 422);
    let texts = [
        "rubbish".to_owned(),
        r#"{"type":"connect"}"#.into(),
        connect_request("web", room(1), &good).replace("connect_request", "other"),
        connect_request("", room(1), &good),
        connect_request("web", room(1), &good).replace(r#""web""#, "5"),
        connect_request("web", room(1), &good).replace(&room(1).to_string(), "no-uuid"),
        connect_request("web", room(1), &good).replace(r#""agent_label":"web","#, ""),
        connect_request(&"x".repeat(257), room(1), &good),
        "[]".into(),
        String::new(),
    ];
    let mut cases: Vec<(u8, String, String)> = texts.into_iter().map(|text| (1, text, serialization.clone())).collect();
    cases.push((2, "binary".into(), failure("unsupported_request", "Unsupported request", 422)));
    cases.push((1, connect_request("web", room(1), "no.to.ken"), failure("unauthenticated", "Unauthenticated", 401)));
    cases.push((1, connect_request("web", room(1), &token_for("closed", "a")), failure("access_denied", "Access denied", 403)));
    let mut world = World::new(1);
    for (opcode, payload, error) in cases {
        let conn = world.websocket(0, "/ws");
        world.frame(conn, opcode, payload.as_bytes());
        assert_eq!(world.take_heard(conn), [error, "CLOSE".into(), "FIN".into()], "{payload}");
        world.eof(conn);
    }
    assert_eq!(world.questions.len(), 0, "none of them reached the store");
    assert!(world.heard.iter().all(|(_, words)| words == "END"));
    world.assert_empty();
}

#[test]
fn what_is_odd_but_good_is_accepted() {
    let mut world = World::new(1);
    let classroom = room(0xabc_def);
    let texts = [
        connect_request("w.e.b", classroom, &token("a")),
        connect_request("upper", classroom, &token("a")).replace(&classroom.to_string(), &classroom.to_string().to_uppercase()),
        connect_request("plain", classroom, &token("a")).replace(&classroom.to_string(), &classroom.simple().to_string()),
        connect_request("extra", classroom, &token("a")).replacen('{', r#"{"unknown":[1,{"a":null}],"#, 1),
    ];
    for text in texts {
        let conn = world.websocket(0, "/ws");
        world.frame(conn, 9, b"early");
        assert_eq!(world.take_heard(conn), ["PONG"]);
        let twice = [masked(1, text.as_bytes()), masked(1, text.as_bytes())].concat();
        world.bytes(conn, &twice);
        assert_eq!(world.take_heard(conn), [SUCCESS, "PING"], "{text}");
    }
    let Reply::Members(members) = world.ask(0, Ask::Members { classroom, after: 0, limit: 10 }) else { panic!() };
    let names: Vec<_> = members.iter().map(|member| member.agent_id.as_str()).collect();
    assert_eq!(names, ["w.e.b.a.school", "upper.a.school", "plain.a.school", "extra.a.school"]);
}

#[test]
fn the_old_socket_is_told_and_closed_before_the_new_one_succeeds() {
    on_one_and_two(|world, other| {
        let watcher = world.session(0, "web", "w", room(1));
        let old = world.session(other, "web", "a", room(1));
        world.take_heard(watcher);
        let new = world.websocket(0, "/ws");
        world.text(new, &connect_request("web", room(1), &token("a")));
        let heard = std::mem::take(&mut world.heard);
        let order: Vec<(ConnId, String)> = heard.into_iter().filter(|(_, words)| words != "FIN").collect();
        let expected = [(old, replaced()), (old, "CLOSE".into()), (new, SUCCESS.into()), (new, "PING".into())];
        assert_eq!(order, expected, "and the watcher hears nothing");
        let Reply::Members(members) = world.ask(0, Ask::Members { classroom: room(1), after: 0, limit: 10 }) else { panic!() };
        let own = Member { sequence_id: 2, agent_id: "web.a.school".into() };
        assert_eq!(members, [Member { sequence_id: 1, agent_id: "web.w.school".into() }, own]);
        world.eof(old);
        world.eof(new);
        assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
        world.eof(watcher);
        world.assert_empty();
    });
}

#[test]
fn only_the_answer_to_a_close_may_wait_for_the_end() {
    let mut world = World::new(1);
    let (now, leaver) = (world.now, world.session(0, "web", "leaver", room(1)));
    let (old, new) = (world.session(0, "web", "a", room(2)), world.websocket(0, "/ws"));
    let engine = &mut world.engines[0];
    engine.received(leaver, &masked(8, &1000_u16.to_be_bytes()), now);
    engine.received(new, &masked(1, connect_request("web", room(2), &token("a")).as_bytes()), now);
    let mut out = Output::default();
    engine.finish(now, &mut out);
    let told = |conn| out.sends.iter().filter(move |send| send.conn == conn).map(|send| send.is_last).collect::<Vec<_>>();
    assert_eq!((told(leaver), told(old)), (vec![true], vec![false]), "the new one waits until the old one was told");
    engine.sent(leaver, true, now);
    let mut out = Output::default();
    engine.finish(now, &mut out);
    assert_eq!(out.closes, [leaver], "at once: its answer leaves with it");
}

#[test]
fn another_label_is_another_agent() {
    on_one_and_two(|world, other| {
        let watcher = world.session(0, "web", "w", room(1));
        world.session(other, "web", "a", room(1));
        let web = world.take_heard(watcher);
        world.session(0, "mobile", "a", room(1));
        assert_eq!(web, [change("entered", "web.a.school", 2)]);
        assert_eq!(world.take_heard(watcher), [change("entered", "mobile.a.school", 3)]);
        let counts = world.ask(other, Ask::Counts { classrooms: vec![room(1)] });
        assert_eq!(counts, Reply::Counts(vec![(room(1), 3)]));
    });
}

#[test]
fn in_a_storm_of_one_key_exactly_one_survives() {
    on_one_and_two(|world, other| {
        world.store.held = true;
        let conns: Vec<ConnId> = (0..200).map(|n| world.websocket([0, other][n % 2], "/ws")).collect();
        for &conn in &conns {
            let now = world.now;
            let request = masked(1, connect_request("web", room(1), &token("a")).as_bytes());
            world.engines[conn.shard.index()].received(conn, &request, now);
        }
        world.run();
        world.store.held = false;
        world.run();
        let heard = std::mem::take(&mut world.heard);
        let winners: Vec<ConnId> = heard.iter().filter(|(_, words)| words == SUCCESS).map(|&(conn, _)| conn).collect();
        let losers = heard.iter().filter(|(_, words)| *words == replaced()).count();
        assert_eq!((winners.len(), losers), (1, 199));
        assert_eq!(world.store.rows.len(), 1);
        let told_last = heard.iter().rposition(|(_, words)| *words == replaced());
        assert!(told_last < heard.iter().position(|(_, words)| words == SUCCESS));
        conns.iter().for_each(|&conn| world.eof(conn));
        world.assert_empty();
    });
}

#[test]
fn pings_are_thirty_seconds_apart_and_a_missing_pong_ends_the_session() {
    on_one_and_two(|world, other| {
        let watcher = world.session(0, "web", "w", room(1));
        let agent = world.session(other, "web", "a", room(1));
        world.take_heard(watcher);
        world.pass(25 * SECOND);
        assert_eq!(world.heard, []);
        world.pass(Duration::from_millis(5_010));
        assert_eq!((world.take_heard(watcher), world.take_heard(agent)), (vec!["PING".into()], vec!["PING".into()]));
        world.pass(SECOND);
        world.frame(watcher, 10, b"");
        world.pass(4 * SECOND);
        assert_eq!(world.take_heard(agent), [failure("pong_timed_out", "Pong timed out", 422), "CLOSE".into(), "FIN".into()]);
        assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
        world.pass(24 * SECOND);
        assert_eq!(world.take_heard(watcher), [] as [String; 0]);
        world.pass(Duration::from_millis(1_010));
        assert_eq!(world.take_heard(watcher), ["PING"], "thirty seconds after the last Ping, not after its Pong");
    });
}

#[test]
fn store_faults_have_their_errors_and_leave_nothing() {
    for (fault, error) in [
        (StoreFault::Busy, failure("database_connection_acquisition_failed", "Database connection acquisition failed", 422)),
        (StoreFault::Failed, failure("database_query_failed", "Database query failed", 422)),
    ] {
        let mut world = World::new(2);
        world.store.fault = Some(fault);
        let conn = world.websocket(1, "/ws");
        world.text(conn, &connect_request("web", room(1), &token("a")));
        assert_eq!(world.take_heard(conn), [error, "CLOSE".into(), "FIN".into()]);
        world.eof(conn);
        world.assert_empty();
    }
}

#[test]
fn a_store_that_does_not_answer_in_time_is_busy_and_its_late_row_is_ended() {
    let mut world = World::new(1);
    world.store.held = true;
    let conn = world.websocket(0, "/ws");
    world.text(conn, &connect_request("web", room(1), &token("a")));
    world.pass(Duration::from_millis(5_010));
    let error = failure("database_connection_acquisition_failed", "Database connection acquisition failed", 422);
    assert_eq!(world.take_heard(conn), [error, "CLOSE".into(), "FIN".into()]);
    world.eof(conn);
    world.store.held = false;
    world.run();
    assert_eq!(world.store.history, [1]);
    world.assert_empty();
}

#[test]
fn a_client_that_leaves_while_it_is_let_in_leaves_no_row_and_no_word() {
    on_one_and_two(|world, other| {
        let watcher = world.session(0, "web", "w", room(1));
        world.store.held = true;
        let conn = world.websocket(other, "/ws");
        world.text(conn, &connect_request("web", room(1), &token("a")));
        world.eof(conn);
        world.store.held = false;
        world.run();
        assert_eq!(world.take_heard(watcher), [] as [String; 0]);
        assert_eq!((world.store.rows.len(), world.store.history.len()), (1, 1));
    });
}

#[test]
fn the_permission_service_is_asked_and_only_a_yes_lets_in() {
    for (allowed, success) in [(Some(true), true), (Some(false), false), (None, false)] {
        let mut world = World::new(1);
        let conn = world.websocket(0, "/ws");
        world.text(conn, &connect_request("web", room(1), &token_for("asked", "a")));
        world.pass(20 * SECOND);
        assert_eq!(world.heard, [], "the auth time does not run while the service is asked");
        let Some((0, Question::Permission { conn: asked, question })) = world.questions.pop_front() else { panic!() };
        assert_eq!((asked, question.classroom), (conn, room(1)));
        let now = world.now;
        world.engines[0].answer(Answer::Permission { conn, allowed }, now);
        world.run();
        assert_eq!(world.take_heard(conn)[0] == SUCCESS, success);
        world.eof(conn);
        world.assert_empty();
    }
}

#[test]
fn a_service_publishes_to_all_or_to_one_in_order() {
    on_one_and_two(|world, other| {
        let first = world.session(0, "web", "a", room(1));
        let second = world.session(other, "web", "b", room(1));
        world.take_heard(first);
        let publish = |payload: &str, sequence_id, receiver: Option<&str>| Ask::Publish {
            classroom: room(1),
            event: Publication {
                entity_type: "ban".into(),
                operation: "created".into(),
                sequence_id,
                payload: payload.into(),
                receiver: receiver.map(str::to_owned),
                sender: None,
            },
        };
        let asks = [
            (publish(r#"{"n":1}"#, Some(7), None), Reply::Published { sequence_id: 7, members: 2 }),
            (publish(r#"{"n":2}"#, None, Some("web.b.school")), Reply::Published { sequence_id: 8, members: 1 }),
            (publish(r#"{"n":3}"#, None, None), Reply::Published { sequence_id: 9, members: 2 }),
            (publish(r#"{"n":4}"#, None, Some("web.c.school")), Reply::Published { sequence_id: 10, members: 0 }),
        ];
        let numbers: Vec<u64> = asks.iter().map(|(ask, _)| world.engines[other].ask(ask.clone())).collect();
        world.run();
        for (number, (_, expected)) in numbers.into_iter().zip(asks) {
            let reply = world.engines[other].poll_reply(number, std::task::Waker::noop());
            assert_eq!(reply, std::task::Poll::Ready(expected));
        }
        let event = |n: i64| {
            format!(r#"{{"id":{{"entity_type":"ban","operation":"created","sequence_id":{}}},"payload":{{"n":{n}}}}}"#, n + 6)
        };
        assert_eq!(world.take_heard(first), [event(1), event(3)]);
        assert_eq!(world.take_heard(second), [event(1), event(2), event(3)]);
    });
}

#[test]
fn rest_ends_a_session_as_replaced_and_the_others_hear_it() {
    on_one_and_two(|world, other| {
        let watcher = world.session(0, "web", "w", room(1));
        let agent = world.session(other, "web", "a", room(1));
        world.take_heard(watcher);
        let close = Ask::Close { classroom: room(1), agent_id: "web.a.school".into() };
        assert_eq!(world.ask(0, close.clone()), Reply::Closed(true));
        assert_eq!(world.take_heard(agent), [replaced(), "CLOSE".into(), "FIN".into()]);
        assert_eq!(world.take_heard(watcher), [change("left", "web.a.school", 2)]);
        assert_eq!(world.ask(0, close), Reply::Closed(false));
        world.eof(agent);
        world.session(other, "web", "a", room(1));
        assert_eq!(world.take_heard(watcher), [change("entered", "web.a.school", 3)]);
    });
}

#[test]
fn in_a_large_room_the_changes_of_a_tick_are_one_frame() {
    let settings = Settings { coalesce_above: 2, ..Settings::default() };
    let mut world = World::with(2, settings, crate::engine::Limits::default());
    let watcher = world.session(0, "web", "w", room(1));
    for name in ["a", "b"] {
        world.session(1, "web", name, room(1));
    }
    assert_eq!(world.take_heard(watcher).len(), 2, "below the size each change is a frame");
    let stays = world.session(1, "web", "c", room(1));
    let goes = world.session(0, "web", "d", room(1));
    world.eof(goes);
    assert_eq!(world.take_heard(watcher), [] as [String; 0]);
    world.pass(Duration::from_millis(260));
    let id = r#"{"entity_type":"agent","operation":"changed","sequence_id":4}"#;
    let lists = r#""entered":[{"agent_id":"web.c.school","sequence_id":4}],"left":[],"count":4"#;
    let payload = format!(r#"{{"version":"v1","entity_type":"agent","label":"changed",{lists}}}"#);
    let changed = format!(r#"{{"id":{id},"payload":{payload}}}"#);
    assert_eq!(world.take_heard(watcher), std::slice::from_ref(&changed));
    assert_eq!(world.take_heard(stays), [changed]);
    world.pass(SECOND);
    assert_eq!(world.take_heard(watcher), [] as [String; 0], "a quiet tick says nothing");
}

#[test]
fn a_stop_tells_everyone_serves_on_and_closes_at_the_end() {
    on_one_and_two(|world, other| {
        let old = world.session(0, "web", "a", room(1));
        let waiting = world.websocket(other, "/ws");
        world.drain();
        let payload = r#"{"type":"terminated","title":"terminated","status":422}"#;
        let terminated = format!(r#"{{"type":"recoverable_session_error","payload":{payload}}}"#);
        assert_eq!(world.take_heard(old), [terminated]);
        let new = world.session(other, "web", "a", room(1));
        assert_eq!(world.take_heard(old), [replaced(), "CLOSE".into(), "FIN".into()]);
        world.eof(old);
        world.close();
        for conn in [new, waiting] {
            assert_eq!(world.take_heard(conn), ["CLOSE 1012", "FIN"]);
            world.eof(conn);
        }
        assert!(world.engines[0].accepted(LISTENER, world.now).is_none());
        world.assert_empty();
    });
}

#[test]
fn plain_http_goes_to_rest_with_its_bytes() {
    let mut world = World::new(1);
    let whole = world.socket(0);
    world.bytes(whole, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(world.take_heard(whole), ["HTTP 34"]);
    let in_pieces = world.socket(0);
    world.bytes(in_pieces, b"POST /api HTTP/1.1\r\nContent-Le");
    world.bytes(in_pieces, b"ngth: 2\r\n\r\n{}");
    assert_eq!(world.take_heard(in_pieces), ["HTTP 43"]);
    let in_one_turn = world.socket(0);
    let now = world.now;
    world.engines[0].received(in_one_turn, b"POST /api HTTP/1.1\r\nContent-Length: 4\r\n\r\n", now);
    world.engines[0].received(in_one_turn, b"{\"", now);
    world.engines[0].received(in_one_turn, b"\"}", now);
    world.run();
    assert_eq!(world.take_heard(in_one_turn), ["HTTP 45"], "what came behind the head in the same turn goes with it");
    let never = world.socket(0);
    world.bytes(never, b"GET / HT");
    world.pass(11 * SECOND);
    assert_eq!(world.take_heard(never), ["END"]);
    world.assert_empty();
}

#[test]
fn echo_keeps_the_order_of_its_answers_and_the_protocol_ends_with_its_code() {
    let mut world = World::new(1);
    let conn = world.websocket(0, "/echo");
    let bytes = [masked(1, b"one"), masked(9, b""), masked(1, b"two"), vec![0x81, 0x03, b'b', b'a', b'd']].concat();
    world.bytes(conn, &bytes);
    assert_eq!(world.take_heard(conn), ["one", "PONG", "two", "CLOSE 1002", "FIN"]);
    world.pass(6 * SECOND);
    assert_eq!(world.take_heard(conn), ["END"], "a peer that never ends is cut");
    world.assert_empty();
}
