//! What the REST handlers ask of the rest of the house. The runtime fulfils it; tests fulfil it from memory.

use crate::{
    protocols::presence::{
        asks::{Member, Publication},
        record::{Attendance, StoreFault},
    },
    realtime::{ClassroomId, UnixMicros},
};

/// Classrooms as the REST routes see them. Futures stay on their shard, so they need not be `Send`.
#[allow(async_fn_in_trait)]
pub trait Classrooms {
    /// Members with a session number greater than `after`, ordered, at most `limit`.
    async fn members(&self, classroom: ClassroomId, after: i64, limit: usize) -> Vec<Member>;
    /// How many are in each of these rooms; empty rooms are absent.
    async fn counts(&self, classrooms: Vec<ClassroomId>) -> Vec<(ClassroomId, u64)>;
    /// Delivers an event; returns its sequence number and how many members it was sent to.
    async fn publish(&self, classroom: ClassroomId, event: Publication) -> (i64, u64);
    /// Ends a session as `replaced`; false when there is none.
    async fn close(&self, classroom: ClassroomId, agent_id: String) -> bool;
    /// Who was in the room at any time in `from..to`, by agent and time.
    async fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault>;
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

/// What operators look at.
pub trait Observatory {
    /// All counters and gauges, in the OpenMetrics text format.
    fn metrics(&self) -> String;
    /// Whether this node should be sent work; if not, every reason, a line each.
    fn ready(&self) -> Result<(), Vec<String>>;
}
