//! TLS over memory: rustls without a socket. Bytes go in, bytes come out; who owns the socket moves them.
//!
//! Nothing here waits or takes a lock: the keys of tickets come in as a value ([`TicketKeys`]), and sessions by id are remembered in queues
//! without one ([`tickets`]). Files are read by whoever has them.

mod certificate;
mod server;
mod session;
pub mod tickets;

#[cfg(test)]
pub(crate) mod tests;

pub use certificate::{Certificate, Flaw};
pub use server::{Server, Version};
pub use session::{Fault, Sealed, Session};
pub use tickets::{SessionMemory, TicketKeys};
