//! What the chat routes ask of the rest of the house. The runtime fulfils it; tests fulfil it from memory.

use super::pipe::Tellings;
use crate::{
    models::Catalog,
    protocols::{
        chat::{
            Ask, Payer, Reply, Row, SessionId, Settings,
            model::{Caller, Session},
            record::{History, Listed, Page, Part, SessionFilter, Waiting},
        },
        labs::{
            model::{User, UserId},
            record::Login,
        },
    },
    realtime::{Counted, StoreFault, UnixMicros},
};
use std::{future::Future, sync::Arc, time::Duration};

/// The homes of sessions, and of limits. Futures stay on their shard, so they need not be `Send`.
#[allow(async_fn_in_trait)]
pub trait Sessions {
    /// Asks the session's home anything but [`Ask::Say`] and [`Ask::Leave`].
    async fn ask(&self, ask: Ask) -> Reply;
    /// Asks it [`Ask::Say`]: each [`Told`](crate::protocols::chat::Told) goes into a [`pipe`](super::pipe::pipe) as it comes, and its
    /// [`Teller`](super::pipe::Teller) is dropped after the last. One that takes no more needs nothing done but to be dropped: whoever
    /// listens calls [`Sessions::leave`].
    fn say(&self, ask: Ask) -> Tellings;
    /// Sends [`Ask::Leave`], which nobody answers.
    fn leave(&self, leave: Ask);
    /// Counts a request, at the home of its payer ([`Payer::bytes`]).
    async fn count(&self, payer: Payer, row: Row) -> Result<Counted, StoreFault>;
    /// Times and sizes.
    fn settings(&self) -> &Settings;
    /// Who is there to talk to.
    fn catalog(&self) -> &Catalog;
}

/// What is on disk, to look at: each as the store reads it, on a thread that may wait.
#[allow(async_fn_in_trait)]
pub trait Library {
    /// A user by their address, and what they sign in with, whether they may or not.
    async fn login(&self, email: String) -> Result<Option<Login>, StoreFault>;
    /// Sessions that the filter lets through, newest first.
    async fn sessions(&self, filter: SessionFilter, page: Page) -> Result<Listed<Session>, StoreFault>;
    /// One of them.
    async fn session(&self, session: SessionId) -> Result<Option<Session>, StoreFault>;
    /// A part of what was said. None: its cursor is not a message of the session.
    async fn messages(&self, history: History) -> Result<Option<Part>, StoreFault>;
    /// Approvals of any session that wait at that time, the oldest first.
    async fn waiting_approvals(&self, now: UnixMicros, limit: u32) -> Result<Vec<Waiting>, StoreFault>;
}

/// What requests prove themselves with.
#[allow(async_fn_in_trait)]
pub trait Credentials {
    /// Whose token (JWT) it is, checked now: signed by our key, not past its end, not revoked. None: it is no good.
    fn caller(&self, token: &str) -> Option<Caller>;
    /// A new token for a user.
    fn issue(&self, user: &User) -> Result<Issued, StoreFault>;
    /// Has it written down that a user has signed in now.
    async fn signed_in(&self, user: UserId) -> Result<(), StoreFault>;
    /// Whether the password is the one behind `known`, a PHC string; without one it is not, which takes as long to say. On a thread that
    /// may wait. [`StoreFault::Busy`]: too many are being checked.
    async fn check(&self, password: String, known: Option<Arc<str>>) -> Result<bool, StoreFault>;
}

/// A token that was issued. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// A JWT.
    pub token: String,
    /// How long it is good.
    pub expires_in: Duration,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Time that passes.
pub trait Pauses {
    /// Is ready after so long.
    fn pause(&self, length: Duration) -> impl Future<Output = ()> + 'static;
}

/// What cannot be foreseen.
pub trait Chance {
    /// Fills `bytes` with randomness that is good for keys.
    fn fill(&self, bytes: &mut [u8]);
}
