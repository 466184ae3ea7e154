//! How often each user may do what the contract's table limits, and how often an address may try to sign in: counted by the home of the
//! payer, whatever shard its requests come to.

use super::{model::UserId, settings::Settings};
use crate::realtime::{Counted, Now, Quota, quota::network};

/// The rows of the contract's table, each with a window of a minute, and one for logins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Row {
    /// `POST /auth/login`.
    Login,
    /// `POST /sessions/`.
    Create,
    /// `POST /sessions/{id}/chat`, and `message` on a socket.
    Message,
    /// `POST /sessions/{id}/chat/stream`.
    Stream,
    /// `GET /sessions/{id}`.
    Look,
    /// `GET /sessions/`.
    List,
}

/// By whom a request is counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Payer {
    /// The user of a good token.
    User(UserId),
    /// See [`Payer::address`].
    Address(u128),
}

impl Payer {
    /// An address; an IPv4 address is mapped into IPv6.
    pub fn address(mapped: u128) -> Payer {
        Payer::Address(network(mapped))
    }

    /// Names its home.
    pub fn bytes(self) -> [u8; 16] {
        match self {
            Payer::User(user) => user.into_bytes(),
            Payer::Address(address) => address.to_be_bytes(),
        }
    }
}

/// The windows that have their home on this shard.
pub struct Quotas {
    quota: Quota<(Payer, Row)>,
    allowed: [u32; 6],
}

fn allowed(settings: &Settings) -> [u32; 6] {
    let Settings { logins_a_minute, creations_a_minute, messages_a_minute, .. } = *settings;
    let Settings { streams_a_minute, looks_a_minute, lists_a_minute, .. } = *settings;
    [logins_a_minute, creations_a_minute, messages_a_minute, streams_a_minute, looks_a_minute, lists_a_minute]
}

impl Quotas {
    /// Nobody has asked for anything. `seed` keeps the places of keys from being guessed.
    pub fn new(settings: &Settings, seed: u64) -> Quotas {
        Quotas { quota: Quota::new(seed), allowed: allowed(settings) }
    }

    /// From now on these count; what was counted stays.
    pub fn reform(&mut self, settings: &Settings) {
        self.allowed = allowed(settings);
    }

    /// One more request.
    pub fn count(&mut self, payer: Payer, row: Row, now: Now) -> Counted {
        let limit = self.allowed[match row {
            Row::Login => 0,
            Row::Create => 1,
            Row::Message => 2,
            Row::Stream => 3,
            Row::Look => 4,
            Row::List => 5,
        }];
        self.quota.count((payer, row), limit, now)
    }

    /// How many windows are counted.
    pub fn len(&self) -> usize {
        self.quota.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.quota.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn each_row_has_the_limit_of_the_contract() {
        let rows =
            [(Row::Login, 10), (Row::Create, 10), (Row::Message, 60), (Row::Stream, 30), (Row::Look, 120), (Row::List, 30)];
        let mut quotas = Quotas::new(&Settings::default(), 1);
        let user = |n| Payer::User(Uuid::from_u128(n));
        for (row, allowed) in rows {
            let through = (0..200).filter(|_| quotas.count(user(1), row, Now::default()).remaining.is_some());
            assert_eq!(through.count(), allowed, "{row:?}");
            assert_eq!(quotas.count(user(1), row, Now::default()).wait(Now::default().wall), Some(60));
            assert!(quotas.count(user(2), row, Now::default()).remaining.is_some());
            assert!(quotas.count(Payer::Address(1), row, Now::default()).remaining.is_some());
        }
        assert_eq!(quotas.len(), 18);
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        assert_eq!(Payer::address(0x2001 << 112 | 1), Payer::address(0x2001 << 112 | 2));
        assert_ne!(Payer::address(0xffff_0a00_0001), Payer::address(0xffff_0a00_0002));
    }
}
