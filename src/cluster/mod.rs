//! What makes one school of several nodes: exactly-once links over a bus that loses messages, the form of what goes over them,
//! and what other services say on the bus. Pure; the bus itself belongs to the shell.

pub mod codec;
pub mod link;
pub mod links;
pub mod node;
pub mod outside;

pub use link::{Effect, Limits, Link, Packet, Why};
pub use links::Links;
pub use node::Node;
