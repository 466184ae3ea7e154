//! Bytes and sockets of the client: as few calls and copies as the work allows.

pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod line;
pub(crate) mod pipe;
pub(crate) mod poll;
pub(crate) mod rest;
pub(crate) mod socket;
pub(crate) mod tls;
