//! What happens to the sockets of labs, and what they want done. The machines are [`Agent`](super::Agent), [`Viewer`](super::Viewer) and
//! [`Follower`](super::Follower).

use super::{
    admission::Denial,
    chunk::{Chunk, Wire},
    letters::{FromRegistry, ToRegistry, TunnelWord},
    model::ProxyId,
};
use crate::realtime::ConnId;
use std::time::Duration;

/// What happens to a connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message; of a viewer perhaps a piece of one.
    Binary(Chunk),
    /// A Pong, whatever it carries.
    Pong,
    /// The time set by [`Effect::Timer`] has come.
    TimerFired,
    /// A letter from the registry.
    Registry(FromRegistry),
    /// A letter from the other end of a tunnel.
    Tunnel {
        /// Whose.
        from: ConnId,
        /// Which.
        proxy: ProxyId,
        /// What.
        word: TunnelWord,
    },
    /// A send of the connection's has left. Where that is not told, nobody ever gets credit.
    Sent {
        /// Bytes that wait for the socket still, whoever gave them, those in flight included.
        waiting: usize,
    },
    /// The token that the viewer came with is good no longer.
    Revoked,
    /// The socket is over, or is about to be closed for any reason, [`Effect::End`] and [`Effect::Refuse`] included. Comes once, and
    /// nothing after it. A letter that finds no connection any more is answered with [`late`].
    Gone,
}

/// What a connection wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Effect {
    /// Send this frame.
    Send(Wire),
    /// Send an empty Ping ([`crate::websocket::frame::PING`]).
    Ping,
    /// Replace the connection's one timer; `None` cancels it.
    Timer(Option<Duration>),
    /// To the registry.
    Registry(ToRegistry),
    /// To the other end of a tunnel; letters from one connection to another are delivered in their order.
    Tunnel {
        /// Whose.
        to: ConnId,
        /// Which.
        proxy: ProxyId,
        /// What.
        word: TunnelWord,
    },
    /// Answer the upgrade. Before it nothing is sent, and nothing that the peer says is heard.
    Accept,
    /// Answer the upgrade with this instead. [`Event::Gone`] is expected.
    Refuse(Denial),
    /// Read no more from the socket. What was read already may still be told: one buffer's messages.
    Pause,
    /// Read again.
    Resume,
    /// Send a Close and end the connection. [`Event::Gone`] is expected, and nothing else is sent.
    End(Farewell),
}

/// Why a connection is ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Farewell {
    /// The agent ended the tunnel, or the session stopped.
    Over,
    /// No Pong in time.
    NoPong,
    /// The agent did not register in time, or said something else first.
    NotRegistered,
    /// The agent's `register` is not that of the agent whom the query named, or is malformed.
    BadRegister,
    /// The registry does not take the agent.
    Unknown,
    /// The registry has no room for the agent.
    Full,
    /// The registry does not answer.
    Unanswered,
    /// Another connection took over.
    Displaced,
    /// The token is good no longer.
    Revoked,
    /// Too many messages, one after the other, that mean nothing.
    Nonsense,
    /// A viewer sent text.
    Text,
    /// The agent left.
    AgentGone,
    /// The agent's end of the tunnel broke.
    Broken,
    /// More bytes than the other end takes.
    TooMuch,
    /// The session whose log was followed is over.
    LogOver,
    /// Something may have been lost on its way between two nodes: whoever comes again misses nothing.
    Moved,
}

impl Farewell {
    /// The code of the Close (RFC 6455, section 7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Farewell::Over | Farewell::LogOver => 1000,
            Farewell::Text => 1003,
            Farewell::NoPong
            | Farewell::NotRegistered
            | Farewell::BadRegister
            | Farewell::Unknown
            | Farewell::Displaced
            | Farewell::Revoked
            | Farewell::Nonsense => 1008,
            Farewell::AgentGone | Farewell::Broken => 1011,
            Farewell::Moved => 1012,
            Farewell::TooMuch | Farewell::Unanswered | Farewell::Full => 1013,
        }
    }

    /// The reason of the Close, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Farewell::Over => "the screen is closed",
            Farewell::Text => "binary frames only",
            Farewell::NoPong => "no pong in time",
            Farewell::NotRegistered => "register first, and in time",
            Farewell::BadRegister => "register does not fit the query, or is malformed",
            Farewell::Unknown => "this agent may not register",
            Farewell::Full => "as many agents are known as may be",
            Farewell::Unanswered => "the server is busy",
            Farewell::Displaced => "a newer connection took over",
            Farewell::Revoked => "the token was revoked",
            Farewell::Nonsense => "too many malformed messages",
            Farewell::AgentGone => "the agent left",
            Farewell::Broken => "the agent could not show the screen",
            Farewell::TooMuch => "too many bytes wait",
            Farewell::LogOver => "the session is over",
            Farewell::Moved => "come again",
        }
    }
}

/// What is owed for a letter of the registry that found no connection, or one that was told [`Event::Gone`]: a viewer that goes while it
/// asks, and an agent that goes while a viewer is sent to it, cannot know of the tunnel whose other end waits.
pub fn late(letter: &FromRegistry) -> Option<Effect> {
    match letter {
        FromRegistry::View { agent, proxy } => Some(Effect::Tunnel { to: *agent, proxy: *proxy, word: TunnelWord::Closed }),
        FromRegistry::Proxy { proxy, viewer, .. } => {
            Some(Effect::Tunnel { to: *viewer, proxy: *proxy, word: TunnelWord::agent_left() })
        }
        FromRegistry::Registered
        | FromRegistry::Unknown
        | FromRegistry::Full
        | FromRegistry::Unkept
        | FromRegistry::Displaced
        | FromRegistry::Noted
        | FromRegistry::Refused(_)
        | FromRegistry::ViewOver(_)
        | FromRegistry::Following
        | FromRegistry::Lines(_)
        | FromRegistry::LogOver => None,
    }
}
