//! What labs keep, and what they read back. The store fulfils it.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    model::{Agent, AgentName, Command, Role, Session, SessionId, State, Template, User, UserId},
    standing::Standing,
};
use crate::realtime::UnixMicros;
use std::sync::Arc;
use uuid::Uuid;

/// One change. All are fulfilled in the order in which they were asked.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Record {
    /// What the registry changed, all of it or nothing. Each row is whole: it is new or takes the place of the one with its id.
    Change(Box<Change>),
    /// An agent less.
    NoAgent {
        /// Its own id.
        agent: Uuid,
    },
    /// Viewers did something.
    Activity {
        /// Where.
        session: SessionId,
        /// When.
        at: UnixMicros,
    },
    /// A new user; a name that is there already is answered [`Kept::Taken`].
    NewUser {
        /// Who.
        user: User,
        /// PHC string.
        password_hash: String,
    },
    /// A user changes; what is none stays.
    EditedUser {
        /// Who.
        user: UserId,
        /// The address.
        email: Option<String>,
        /// What they may.
        role: Option<Role>,
        /// Whether they may sign in.
        active: Option<bool>,
        /// PHC string.
        password_hash: Option<String>,
        /// When they last signed in.
        last_login: Option<UnixMicros>,
    },
    /// A new template ([`Kept::Taken`] when the name is there and `replace` is false), or another one of the same name.
    Template {
        /// All of it. Where it replaces one, id and `created_at` of that stay.
        template: Box<Template>,
        /// Whether it may take another's place.
        replace: bool,
    },
    /// A template less.
    NoTemplate {
        /// Its name.
        name: String,
    },
    /// A token is good no more. Forgotten when it would have expired.
    Revoked {
        /// `jti`.
        token: Uuid,
        /// Its `exp`.
        expires_at: UnixMicros,
    },
}

/// See [`Record::Change`].
#[derive(Clone, PartialEq, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Change {
    /// New or changed.
    pub agent: Option<Agent>,
    /// New or changed. Another session with this name is answered [`Kept::Taken`].
    pub session: Option<Session>,
    /// New or changed.
    pub command: Option<Command>,
}

/// What the store answers to a [`Record`] that was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Kept {
    /// It is on disk.
    Done,
    /// What it was to change is not there; nothing was written.
    Missing,
    /// The name is another's; nothing was written.
    Taken,
}

/// All that the registry and the shards must know at their beginning.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Loaded {
    /// Every agent.
    pub agents: Vec<Agent>,
    /// Every session that is not terminated.
    pub sessions: Vec<Session>,
    /// Every command that is neither completed nor failed.
    pub commands: Vec<Command>,
    /// Admins, and those who may not sign in, by id.
    pub standings: Vec<Standing>,
}

/// What every shard must know of users and their tokens.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rights {
    /// As those of [`Loaded`].
    pub standings: Vec<Standing>,
    /// Tokens that are good no more though they have not expired, with when they do.
    pub revoked: Vec<(Uuid, UnixMicros)>,
}

/// What a list of sessions is sorted by; then by id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SortBy {
    /// `created_at`.
    #[default]
    Created,
    /// `updated_at`.
    Updated,
    /// `user`.
    User,
    /// `state`, by its name on the wire.
    State,
}

/// Which sessions. Several states because one name on the wire can be several of them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SessionFilter {
    /// Whose.
    pub user: Option<String>,
    /// From which template.
    pub template: Option<String>,
    /// On which platform.
    pub platform: Option<String>,
    /// Run by whom.
    pub agent: Option<AgentName>,
    /// In any of these; empty: in any.
    pub states: Vec<State>,
    /// With all of these.
    pub tags: Vec<String>,
    /// Sorted.
    pub sort: SortBy,
    /// Downwards.
    pub descending: bool,
}

/// A part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// From 1.
    pub page: u32,
    /// 1 to 100.
    pub limit: u32,
}

/// A part of a list, and how long all of it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed<T> {
    /// The part.
    pub items: Vec<T>,
    /// The whole.
    pub total: u64,
}

/// A user with what they sign in with. `password_hash` is a PHC string, never shown.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Login {
    /// Who.
    pub user: User,
    /// Its hash.
    pub password_hash: Arc<str>,
}
