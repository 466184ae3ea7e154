//! What makes one school of several nodes: exactly-once links over a bus that loses messages. Pure; the bus itself belongs to the shell.

pub mod link;
pub mod links;
pub mod node;

pub use link::{Effect, Limits, Link, Packet, Why};
pub use links::Links;
pub use node::Node;
