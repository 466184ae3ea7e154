//! Homeroom: the realtime server of a digital school.
//!
//! The rooms, in the order in which a message meets them. `tests/tidy.rs` holds who may import whom; ARCHITECTURE.md tells the story.

// PURE: no clock, no socket, no thread, no randomness, no unsafe. Time, randomness and failure are inputs.

// API documents from types: OpenAPI of routes, AsyncAPI of sockets.
pub mod documents;
// The shared words: ids, moments, wheel, hash ring, topics, outbox.
pub mod realtime;
// RFC 6455 over memory: upgrade, session, frames.
pub mod websocket;
// Spans, as OpenTelemetry has them; nothing without the feature `otlp`.
pub mod traces;
// The PROXY protocol: what a proxy says of a connection before its first byte.
pub mod proxy;
// Tokens, keys, who may do what.
pub mod auth;
// Language models and tools, as words: what tasks and chat have in common.
pub mod models;
// The published APIs, a room each.
pub mod protocols;
// What an agent on a bare host decides: sessions, commands, returns.
pub mod desks;
// A shard without a reactor: connections, homes, delivery.
pub mod engine;
// One school on several nodes: links over a bus that loses messages.
pub mod cluster;

// The console's page: its files, embedded.
pub mod console;
// What `homeroom top` shows.
#[cfg(feature = "server")]
pub mod top;

// THE SHELL: what touches a clock, a socket, a thread or a file.

// The contract of what is kept, and SQLite.
#[cfg(feature = "server")]
pub mod store;
// What the protocols ask of the outside: permission services, key files.
#[cfg(feature = "server")]
pub mod services;
// The one Tokio thread: run this there, post the answer to that shard.
#[cfg(feature = "server")]
pub mod bridge;
// REST: hyper glue, routing, errors; handlers are async functions over contracts.
#[cfg(feature = "server")]
pub mod http;
// TLS over memory: rustls without a socket.
#[cfg(feature = "server")]
pub mod tls;
// Log lines.
#[cfg(feature = "server")]
pub mod observe;
// What is in the file, and what it means, checked; every fault at once.
#[cfg(feature = "server")]
pub mod config;
// The glommio shell: boot, ring, turn, mesh, clock, stop. It knows no protocol.
#[cfg(feature = "server")]
pub mod runtime;
// NATS, the bus between nodes.
#[cfg(feature = "server")]
pub mod nats;
// The house put together.
#[cfg(feature = "server")]
pub mod house;
// Runs desktops on this machine, for a control plane anywhere.
#[cfg(feature = "server")]
pub mod agent;
// What `homeroom` can be told to do.
#[cfg(feature = "server")]
pub mod commands;
