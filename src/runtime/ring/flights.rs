//! Sends that the kernel has, or will have with the next submit.

use crate::{
    engine::{Segment, Send},
    realtime::ConnId,
};
use io_uring::{opcode, squeue, types::Fd};
use std::{collections::VecDeque, os::fd::RawFd};

/// One of them. What the kernel was given a pointer to lies in it, or in what it holds, and does not move until it is over.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) conn: ConnId,
    socket: RawFd,
    segment: Segment,
    /// What follows it.
    more: VecDeque<Segment>,
    vector: Option<Box<Vector>>,
    is_last: bool,
}

/// What of a flight is to be sent still, as the kernel wants it told.
struct Vector {
    message: libc::msghdr,
    parts: Vec<libc::iovec>,
}

impl std::fmt::Debug for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vector({} parts)", self.parts.len())
    }
}

impl Flight {
    pub(super) fn new(socket: RawFd, Send { conn, segment, more, is_last }: Send) -> Flight {
        Flight { conn, socket, segment, more: more.into(), vector: None, is_last }
    }

    /// The send of all that has not left. A broken peer raises no signal. The last one waits in the kernel for the FIN, and leaves with it.
    /// The flight must not be dropped before it is over.
    pub(super) fn entry(&mut self) -> squeue::Entry {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | if self.is_last { libc::MSG_MORE } else { 0 };
        if self.more.is_empty() {
            let bytes = self.segment.bytes();
            // The pointer stays good: the flight holds the batch until the completion, and a batch with two holders cannot be changed.
            return opcode::Send::new(Fd(self.socket), bytes.as_ptr(), bytes.len() as u32).flags(flags).build();
        }
        let parts = std::iter::once(&self.segment).chain(&self.more).map(|segment| {
            let bytes = segment.bytes();
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
        });
        let vector = self.vector.get_or_insert_with(|| Box::new(Vector { message: no_message(), parts: Vec::new() }));
        vector.parts.clear();
        vector.parts.extend(parts);
        vector.message.msg_iov = vector.parts.as_mut_ptr();
        vector.message.msg_iovlen = vector.parts.len();
        let message: *const libc::msghdr = &raw const vector.message;
        opcode::SendMsg::new(Fd(self.socket), message).flags(flags as u32).build()
    }

    /// So many bytes have left.
    pub(super) fn advance(&mut self, mut sent: usize) {
        loop {
            let own = sent.min(self.segment.range.len());
            self.segment.range.start += own as u32;
            sent -= own;
            if !self.segment.range.is_empty() {
                return;
            }
            let Some(next) = self.more.pop_front() else { return };
            self.segment = next;
        }
    }

    /// Whether all has left.
    pub(super) fn is_whole(&self) -> bool {
        self.segment.range.is_empty()
    }
}

/// To nobody in particular, of nothing.
fn no_message() -> libc::msghdr {
    // SAFETY: a C struct of numbers and pointers, for which all zeros is the value that says so.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::ShardId;

    fn segment(text: &str) -> Segment {
        Segment::whole(text.as_bytes().to_vec()).unwrap()
    }

    fn left(flight: &Flight) -> String {
        let parts = std::iter::once(&flight.segment).chain(&flight.more);
        parts.map(|segment| String::from_utf8_lossy(segment.bytes()).into_owned()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn what_was_sent_in_part_goes_on_from_there() {
        let conn = ConnId { shard: ShardId(0), generation: 0, slot: 0 };
        let send = |more| Send { conn, segment: segment("abc"), more, is_last: false };
        let mut flight = Flight::new(0, send(vec![segment("de"), segment("f")]));
        for (sent, rest) in [(0, "abc|de|f"), (2, "c|de|f"), (1, "de|f"), (1, "e|f"), (2, "")] {
            assert!(!flight.is_whole());
            flight.advance(sent);
            assert_eq!(left(&flight), rest);
        }
        assert!(flight.is_whole());
        let mut flight = Flight::new(0, send(vec![segment("de")]));
        flight.advance(5);
        assert!(flight.is_whole());
    }
}
