//! Bytes on their way through a tunnel: copied once, out of the buffer that they were read into, and sent from where they lie then.

use crate::websocket::frame::{Header, Opcode};
use rkyv::{
    Archive, Deserialize, Place, Serialize,
    rancor::Fallible,
    ser::{Allocator, Writer},
    vec::{ArchivedVec, VecResolver},
};
use std::ops::Range;

/// Before the payload there is room for the longest header of a frame (10 bytes) and ours ([`proxy_frames`](super::proxy_frames), 5).
pub const HEADROOM: usize = 16;

/// Bytes with room in front. Whoever sends them writes the header there, so that a frame leaves in one piece and nothing is moved.
#[derive(Clone, Debug)]
pub struct Chunk {
    buffer: Vec<u8>,
    /// Where the bytes begin: at [`HEADROOM`] or behind it.
    start: usize,
}

/// A whole frame, or several, that lie somewhere in a buffer: a [`Segment`](crate::realtime::outbox::Segment) is made of it without a copy.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The buffer. What is in it outside of `range` is not to be sent.
    pub buffer: Vec<u8>,
    /// The frame.
    pub range: Range<u32>,
}

impl Chunk {
    /// A buffer with room in front: the bytes begin at [`HEADROOM`].
    pub fn received(buffer: Vec<u8>) -> Chunk {
        debug_assert!(buffer.len() >= HEADROOM, "there is room in front");
        Chunk { buffer, start: HEADROOM }
    }

    /// The same without the first `length` bytes, which are not moved: there is more room in front then.
    pub fn without_first(self, length: usize) -> Chunk {
        let start = (self.start + length).min(self.buffer.len());
        Chunk { start, ..self }
    }

    /// Copies bytes. They are below 4 GiB, as the limits of messages are.
    pub fn copied(bytes: &[u8]) -> Chunk {
        let mut buffer = Vec::with_capacity(HEADROOM + bytes.len());
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(bytes);
        Chunk::received(buffer)
    }

    /// What `write` appends.
    pub fn written<E>(capacity: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Chunk, E> {
        let mut buffer = Vec::with_capacity(HEADROOM + capacity);
        buffer.resize(HEADROOM, 0);
        write(&mut buffer)?;
        Ok(Chunk::received(buffer))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts more bytes behind.
    pub fn append(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// As a binary frame, with `prefix` (at most six bytes) before the bytes.
    pub fn framed(self, prefix: &[u8]) -> Wire {
        let Chunk { mut buffer, start } = self;
        let header = Header::new(Opcode::Binary, buffer.len() - start + prefix.len());
        let begin = start - prefix.len() - header.len();
        buffer[begin..begin + header.len()].copy_from_slice(&header);
        buffer[start - prefix.len()..start].copy_from_slice(prefix);
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

impl Archive for Chunk {
    type Archived = ArchivedVec<u8>;
    type Resolver = VecResolver;

    fn resolve(&self, resolver: VecResolver, out: Place<ArchivedVec<u8>>) {
        ArchivedVec::resolve_from_slice(self.bytes(), resolver, out);
    }
}

impl<S: Fallible + Allocator + Writer + ?Sized> Serialize<S> for Chunk {
    fn serialize(&self, serializer: &mut S) -> Result<VecResolver, S::Error> {
        ArchivedVec::<u8>::serialize_from_slice(self.bytes(), serializer)
    }
}

impl<D: Fallible + ?Sized> Deserialize<Chunk, D> for ArchivedVec<u8> {
    fn deserialize(&self, _: &mut D) -> Result<Chunk, D::Error> {
        Ok(Chunk::copied(self))
    }
}

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
    fn what_was_received_goes_on_without_its_own_header_and_is_not_moved() {
        let received = [vec![0; HEADROOM], b"\x01\0\0\0\x07RFB".to_vec()].concat();
        let place = received[HEADROOM + 5..].as_ptr();
        let chunk = Chunk::received(received).without_first(5);
        assert_eq!((chunk.bytes(), chunk.len()), (&b"RFB"[..], 3));
        let wire = chunk.framed(&[]);
        assert_eq!(wire.bytes(), b"\x82\x03RFB");
        assert_eq!(wire.bytes()[2..].as_ptr(), place);
        assert!(Chunk::copied(b"ab").without_first(5).is_empty());
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
