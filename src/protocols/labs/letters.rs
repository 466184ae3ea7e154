//! What sockets and the registry say to each other, and what the two ends of a tunnel do.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    asks::Ask,
    chunk::Chunk,
    model::{AgentName, Place, ProxyId, SessionId},
};
use crate::realtime::{ConnId, Frame, ShardId, UnixMicros};
use std::sync::Arc;

/// To the registry.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum ToRegistry {
    /// An agent has registered on this connection. Answered with [`FromRegistry::Registered`], [`FromRegistry::Unknown`],
    /// [`FromRegistry::Full`] or [`FromRegistry::Unkept`]; an older connection of the same agent gets [`FromRegistry::Displaced`]. What an
    /// agent says before the answer is not heard. Of two that wait the one that came later counts, in whatever order they are heard of.
    Register {
        /// Its connection.
        conn: ConnId,
        /// When that came.
        since: UnixMicros,
        /// What it said.
        hello: Box<Hello>,
    },
    /// A registered agent says something.
    Said {
        /// Its connection.
        conn: ConnId,
        /// Which.
        agent: AgentName,
        /// What.
        word: AgentWord,
    },
    /// A registered agent's connection is over. Sent once for each [`ToRegistry::Register`] that was not refused.
    AgentGone {
        /// Its connection.
        conn: ConnId,
        /// Which.
        agent: AgentName,
    },
    /// A registered agent's connection comes to a registry that does not know of it, or may not: that has moved here, or words were lost.
    /// Not answered, but its open commands are sent again; with [`FromRegistry::Displaced`] where another one took over.
    Resume {
        /// Its connection.
        conn: ConnId,
        /// Which.
        agent: AgentName,
        /// What the registry must know of it.
        back: Box<Return>,
    },
    /// A viewer wants to see a session. Answered with [`FromRegistry::View`] or [`FromRegistry::Refused`].
    View {
        /// Who asks.
        conn: ConnId,
        /// What.
        session: SessionId,
        /// Which user.
        user: Arc<str>,
        /// Whether they may see anyone's.
        admin: bool,
    },
    /// A viewer watches, and the registry does not know it, or may not. Answered only when it is to watch no more.
    Viewing {
        /// Who watches.
        conn: ConnId,
        /// What.
        session: SessionId,
        /// Through whose connection.
        agent: ConnId,
        /// Through which tunnel.
        proxy: ProxyId,
    },
    /// A viewer that asked is over. Sent once by each that was not refused.
    ViewerGone {
        /// Who.
        conn: ConnId,
        /// What.
        session: SessionId,
    },
    /// A viewer did something since the last time.
    Activity {
        /// Where.
        session: SessionId,
    },
    /// Somebody wants to follow a session's log. Answered with [`FromRegistry::Following`] or [`FromRegistry::Refused`].
    Follow {
        /// Who asks.
        conn: ConnId,
        /// Of which session.
        session: SessionId,
        /// Which user.
        user: Arc<str>,
        /// Whether they may see anyone's.
        admin: bool,
        /// How many lines of those that are there already, at most.
        tail: u32,
    },
    /// A follower that asked is over. Sent once by each that was not refused.
    FollowerGone {
        /// Who.
        conn: ConnId,
        /// Of which session.
        session: SessionId,
    },
    /// A question from REST.
    Ask {
        /// On which shard the answer is awaited.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// What is asked.
        ask: Box<Ask>,
    },
}

impl ToRegistry {
    /// Whose connection it is about; none: nobody's.
    pub fn conn(&self) -> Option<ConnId> {
        match self {
            ToRegistry::Register { conn, .. }
            | ToRegistry::Said { conn, .. }
            | ToRegistry::AgentGone { conn, .. }
            | ToRegistry::Resume { conn, .. }
            | ToRegistry::View { conn, .. }
            | ToRegistry::Viewing { conn, .. }
            | ToRegistry::ViewerGone { conn, .. }
            | ToRegistry::Follow { conn, .. }
            | ToRegistry::FollowerGone { conn, .. } => Some(*conn),
            ToRegistry::Activity { .. } | ToRegistry::Ask { .. } => None,
        }
    }
}

/// See [`ToRegistry::Resume`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Return {
    /// In which its commands are to be.
    pub dialect: Dialect,
    /// When it registered: of two connections of one agent the later one is its own.
    pub since: UnixMicros,
    /// The newest tunnel that it was told of: those to come are above.
    pub newest: Option<ProxyId>,
    /// The tunnels that are open at its end.
    pub tunnels: Vec<ProxyId>,
}

/// How an agent speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Dialect {
    /// As the contract has it: `/agent/ws`.
    #[default]
    Contract,
    /// As the agents in the field do: `/api/v1/agents/connect`.
    Field,
}

/// What an agent said of itself. Both dialects.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Hello {
    /// In which its commands are to be.
    pub dialect: Dialect,
    /// `agent_id`.
    pub name: AgentName,
    /// `platform`. Empty where it was said before, to [`Ask::Enrol`]: then everything stays as it was said there, and an agent that did not
    /// enrol is [`FromRegistry::Unknown`].
    pub platform: Arc<str>,
    /// `region`; may be empty.
    pub region: Arc<str>,
    /// What it can hold.
    pub capacity: Capacity,
    /// A JSON object.
    pub metadata: Arc<str>,
}

/// What an agent can hold, as far as it said.
#[derive(Clone, Copy, PartialEq, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Capacity {
    /// Sessions.
    pub max_sessions: Option<u32>,
    /// Cores.
    pub max_cpu: Option<f64>,
    /// GiB.
    pub max_memory: Option<f64>,
    /// Sessions that it runs.
    pub current_sessions: Option<u32>,
}

/// What a registered agent says, in either dialect.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum AgentWord {
    /// It lives.
    Heartbeat(Capacity),
    /// It has got a command, named as the frame named it.
    Acknowledged {
        /// Such as `cmd-0123456789ab`.
        command: String,
    },
    /// It has done it.
    Completed {
        /// Which.
        command: String,
        /// Where the session runs now.
        place: Box<Place>,
    },
    /// It has not.
    Failed {
        /// Which.
        command: String,
        /// Why, for people.
        error: String,
    },
    /// How a session is, unasked: what survived the agent's restart, what died.
    Status {
        /// Which.
        session: SessionId,
        /// Whether it runs.
        running: bool,
        /// Where.
        place: Box<Place>,
    },
    /// Lines of a session's log that were asked for.
    Logs {
        /// Of the question.
        request: u64,
        /// Oldest first.
        lines: Vec<String>,
    },
}

/// From the registry to one connection.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum FromRegistry {
    /// The agent is known: it is told so by its connection. Its commands follow as whole frames, delivered by themselves.
    Registered,
    /// Nobody enrolled the agent.
    Unknown,
    /// As many agents are known as may be, and it is not one of them: it is to come again.
    Full,
    /// The agent's registration could not be written: it is to come again.
    Unkept,
    /// Another connection of the same agent took over: close.
    Displaced,
    /// One [`AgentWord::Status`] more is on disk, or changes nothing: should the registry die now, it is not lost.
    Noted,
    /// The viewer may see. The agent's connection gets [`FromRegistry::Proxy`] before this is sent.
    View {
        /// Whose connection the bytes go through.
        agent: ConnId,
        /// The tunnel.
        proxy: ProxyId,
    },
    /// The viewer or the follower may not.
    Refused(ViewRefused),
    /// The follower may follow; lines come.
    Following,
    /// Lines of the log, oldest first.
    Lines(Arc<[String]>),
    /// The session is over; no more lines come.
    LogOver,
    /// Another viewer of the same session took over, the session stopped, or its agent left.
    ViewOver(ViewOver),
    /// To the agent's connection: a viewer comes.
    Proxy {
        /// The tunnel.
        proxy: ProxyId,
        /// Of which session.
        session: SessionId,
        /// Who views.
        viewer: ConnId,
        /// `vnc_proxy_request`, a whole frame, where the dialect has one. It is sent in the moment in which the tunnel is known: what
        /// the agent answers, or the viewer says last, comes neither too early nor too late.
        request: Option<Frame>,
    },
}

/// Why a viewer may not see, with its status.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum ViewRefused {
    /// 404.
    NoSession,
    /// 403.
    NotYours,
    /// 409.
    NotRunning,
    /// 503.
    AgentOffline,
}

/// Why a view ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum ViewOver {
    /// Another viewer came.
    Displaced,
    /// The session stopped.
    Stopped,
    /// The agent left.
    AgentGone,
}

/// From one end of a tunnel to the other, straight.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum TunnelWord {
    /// The agent's end is open, or was refused.
    Ready {
        /// None: open.
        error: Option<Box<str>>,
    },
    /// Bytes, in order. Not more than the other end has given credit for; at first that is
    /// [`tunnel_window`](super::Settings::tunnel_window).
    Bytes(Chunk),
    /// So many bytes have left; as many more may come.
    Credit(u32),
    /// This end is over.
    Closed,
}

impl TunnelWord {
    /// The agent's connection is over: its streams broke, nobody ended them.
    pub(super) fn agent_left() -> TunnelWord {
        TunnelWord::Ready { error: Some("the agent left".into()) }
    }
}
