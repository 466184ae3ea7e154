//! The contract, example by example and code by code, against a house in memory.

mod access;
mod approvals;
mod limits;
mod messages;
mod say;
mod sessions;
mod stream;
