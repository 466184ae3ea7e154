//! A shard without a reactor: its connections, its homes, its deliveries. The one room that knows all protocols.
//!
//! The shell feeds it what happened ([`Engine::accepted`], [`Engine::received`], …) and, once a turn, takes what is to be done ([`Output`]).

pub mod port;

pub use port::{Handoff, Listener, Output, Segment, Send};
