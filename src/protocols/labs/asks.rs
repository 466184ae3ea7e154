//! What the REST routes ask of the registry, and what it answers.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    letters::{Capacity, Hello},
    model::{Agent, AgentName, Resources, Session, SessionId, Template, UserId},
    record::{Kept, Record},
};
use crate::realtime::StoreFault;
use std::sync::Arc;

/// A question to the registry; [`Ask::Keep`] and [`Ask::Limit`] have homes of their own.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Ask {
    /// Write what does not concern the registry: users, templates, revoked tokens. Answered on the shard that asks.
    Keep(Record),
    /// One more request under a limit. Answered by the home of the key, so that a window is one over all cores.
    Limit {
        /// Who: a user's id or an address.
        key: LimitKey,
        /// Which window.
        window: Window,
    },
    /// A new session. The template is known to be there.
    Create(Box<Creation>),
    /// What is to become of a session.
    Move {
        /// Which.
        session: SessionId,
        /// Who asks.
        caller: Caller,
        /// What it is to become.
        to: Target,
    },
    /// One session as it is now.
    Look {
        /// Which.
        session: SessionId,
        /// Who asks.
        caller: Caller,
    },
    /// The last lines of a session's log.
    Logs {
        /// Which.
        session: SessionId,
        /// Who asks.
        caller: Caller,
        /// How many lines at most.
        tail: u32,
    },
    /// Every agent, with what runs there.
    Agents,
    /// An agent says by HTTP what it is; it will connect later, or is connected.
    Enrol(Box<Hello>),
    /// An agent says by HTTP that it lives.
    Pulse {
        /// Which.
        agent: AgentName,
        /// What it can hold, as far as it said.
        capacity: Capacity,
    },
    /// Whether an agent takes new sessions.
    Drain {
        /// Which.
        agent: AgentName,
        /// True: no.
        draining: bool,
    },
    /// An agent is to be forgotten.
    Forget {
        /// Which.
        agent: AgentName,
    },
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Caller {
    /// The user's id.
    pub id: UserId,
    /// The user's name.
    pub name: Arc<str>,
    /// Whether all sessions are theirs.
    pub admin: bool,
}

/// What a limit is counted by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum LimitKey {
    /// Someone signed in.
    User(UserId),
    /// Someone who is not: their address, IPv4 mapped into IPv6.
    Address(u128),
}

/// The windows of a minute: those of the contract, and one for agents, of which it does not speak.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Window {
    /// `POST /auth/login`.
    Login,
    /// `POST /sessions`.
    Create,
    /// Agents that register or say by HTTP that they live: apart from people who share an address with them.
    Agent,
    /// All else.
    Other,
}

/// See [`Ask::Create`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Creation {
    /// The new id.
    pub session: SessionId,
    /// Six hexadecimal digits each, for the name: tried in turn.
    pub suffixes: [[u8; 3]; 4],
    /// Whose it will be. Known to be a user whom the caller may create for.
    pub user: Arc<str>,
    /// From what.
    pub template: Box<Template>,
    /// Where; none: anywhere.
    pub platform: Option<Arc<str>>,
    /// Where; none: anywhere.
    pub region: Option<Arc<str>>,
    /// Whether it is to sleep as soon as it runs.
    pub hibernated: bool,
    /// What it may use.
    pub resources: Resources,
    /// Whether its home is kept.
    pub persistent_home: bool,
    /// Checked.
    pub idle_timeout: String,
    /// As given.
    pub tags: Vec<String>,
}

/// What a session can be asked to become.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Target {
    /// Awake.
    Running,
    /// Asleep.
    Hibernated,
    /// Stopped by its agent.
    Terminating,
    /// Over at once, whatever its agent says. Of an admin, or DELETE with force.
    Terminated,
}

/// The registry's answer to an [`Ask`]: for each ask the variant that suits it, or [`Reply::Refused`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Reply {
    /// To [`Ask::Keep`].
    Kept(Kept),
    /// To [`Ask::Limit`].
    Limit {
        /// How many a window allows.
        limit: u32,
        /// How many are left, this one counted; none: this one was too many.
        remaining: Option<u32>,
        /// When the window ends, in seconds since 1970.
        reset: i64,
    },
    /// To [`Ask::Create`], [`Ask::Move`] and [`Ask::Look`].
    Session(Box<Session>),
    /// To [`Ask::Logs`].
    Logs(Vec<String>),
    /// To [`Ask::Agents`].
    Agents(Vec<AgentView>),
    /// To [`Ask::Drain`] and [`Ask::Pulse`]; to [`Ask::Forget`] as it was last.
    Agent(Box<AgentView>),
    /// To [`Ask::Enrol`].
    Enrolled {
        /// Whether nobody knew it before.
        new: bool,
        /// It.
        agent: Box<AgentView>,
    },
    /// No.
    Refused(Refused),
}

/// An agent as it is now.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct AgentView {
    /// As the store has it.
    pub agent: Agent,
    /// Its connection, as text for people; none: offline.
    pub connection: Option<String>,
    /// Since when it is connected, for `uptime_seconds`.
    pub connected_at: Option<crate::realtime::UnixMicros>,
    /// Sessions that have a place there: pending, running, waking, hibernating, terminating.
    pub sessions: Vec<Placed>,
}

/// A session that has a place: its id, name, user, template and state.
pub type Placed = (SessionId, String, Arc<str>, Arc<str>, super::model::State);

/// Why an [`Ask`] was not fulfilled. Nothing was written.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Refused {
    /// SESSION_NOT_FOUND, unless the store has it: the registry soon forgets sessions that are terminated.
    NoSession,
    /// AUTH_INSUFFICIENT_PERMISSIONS: another's.
    NotYours,
    /// AGENT_NOT_FOUND.
    NoAgent,
    /// AGENT_IN_USE: it is connected, has sessions, or owes the end of one.
    AgentInUse,
    /// AGENT_LIMIT_REACHED: as many agents are known as may be.
    TooManyAgents,
    /// NO_AGENTS_AVAILABLE: none is online for the platform, or all that are drain.
    NoAgents,
    /// AGENT_CAPACITY_EXCEEDED: all that are online are full.
    Full,
    /// AGENT_OFFLINE: the session's own agent is not there.
    AgentOffline,
    /// INVALID_STATE_TRANSITION, from this state.
    NoSuchMove(super::model::State),
    /// SESSION_TERMINATING.
    Terminating,
    /// SESSION_ALREADY_EXISTS: every name that was tried is taken.
    Taken,
    /// SESSION_PROVISIONING_FAILED, or another command failed: the agent's words.
    Failed(String),
    /// The store did not do its part.
    Store(StoreFault),
}
