//! Presence: who is in the classroom. Contract: one socket route, `connect_request`, `connect_success`, the named errors.

pub mod asks;
pub mod record;
