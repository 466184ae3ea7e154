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

    /// A header and its payload, in one allocation.
    pub fn from_parts(header: &[u8], payload: &[u8]) -> Frame {
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, header.len() + payload.len()).collect();
        if let Some(bytes) = Arc::get_mut(&mut bytes) {
            let (front, back) = bytes.split_at_mut(header.len());
            front.copy_from_slice(header);
            back.copy_from_slice(payload);
        }
        Frame(bytes)
    }
}

impl Deref for Frame {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
