//! A message as it stands on the wire, encoded once and shared by every listener on every shard.

use std::{ops::Deref, sync::Arc};

/// Whole WebSocket frames, header included, ready to be sent. Cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame(Arc<[u8]>);

impl Frame {
    /// Takes bytes that already are one or more whole frames (see `websocket::frame`).
    pub fn from_wire(bytes: &[u8]) -> Frame {
        Frame(bytes.into())
    }
}

impl Deref for Frame {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
