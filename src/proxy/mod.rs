//! The PROXY protocol: what a proxy says of a connection before its first byte (haproxy.org, `proxy-protocol.txt`, versions 1 and 2), and
//! the networks whose word is believed.

mod header;
mod network;

pub use header::{Flaw, Header, LONGEST_BYTES, read};
pub use network::{Network, Networks, Origin};
