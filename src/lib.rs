//! Homeroom: the realtime server of a digital school.
//!
//! The rooms, in the order in which a message meets them. `tests/tidy.rs` holds who may import whom; ARCHITECTURE.md tells the story.

// PURE: no clock, no socket, no thread, no randomness, no unsafe. Time, randomness and failure are inputs.
pub mod realtime; // the shared words: ids, moments, wheel, hash ring, topics, outbox, letters
pub mod websocket; // RFC 6455 over memory: upgrade, session, frames
pub mod auth; // tokens, keys, who may do what
pub mod protocols; // presence (quiz, labs, tasks and chat follow): state machines, each a room of its own
pub mod engine; // a shard without a reactor: connections, homes, delivery

// The shell: what touches a clock, a socket, a thread or a file.
#[cfg(feature = "server")]
pub mod bridge; // the one Tokio thread: run this there, post the answer to that shard
#[cfg(feature = "server")]
pub mod config; // what is in the file, and what it means, checked; every fault at once
#[cfg(feature = "server")]
pub mod http; // REST: hyper glue, routing, errors; handlers are async functions over contracts
#[cfg(feature = "server")]
pub mod observe; // counters, Prometheus text, logs
#[cfg(feature = "server")]
pub mod runtime; // the glommio shell: boot, ring, turn, mesh, accept, clock, stop
#[cfg(feature = "server")]
pub mod services; // what the protocols ask of the outside: permission services
#[cfg(feature = "server")]
pub mod store; // the contract and SQLite
