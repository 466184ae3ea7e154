//! What the REST handlers ask of the rest of the house. The runtime fulfils it; tests fulfil it from memory.

use crate::{
    protocols::presence::{
        asks::{Member, Publication},
        record::{Attendance, StoreFault},
    },
    realtime::{ClassroomId, UnixMicros},
};
use std::{sync::Arc, time::Duration};

/// Classrooms as the REST routes see them. Futures stay on their shard, so they need not be `Send`. A classroom whose home does not answer
/// in time is [`StoreFault::Busy`]: nobody can say whether what was asked was done.
#[allow(async_fn_in_trait)]
pub trait Classrooms {
    /// Members with a session number greater than `after`, ordered, at most `limit`.
    async fn members(&self, classroom: ClassroomId, after: i64, limit: usize) -> Result<Vec<Member>, StoreFault>;
    /// How many are in each of these rooms; empty rooms are absent.
    async fn counts(&self, classrooms: Vec<ClassroomId>) -> Result<Vec<(ClassroomId, u64)>, StoreFault>;
    /// Delivers an event; returns its sequence number and how many members it was sent to.
    async fn publish(&self, classroom: ClassroomId, event: Publication) -> Result<(i64, u64), StoreFault>;
    /// Ends a session as `replaced`; false when there is none.
    async fn close(&self, classroom: ClassroomId, agent_id: String) -> Result<bool, StoreFault>;
    /// Who was in the room at any time in `from..to`, by agent and time.
    async fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault>;
    /// The rooms in which somebody is, on any node, the fullest first; at most `limit`.
    async fn occupied(&self, limit: u32) -> Result<Vec<(ClassroomId, u64)>, StoreFault>;
    /// Whether an account (`subject`, `audience`) may do `action` ("connect" or "read") to the classroom.
    async fn permitted(&self, subject: &str, audience: &str, classroom: ClassroomId, action: &'static str) -> bool;
}

/// Whose token it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The token's `sub`.
    pub subject: String,
    /// The token's `aud`.
    pub audience: String,
}

/// A token that is not to be believed; why is nobody's business but ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unverified;

/// Tokens, as the REST routes see them.
pub trait Accounts {
    /// Whose token it is, checked now.
    fn verify(&self, token: &str) -> Result<Account, Unverified>;
}

/// The wall clock.
pub trait Clock {
    /// Now.
    fn now(&self) -> UnixMicros;
}

/// This node, and those beside it, as operators look at them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Of the program.
    pub version: &'static str,
    /// How many shards.
    pub shards: u16,
    /// When it began to serve.
    pub started_at: UnixMicros,
    /// `serving`, `draining` or `closing`.
    pub phase: &'static str,
    /// Since the stop began: how long that is, and how long the drain may take.
    pub drain: Option<(Duration, Duration)>,
    /// Key files: what each is for, and when it was last written where that can be told.
    pub keys: Vec<(String, Option<UnixMicros>)>,
    /// What listeners with TLS show, in their order.
    pub certificates: Vec<Certificate>,
    /// Sets of keys that issuers publish.
    pub key_sets: Vec<KeySet>,
    /// All that share the records, by slot; none while the records cannot be read.
    pub nodes: Option<Vec<Peer>>,
}

/// A certificate that a listener shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The listener's name in the settings.
    pub listener: String,
    /// Whose it is, as it says.
    pub subject: String,
    /// From when it is good.
    pub not_before: UnixMicros,
    /// Until when.
    pub not_after: UnixMicros,
}

/// The set of keys of one issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySet {
    /// The API whose tokens it signs.
    pub api: String,
    /// The issuer's name.
    pub issuer: String,
    /// Where it is read: an address without its query, or "a file".
    pub place: String,
    /// When it was last read and found right, and since when it is what it is.
    pub read_at: Option<UnixMicros>,
    /// See above.
    pub changed_at: Option<UnixMicros>,
    /// How many of its keys can be used, and how many that are not in it any more may be good still.
    pub keys: usize,
    /// See above.
    pub former: usize,
    /// Why the last read failed, if it did.
    pub fault: Option<Arc<str>>,
}

/// A node as the shared records have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// What it is called.
    pub name: String,
    /// Its place among them.
    pub slot: u16,
    /// Which of those who ever had a place it is.
    pub epoch: i64,
    /// Of its program.
    pub version: String,
    /// Whether its lease holds.
    pub is_alive: bool,
    /// Whether it is the one that answers.
    pub is_self: bool,
}

/// What operators look at.
#[allow(async_fn_in_trait)]
pub trait Observatory {
    /// All counters and gauges, in the OpenMetrics text format.
    fn metrics(&self) -> String;
    /// This node, and those beside it.
    async fn node(&self) -> Node;
    /// Whether this node should be sent work; if not, every reason, a line each.
    fn ready(&self) -> Result<(), Vec<String>>;
}
