//! What makes one school of several nodes: exactly-once links over a bus that loses messages, the form of what goes over them,
//! what a node does that may be cut off, and what other services say on the bus. Pure; the bus itself belongs to the shell.

pub mod codec;
pub mod intake;
pub mod link;
pub mod links;
pub mod node;
pub mod outside;
pub mod vigil;

pub use intake::Intake;
pub use link::{Effect, Limits, Link, Packet, Why};
pub use links::Links;
pub use node::Node;
pub use vigil::{Cause, Doubt, Vigil};
