//! What the labs routes ask of the rest of the house. The runtime fulfils it; tests fulfil it from memory.

use crate::{
    auth::AgentKeyFault,
    protocols::labs::{
        asks::{Ask, Reply},
        model::{Role, Session, SessionId, Template, User, UserId},
        record::{Listed, Login, Page, SessionFilter},
    },
    realtime::{StoreFault, UnixMicros},
};
use std::sync::Arc;
use uuid::Uuid;

/// The registry, and the homes of limits. Futures stay on their shard, so they need not be `Send`.
#[allow(async_fn_in_trait)]
pub trait Registry {
    /// Asks the registry; [`Ask::Limit`] goes to the home of its key, and [`Ask::Keep`], which concerns none, is answered on this shard. A
    /// revoked token is known on every shard before the answer comes, and its sockets close within a second.
    async fn ask(&self, ask: Ask) -> Reply;
    /// The namespace that sessions are shown in.
    fn namespace(&self) -> &str;
}

/// What is on disk, to look at: each as the store reads it, on a thread that may wait.
#[allow(async_fn_in_trait)]
pub trait Library {
    /// A user and what they sign in with, whether they may or not.
    async fn login(&self, username: String) -> Result<Option<Login>, StoreFault>;
    /// One of the users.
    async fn user(&self, user: UserId) -> Result<Option<User>, StoreFault>;
    /// By name.
    async fn users(&self, role: Option<Role>, page: Page) -> Result<Listed<User>, StoreFault>;
    /// By name.
    async fn templates(&self, category: Option<String>, page: Page) -> Result<Listed<Template>, StoreFault>;
    /// One of them.
    async fn template(&self, name: String) -> Result<Option<Template>, StoreFault>;
    /// Sessions that the filter lets through, sorted as it says.
    async fn sessions(&self, filter: SessionFilter, page: Page) -> Result<Listed<Session>, StoreFault>;
    /// One of them, terminated or not.
    async fn session(&self, session: SessionId) -> Result<Option<Session>, StoreFault>;
}

/// What requests prove themselves with.
#[allow(async_fn_in_trait)]
pub trait Credentials {
    /// Whose token (JWT) it is, checked now: signed by our key, not past its end, not revoked.
    fn token(&self, token: &str) -> Result<Claims, TokenFault>;
    /// A new token for a user, good for 24 hours.
    fn issue(&self, user: &User) -> Result<Issued, StoreFault>;
    /// Whether the password is the one behind `known`, a PHC string; without one it is not, which takes as long to say. On a thread that
    /// may wait. [`StoreFault::Busy`]: too many are being checked.
    async fn check(&self, password: String, known: Option<Arc<str>>) -> Result<bool, StoreFault>;
    /// A password's hash as a PHC string, made on a thread that may wait.
    async fn hash(&self, password: String) -> Result<String, StoreFault>;
    /// Whether an agent comes in that shows this (`X-Agent-API-Key`). Where the operator has set no key, every one does.
    ///
    /// # Errors
    /// [`AgentKeyFault`]; see [`AgentKey::admits`](crate::auth::AgentKey::admits).
    fn admits(&self, agent_key: Option<&str>) -> Result<(), AgentKeyFault>;
}

/// What a good token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claims {
    /// The user's id.
    pub user: UserId,
    /// The user's name when it was issued.
    pub name: Arc<str>,
    /// The user's role when it was issued.
    pub role: Role,
    /// `jti`: what a revocation names.
    pub token: Uuid,
    /// `exp`.
    pub expires_at: UnixMicros,
}

/// Why a token is no good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFault {
    /// AUTH_TOKEN_INVALID: not ours, or revoked.
    Invalid,
    /// AUTH_TOKEN_EXPIRED: ours, and past its end.
    Expired,
    /// SERVICE_UNAVAILABLE: whether it was revoked is not known yet, since this node has just come to the others.
    Unknown,
}

/// A token that was issued. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// A JWT.
    pub token: String,
    /// Its `exp`.
    pub expires_at: UnixMicros,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What cannot be foreseen.
pub trait Chance {
    /// Fills `bytes` with randomness that is good for keys.
    fn fill(&self, bytes: &mut [u8]);
}
