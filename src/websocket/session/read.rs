//! The bytes of a message that is not whole, as far as another session needs them to go on in place of this one.

/// As much of a message is kept: more than clients say at a time to those whose connections are carried. Whoever is in the midst of a
/// longer one cannot be gone on with.
const BYTES: usize = 1 << 10;

/// See the file.
#[derive(Debug, Default)]
pub(super) struct Read {
    bytes: Vec<u8>,
    /// Where the last frame of the message ended.
    frames: usize,
    is_torn: bool,
}

impl Read {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.is_torn |= self.bytes.len() + bytes.len() > BYTES;
        if self.is_torn {
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// A control frame was heard, and is not to be heard again.
    pub(super) fn frame_ends(&mut self, is_control: bool) {
        if is_control {
            self.bytes.truncate(self.frames);
        } else {
            self.frames = self.bytes.len();
        }
    }

    /// None: it is more than is kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (!self.is_torn).then_some(&self.bytes)
    }
}
