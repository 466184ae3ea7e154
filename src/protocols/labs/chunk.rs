//! Bytes on their way through a tunnel: copied once, out of the buffer that they were read into, and sent from where they lie then.

use crate::websocket::frame::{Header, Opcode};
use std::ops::Range;

/// Before the payload there is room for the longest header of a frame (10 bytes) and ours ([`proxy_frames`](super::proxy_frames), 5).
const HEADROOM: usize = 16;

/// Bytes with room in front. Whoever sends them writes the header there, so that a frame leaves in one piece and nothing is moved.
#[derive(Clone, Debug)]
pub struct Chunk(Vec<u8>);

/// A whole frame, or several, that lie somewhere in a buffer: a [`Segment`](crate::realtime::outbox::Segment) is made of it without a copy.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The buffer. What is in it outside of `range` is not to be sent.
    pub buffer: Vec<u8>,
    /// The frame.
    pub range: Range<u32>,
}

impl Chunk {
    /// Copies bytes. They are below 4 GiB, as the limits of messages are.
    pub fn copied(bytes: &[u8]) -> Chunk {
        let mut buffer = Vec::with_capacity(HEADROOM + bytes.len());
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(bytes);
        Chunk(buffer)
    }

    /// What `write` appends.
    pub fn written<E>(capacity: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Chunk, E> {
        let mut buffer = Vec::with_capacity(HEADROOM + capacity);
        buffer.resize(HEADROOM, 0);
        write(&mut buffer)?;
        Ok(Chunk(buffer))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.get(HEADROOM..).unwrap_or_default()
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len().saturating_sub(HEADROOM)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts more bytes behind.
    pub fn append(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// As a binary frame, with `prefix` (at most six bytes) before the bytes.
    pub fn framed(self, prefix: &[u8]) -> Wire {
        let Chunk(mut buffer) = self;
        let header = Header::new(Opcode::Binary, buffer.len() - HEADROOM + prefix.len());
        let begin = HEADROOM - prefix.len() - header.len();
        buffer[begin..begin + header.len()].copy_from_slice(&header);
        buffer[HEADROOM - prefix.len()..HEADROOM].copy_from_slice(prefix);
        let end = buffer.len() as u32;
        Wire { buffer, range: begin as u32..end }
    }
}

impl Wire {
    /// A buffer that is a whole frame.
    pub fn whole(buffer: Vec<u8>) -> Wire {
        let end = buffer.len() as u32;
        Wire { buffer, range: 0..end }
    }

    /// The frame.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.range.start as usize..self.range.end as usize]
    }
}

impl PartialEq for Chunk {
    fn eq(&self, other: &Chunk) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Chunk {}

/// Wires are equal when they say the same.
impl PartialEq for Wire {
    fn eq(&self, other: &Wire) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Wire {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::frame;

    #[test]
    fn a_framed_chunk_is_the_frame_of_prefix_and_bytes_and_is_not_moved() {
        for length in [0, 1, 119, 120, 121, 125, 126, 65_529, 65_530, 65_531, 65_536, 200_000] {
            for prefix in [&b""[..], b"12345", b"123456"] {
                let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
                let chunk = Chunk::copied(&bytes);
                assert_eq!((chunk.bytes(), chunk.len(), chunk.is_empty()), (&bytes[..], length, length == 0));
                let place = chunk.bytes().as_ptr();
                let wire = chunk.framed(prefix);
                let mut expected = Vec::new();
                frame::encode(&mut expected, Opcode::Binary, &[prefix, &bytes].concat());
                assert_eq!(wire.bytes(), expected);
                assert_eq!(wire.bytes()[expected.len() - length..].as_ptr(), place);
            }
        }
    }

    #[test]
    fn bytes_are_appended_and_written() {
        let mut chunk = Chunk::copied(b"ab");
        chunk.append(b"cd");
        let written: Result<Chunk, ()> = Chunk::written(2, |out| {
            out.extend_from_slice(b"abcd");
            Ok(())
        });
        assert_eq!(written, Ok(chunk));
        assert_eq!(Chunk::written(2, |_| Err(())), Err(()));
        assert_eq!(Wire::whole(b"x".to_vec()).bytes(), b"x");
    }
}
