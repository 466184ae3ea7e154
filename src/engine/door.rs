//! Who is let in, and how many: pages, addresses, users, handshakes. What all shards count together is counted without a lock.

mod crowd;
mod pace;
mod waiting;

pub use crowd::Crowd;
pub(super) use crowd::{Counted, Place};
pub use pace::PaceRule;
pub(super) use pace::{Paces, Rate, Verdict};
pub(super) use waiting::{Line, Waiting};

use super::SocketApi;
use crate::{
    realtime::quota::network,
    websocket::{origin::Origins, upgrade::Bounds},
};

/// How many more of an address are still answered, rather than closed without a word, when it has as many connections as it may.
pub(super) const TOLD: usize = 16;

/// Whose a connection is, as far as the network says: the bits of its address, an IPv4 one mapped into IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Address(u128);

impl Address {
    /// One that is not known, or that there is not, as of a unix socket: it is not counted.
    pub const UNKNOWN: Address = Address(0);

    /// From the bits of an address. All of a subscriber's network of 64 bits is one.
    pub fn of(mapped: u128) -> Address {
        let is_loopback = mapped == 1;
        Address(if is_loopback { mapped } else { network(mapped) })
    }

    /// Its bits, as they are counted; 0: it is not known.
    pub fn bits(self) -> u128 {
        self.0
    }

    /// Whether it is this machine.
    pub fn is_loopback(self) -> bool {
        self.0 == 1 || self.0 >> 24 == 0xff_ff_7f
    }
}

/// The rules of the door, the same on all shards.
#[derive(Clone, Debug)]
pub struct Door {
    /// Whose pages may open sockets that a token lets in.
    pub origins: Origins,
    /// Whose pages may open sockets of agents of labs.
    pub agent_origins: Origins,
    /// What the first request of a connection may have.
    pub head: Bounds,
    /// The connections of each address.
    pub addresses: Crowd,
    /// Whether those of this machine are counted too.
    pub counts_loopback: bool,
    /// The connections of each user, by protocol.
    pub users: Crowd,
    /// How many connections of a shard may be without a whole first request, once they have been so for a while.
    pub handshakes: usize,
    /// How many connections of an address a shard takes in a time.
    pub pace: Option<PaceRule>,
    /// How many messages a client may send in a second; none: as many as it likes.
    pub messages_a_second: Option<u32>,
}

impl Default for Door {
    /// Nothing is counted.
    fn default() -> Door {
        Door {
            origins: Origins::any(),
            agent_origins: Origins::default(),
            head: Bounds::default(),
            addresses: Crowd::default(),
            counts_loopback: false,
            users: Crowd::default(),
            handshakes: usize::MAX,
            pace: None,
            messages_a_second: None,
        }
    }
}

impl Door {
    /// Whose pages may open this socket.
    pub(super) fn origins_of(&self, api: SocketApi) -> &Origins {
        match api {
            // No browser is an agent, and without labs.agent_key_file nothing else keeps a page out.
            SocketApi::Agent | SocketApi::FieldAgent => &self.agent_origins,
            SocketApi::Presence | SocketApi::Quiz | SocketApi::Viewer | SocketApi::Follower => &self.origins,
            SocketApi::Chat | SocketApi::Tasks | SocketApi::Echo => &self.origins,
        }
    }

    /// Whether the connections of an address are counted.
    pub(super) fn counts(&self, address: Address) -> bool {
        address != Address::UNKNOWN && (self.counts_loopback || !address.is_loopback())
    }
}

/// What somebody ran into, as metrics tell it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    /// A page that may open no socket: 403.
    Origin,
    /// More connections than an address may have: 429, or closed without a word.
    AddressConnections,
    /// More new connections of an address than fit into a second: 429, or closed without a word.
    AddressPace,
    /// More connections without a whole request than there may be: the oldest is closed.
    Handshakes,
    /// No whole request in time: closed.
    HandshakeTime,
    /// The head of a request is too large, or has too many headers: 431.
    Head,
    /// More connections than a user may have: 429, or 1008 where the upgrade was answered.
    UserConnections,
    /// More messages than fit into a second: 1008.
    Messages,
}

impl Bound {
    /// All of them.
    pub const ALL: [Bound; 8] = [
        Bound::Origin,
        Bound::AddressConnections,
        Bound::AddressPace,
        Bound::Handshakes,
        Bound::HandshakeTime,
        Bound::Head,
        Bound::UserConnections,
        Bound::Messages,
    ];

    /// The label of metrics.
    pub fn label(self) -> &'static str {
        match self {
            Bound::Origin => "origin",
            Bound::AddressConnections => "address_connections",
            Bound::AddressPace => "address_pace",
            Bound::Handshakes => "handshakes",
            Bound::HandshakeTime => "handshake_time",
            Bound::Head => "head",
            Bound::UserConnections => "user_connections",
            Bound::Messages => "messages",
        }
    }

    /// What one is told whose request is answered because of it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Bound::Origin => "pages of this origin may not open this socket",
            Bound::AddressConnections => "this address has too many connections",
            Bound::AddressPace => "too many new connections from this address: come again a little later",
            Bound::UserConnections => "this user has too many connections",
            Bound::Handshakes | Bound::HandshakeTime | Bound::Head | Bound::Messages => "too much",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_in_both_families_and_a_network_is_one() {
        let v4 = |a: u128, b: u128, c: u128, d: u128| Address::of(0xffff << 32 | a << 24 | b << 16 | c << 8 | d);
        assert!(v4(127, 0, 0, 1).is_loopback() && v4(127, 9, 9, 9).is_loopback() && Address::of(1).is_loopback());
        assert!(!v4(128, 0, 0, 1).is_loopback() && !v4(10, 0, 0, 1).is_loopback() && !Address::of(2).is_loopback());
        assert_ne!(v4(10, 0, 0, 1), v4(10, 0, 0, 2));
        let v6 = 0x2001_0db8_0000_0001_u128 << 64;
        assert_eq!(Address::of(v6 | 1), Address::of(v6 | 2));
        assert_ne!(Address::of(v6 | 1), Address::of((v6 + (1 << 64)) | 1));
        let door = Door::default();
        assert!(!door.counts(Address::UNKNOWN) && !door.counts(v4(127, 0, 0, 1)) && door.counts(v4(10, 0, 0, 1)));
        assert!(Door { counts_loopback: true, ..door }.counts(v4(127, 0, 0, 1)));
    }
}
