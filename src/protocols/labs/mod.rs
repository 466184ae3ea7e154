//! Labs: desktops for students, run by agents and watched through the control plane.
//!
//! One home, the *registry*, decides everything about agents, sessions and commands: which agent has a place, what a session may become,
//! which command is sent again. It decides against what is on disk, writes ([`record`]), and only then tells. Bytes of a screen never meet
//! it: a tunnel goes from the agent's connection to the viewer's, on whichever shards they are.
//! Contract: REST under `/api/v1`, the agents' socket, the viewers' socket.

pub mod admission;
mod absence;
mod afloat;
pub mod agent;
pub mod agent_messages;
mod agents;
pub mod asks;
mod beginning;
mod choice;
pub mod chunk;
mod commands;
mod commits;
pub mod connection;
mod desk;
mod desktop;
pub mod dialect;
pub mod document;
mod early;
pub mod enrolment;
pub mod follower;
mod followers;
pub mod given;
mod host;
pub mod idle;
pub mod letters;
pub mod limits;
pub mod logs;
pub mod model;
mod moves;
mod names;
pub mod proxy_frames;
mod pulse;
pub mod record;
pub mod registry;
mod results;
mod returns;
mod revoked;
mod sessions;
pub mod settings;
pub mod standing;
mod tunnels;
pub mod viewer;
mod viewers;

pub use agent::Agent;
pub use chunk::{Chunk, Wire};
pub use connection::{Effect, Event, Farewell};
pub use follower::Follower;
pub use letters::{FromRegistry, ToRegistry, TunnelWord};
pub use limits::Limits;
pub use model::{AgentName, CommandId, ProxyId, SessionId, UserId};
pub use registry::{Levels, Outcome, Registry};
pub use revoked::{Revocation, Revoked};
pub use settings::Settings;
pub use standing::{Standing, Standings};
pub use viewer::Viewer;

#[cfg(test)]
mod tests;
