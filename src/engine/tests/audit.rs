//! What a shard tells the audit log.

use super::world::*;
use crate::{
    engine::{Limits, door::Address},
    protocols::presence::Settings,
    realtime::{
        ConnId,
        audit::{Outcome, Record},
    },
};

fn told(world: &mut World) -> Vec<Record> {
    std::mem::take(world.engines[0].audit())
}

/// Somebody from an address says who he is.
fn tries(world: &mut World, token: &str) -> ConnId {
    let now = world.now;
    let from = Address::of(0xffff_0a00_0001);
    let conn = world.engines[0].accepted_from(LISTENER, from, now).expect("there is room");
    let head = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    world.bytes(conn, head.as_bytes());
    world.text(conn, &connect_request("web", room(1), token));
    conn
}

#[test]
fn who_is_let_in_and_who_is_not_is_told_with_address_and_reason() {
    let mut world = World::with(1, Settings::default(), Limits { audit: true, ..Limits::default() });
    let conn = tries(&mut world, &token("ada"));
    let record = |what, who: Option<&str>, target: Option<String>, outcome, reason: Option<&str>| Record {
        at: world.now.wall,
        what,
        who: who.map(Into::into),
        target: target.map(Into::into),
        from: 0xffff_0a00_0001,
        on: "presence",
        outcome,
        reason: reason.map(Into::into),
    };
    let signed_in = record("sign_in", Some("ada"), Some(room(1).to_string()), Outcome::Done, None);
    let refused = record("refusal", None, None, Outcome::Refused, Some("unauthenticated"));
    assert_eq!(told(&mut world), [signed_in]);
    let stranger = tries(&mut world, "not.a.token");
    assert_eq!(told(&mut world), [refused]);
    world.eof(conn);
    world.eof(stranger);
    assert_eq!(told(&mut world), [], "that somebody goes is no business of this log");
    world.assert_empty();
}

#[test]
fn nothing_is_kept_for_a_log_that_is_not_there() {
    let mut world = World::new(1);
    let conn = tries(&mut world, &token("ada"));
    assert_eq!(told(&mut world), []);
    world.eof(conn);
    world.assert_empty();
}
