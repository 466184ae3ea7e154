//! What a shard tells the audit log.

use super::world::*;
use crate::{
    engine::{Limits, door::Address, passage::deal},
    protocols::presence::Settings,
    realtime::{
        ConnId, HashRing,
        audit::{Outcome, Record},
    },
};

fn told(world: &mut World) -> Vec<Record> {
    std::mem::take(world.engines[0].audit())
}

/// A world with a log.
fn audited() -> World {
    World::with(1, Settings::default(), Limits { audit: true, ..Limits::default() })
}

/// Somebody comes from an address.
fn comes(world: &mut World) -> ConnId {
    let now = world.now;
    world.engines[0].accepted_from(LISTENER, Address::of(0xffff_0a00_0001), now).expect("there is room")
}

/// He says who he is.
fn tries(world: &mut World, token: &str) -> ConnId {
    let conn = comes(world);
    says(world, conn, token);
    conn
}

fn says(world: &mut World, conn: ConnId, token: &str) {
    let head = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    world.bytes(conn, head.as_bytes());
    world.text(conn, &connect_request("web", room(1), token));
}

#[test]
fn who_is_let_in_and_who_is_not_is_told_with_address_and_reason() {
    let mut world = audited();
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
fn whoever_signs_in_behind_an_upgrade_has_an_address_too() {
    let (mut former, mut next) = (audited(), audited());
    comes(&mut former);
    let (estate, conns) = former.engines[0].estate(&|_| true, former.now);
    assert_eq!(conns.len(), 1);
    let legacy = deal(vec![estate], &HashRing::new(1)).remove(0);
    let now = next.now;
    let conns = next.engines[0].take_over(legacy, &[Address::of(0xffff_0a00_0001)], now);
    says(&mut next, conns[0], &token("ada"));
    assert_eq!(
        told(&mut next).iter().map(|record| (record.what, record.from)).collect::<Vec<_>>(),
        [("sign_in", 0xffff_0a00_0001)]
    );
}

#[test]
fn nothing_is_kept_for_a_log_that_is_not_there() {
    let mut world = World::new(1);
    let conn = tries(&mut world, &token("ada"));
    assert_eq!(told(&mut world), []);
    world.eof(conn);
    world.assert_empty();
}
