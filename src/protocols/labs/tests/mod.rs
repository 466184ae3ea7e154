//! The registry beside a store and agents that the tests are.

mod agents;
mod beginnings;
mod commands;
mod dialect;
mod ends;
mod idleness;
mod moves;
mod random;
mod shelf;
mod viewers;
mod world;
