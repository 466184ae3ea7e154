//! Labs: desktops for students, run by agents and watched through the control plane.
//!
//! One home, the *registry*, decides everything about agents, sessions and commands: which agent has a place, what a session may become, which
//! command is sent again. It decides against what is on disk, writes ([`record`]), and only then tells. Bytes of a screen never meet it: a
//! tunnel goes from the agent's connection to the viewer's, on whichever shards they are.
//! Contract: REST under `/api/v1`, the agents' socket, the viewers' socket.

pub mod asks;
pub mod idle;
pub mod letters;
pub mod limits;
pub mod model;
pub mod record;
pub mod registry;
pub mod settings;

pub use letters::{FromRegistry, ToRegistry, TunnelWord};
pub use limits::Limits;
pub use model::{AgentName, CommandId, ProxyId, SessionId, UserId};
pub use registry::{Levels, Outcome, Registry};
pub use settings::Settings;
