//! NATS, the bus between nodes: what the links want sent goes out, what comes in goes to the links, and what these give to the shards.
//!
//! All of it runs on the bridge's thread. The links are pure (`crate::cluster`); nothing in here decides what a lost message means.

mod access;
mod codec;
mod counts;
mod gateway;
mod letters;
mod outside;

pub use access::{Access, AccessFault, Line, Secrets, Unreached, connect, reach};
pub use codec::{Codec, Unreadable};
pub use counts::Counts;
pub use gateway::{Gateway, Me, News};
pub use letters::Letters;
pub use outside::{Outside, Way};
