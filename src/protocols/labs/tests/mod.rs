//! The registry beside a store and agents that the tests are.

mod absence;
mod admission;
mod agent_socket;
mod agents;
mod beginnings;
mod commands;
mod dialect;
mod ends;
mod follower_socket;
mod followers;
mod idleness;
mod moves;
mod random;
mod shelf;
mod speech;
mod tunnel_random;
mod viewer_socket;
mod viewers;
mod world;
