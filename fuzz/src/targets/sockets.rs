//! What a client says on each socket: whole messages, by somebody whom the house has let in, to a shard of the shipped engine.
//!
//! The bytes are the messages, one behind the other, each ended by a line feed; one that begins with a zero byte is binary. Whatever was
//! said, when everybody has gone nobody is left.

use super::house::{CHAT, House, LABS, PRESENCE, QUIZ, head, masked, ticket, token};
use homeroom::{engine::Listener, realtime::ConnId};
use std::time::Duration;
use uuid::Uuid;

/// After so long every time that an engine keeps for somebody who has gone is over.
const LONG: Duration = Duration::from_secs(2 * 3600);

fn house() -> House {
    let mut house = House::new(1);
    let now = house.now;
    house.engines[0].begin_labs(&Default::default(), &[], now);
    house
}

fn say(house: &mut House, conn: ConnId, bytes: &[u8]) {
    for message in bytes.split(|byte| *byte == b'\n') {
        let frame = match message.split_first() {
            Some((0, binary)) => masked(0x82, binary),
            Some(_) | None => masked(0x81, message),
        };
        house.hear(conn, &frame);
    }
}

fn leave(house: &mut House, conns: &[ConnId]) {
    let now = house.now;
    for conn in conns {
        house.engines[0].ended(*conn, now);
        house.run();
    }
    house.now.moment = house.now.moment + LONG;
    house.now.wall.0 += LONG.as_micros() as i64;
    let now = house.now;
    house.engines[0].tick(now);
    house.run();
    assert!(house.engines[0].is_empty(), "somebody is left");
}

fn upgraded(house: &mut House, listener: Listener, target: &str) -> ConnId {
    house.open(0, listener, &head(target))
}

/// First a stranger, who may also say who he is; then a member of a room.
pub(crate) fn presence(bytes: &[u8]) {
    let mut house = house();
    let stranger = upgraded(&mut house, PRESENCE, "/ws");
    say(&mut house, stranger, bytes);
    let member = house.member(0, Uuid::from_u128(1), "anna");
    say(&mut house, member, bytes);
    leave(&mut house, &[stranger, member]);
}

/// An owner.
pub(crate) fn quiz(bytes: &[u8]) {
    let mut house = house();
    let owner = upgraded(&mut house, QUIZ, &format!("/ws?token={}", token("anna", None)));
    say(&mut house, owner, bytes);
    leave(&mut house, &[owner]);
}

/// An agent of the contract.
pub(crate) fn agent(bytes: &[u8]) {
    let mut house = house();
    let agent = upgraded(&mut house, LABS, "/agent/ws?agent_id=a1&platform=host");
    say(&mut house, agent, bytes);
    leave(&mut house, &[agent]);
}

/// An agent of the field, before and after it is told that nobody knows it; and one of the contract that speaks as those do.
pub(crate) fn field_agent(bytes: &[u8]) {
    let mut house = house();
    let agent = upgraded(&mut house, LABS, "/api/v1/agents/connect?agent_id=a1");
    say(&mut house, agent, bytes);
    leave(&mut house, &[agent]);
}

/// One who is known, and one who has yet to say who he is.
pub(crate) fn chat(bytes: &[u8]) {
    let mut house = house();
    let path = "/ws/sessions/sess_00000000000000000000000000005e55";
    let known = upgraded(&mut house, CHAT, &format!("{path}?token={}", ticket(Uuid::from_u128(7))));
    let stranger = upgraded(&mut house, CHAT, path);
    for conn in [known, stranger] {
        say(&mut house, conn, bytes);
    }
    leave(&mut house, &[known, stranger]);
}

/// One who is known.
pub(crate) fn tasks(bytes: &[u8]) {
    let mut house = house();
    let known = upgraded(&mut house, CHAT, &format!("/ws?token={}", ticket(Uuid::from_u128(7))));
    say(&mut house, known, bytes);
    leave(&mut house, &[known]);
}
