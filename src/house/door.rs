//! Who is let in, and how many: the settings' words, as the engine and REST have them.

use crate::{
    config::Settings,
    engine::door::{Crowd, Door, PaceRule},
    http,
    websocket::{Origins, upgrade::Bounds},
};

/// The rules of the door for `shards` that hold `connections` in all. `seed` keeps places in the counts from being guessed.
pub(super) fn door(settings: &Settings, connections: usize, shards: u16, seed: u64) -> Door {
    let own = &settings.limits;
    let limit = |number: usize| (number > 0).then_some(number);
    let handshakes = limit(own.handshakes).unwrap_or(connections / 4);
    let pace = (own.handshakes_a_second > 0).then(|| PaceRule::new(own.handshakes_a_second, own.handshake_burst, shards));
    Door {
        origins: Origins(own.origins.clone()),
        agent_origins: Origins(own.agent_origins.clone()),
        head: Bounds { bytes: own.max_head.bytes(), headers: own.max_headers },
        addresses: Crowd::new(limit(own.connections_per_address), connections, seed),
        counts_loopback: own.loopback,
        users: Crowd::new(limit(own.connections_per_user), connections, seed ^ 1),
        handshakes: (handshakes / usize::from(shards.max(1))).max(1),
        pace,
        messages_a_second: (own.messages_a_second > 0).then_some(own.messages_a_second),
    }
}

/// As [`door`], by other settings than those of `before`: who is counted stays counted.
pub(super) fn renewed(before: &Door, settings: &Settings, connections: usize, shards: u16, seed: u64) -> Door {
    let (own, new) = (&settings.limits, door(settings, connections, shards, seed));
    let limit = |number: usize| (number > 0).then_some(number);
    Door {
        addresses: before.addresses.with_limit(limit(own.connections_per_address), connections, seed),
        users: before.users.with_limit(limit(own.connections_per_user), connections, seed ^ 1),
        ..new
    }
}

/// What one HTTP connection may cost.
pub(super) fn http(door: &Door) -> http::Limits {
    http::Limits { head_bytes: door.head.bytes, headers: door.head.headers, ..http::Limits::default() }
}
