//! Networks whose word of somebody else's address is believed.

use core::net::{IpAddr, Ipv6Addr};
use std::{fmt, str::FromStr};

/// Whose connection it is, as far as the kernel tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// One of this address.
    Address(IpAddr),
    /// A process of this machine, by a unix socket.
    Unix,
    /// It has gone already.
    Unknown,
}

/// Addresses that begin alike, or all who come by a unix socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Network {
    /// So many leading bits of this address. IPv4 as IPv6 sees it (`::ffff:a.b.c.d`).
    Addresses {
        /// Its bits behind those are zero.
        first: u128,
        /// At most 128.
        bits: u8,
        /// How it was written.
        is_v4: bool,
    },
    /// All who come by a unix socket.
    Unix,
}

/// How many of an IPv4 address's bits in IPv6 come before its own.
const MAPPED_BITS: u8 = 96;

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

impl Network {
    /// Whether somebody is of it.
    pub fn has(&self, origin: Origin) -> bool {
        match (self, origin) {
            (Network::Addresses { first, bits, .. }, Origin::Address(address)) => mapped(address) & mask(*bits) == *first,
            (Network::Unix, Origin::Unix) => true,
            (Network::Addresses { .. } | Network::Unix, Origin::Address(_) | Origin::Unix | Origin::Unknown) => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    /// `10.0.0.0/8`, `fd00::/8`, an address alone, or `unix`. Bits behind the network's own must be zero: they would be a slip.
    fn from_str(text: &str) -> Result<Network, ()> {
        if text == "unix" {
            return Ok(Network::Unix);
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let (is_v4, most) = if address.is_ipv4() { (true, 32) } else { (false, 128) };
        let bits = match bits {
            None => most,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().map_err(|_| ())?,
            Some(_) => return Err(()),
        };
        if bits > most {
            return Err(());
        }
        let bits = if is_v4 { MAPPED_BITS + bits } else { bits };
        let first = mapped(address);
        if first & !mask(bits) == 0 { Ok(Network::Addresses { first, bits, is_v4 }) } else { Err(()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Unix => f.write_str("unix"),
            Network::Addresses { first, bits, is_v4 } => {
                let address = Ipv6Addr::from_bits(*first);
                match address.to_ipv4_mapped().filter(|_| *is_v4) {
                    Some(address) => write!(f, "{address}/{}", bits - MAPPED_BITS),
                    None => write!(f, "{address}/{bits}"),
                }
            }
        }
    }
}

/// Some of them; none: nobody is believed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Networks(pub Vec<Network>);

impl Networks {
    /// Whether one of them has this one.
    pub fn have(&self, origin: Origin) -> bool {
        self.0.iter().any(|network| network.has(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_of_a_network() {
        let rows = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ];
        for (network, address, is_of) in rows {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.has(Origin::Address(address.parse().unwrap())), is_of, "{network} {address}");
            assert!(!network.has(Origin::Unix) && !network.has(Origin::Unknown));
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        let unix: Network = "unix".parse().unwrap();
        assert!(unix.has(Origin::Unix) && !unix.has(Origin::Unknown) && !unix.has(Origin::Address("::1".parse().unwrap())));
    }

    #[test]
    fn what_is_no_network() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "school", "fd00::1/8"] {
            assert_eq!(text.parse::<Network>(), Err(()), "{text}");
        }
    }
}
