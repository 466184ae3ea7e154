//! The bytes of packets and letters, in rkyv.
//!
//! A message on the bus: version (2 bytes), checksum (8 bytes) of all that follows, the [`Header`](super::link::Header), the body.
//! Numbers are little endian and nothing is aligned, so bytes are read where the bus left them. The body of a packet, or the bodies of
//! several put together, are the [`Letters`] of one turn. Both are checked before they are read: whatever a message holds, reading it
//! ends in a value or an [`Unreadable`].

mod letters;
mod packet;
#[cfg(test)]
mod tests;

pub use letters::{Addressed, Letters, read_letters};
pub use packet::{read_packet, write_packet};

use rkyv::rancor::Failure;

/// The version of all forms. It rises with every change of a type that goes over the bus; nodes of two versions do not understand each
/// other.
pub const VERSION: u16 = 4;
/// The largest message that is read.
pub const MESSAGE_BYTES_AT_MOST: usize = 1 << 20;
/// The largest body of letters that is read or written. What is read of one takes less than ten times as much.
pub const LETTERS_BYTES_AT_MOST: usize = 32 << 20;
/// The most letters of one body: a letter of a few bytes takes some hundred when it is read.
pub const LETTERS_AT_MOST: usize = 1 << 14;

const _: () = {
    let limits = super::Limits::DEFAULT;
    assert!(limits.piece_bytes + packet::FRONT_BYTES <= MESSAGE_BYTES_AT_MOST);
    assert!(limits.letter_bytes == LETTERS_BYTES_AT_MOST);
};

/// Why bytes from the bus were not taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unreadable {
    /// They are of this version, and we are of another.
    Version(u16),
    /// They are more than anyone of us sends.
    TooLong,
    /// They end too soon, or something in them cannot be.
    Damaged,
}

/// More than one body may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

impl From<Failure> for Unreadable {
    fn from(_: Failure) -> Unreadable {
        Unreadable::Damaged
    }
}
