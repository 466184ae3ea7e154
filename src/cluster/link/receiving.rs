//! What comes in under one pair: in order, each once.

use super::{Header, Limits, Nonsense};
use crate::realtime::Moment;
use bytes::{Bytes, BytesMut};

/// What became of a packet with letters.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Taken {
    /// It is a body, or its last piece.
    Whole(Bytes),
    /// More of the body comes.
    Piece,
    /// It came before.
    Doubled,
    /// Something before it did not come.
    Early,
}

#[derive(Debug)]
pub(super) struct Receiving {
    limits: Limits,
    /// The last that came.
    last: u64,
    /// What came of a body that is not whole; it has room for all of it.
    pieces: BytesMut,
    /// How much of it is to come.
    following: usize,
    /// When what came is acknowledged at the latest; none: nothing is owed.
    owed_at: Option<Moment>,
    owed_bytes: usize,
    owed_packets: usize,
    /// Behind which place we asked for what is missing, and when.
    asked: Option<(u64, Moment)>,
}

impl Receiving {
    pub(super) fn new(limits: Limits) -> Receiving {
        Receiving {
            limits,
            last: 0,
            pieces: BytesMut::new(),
            following: 0,
            owed_at: None,
            owed_bytes: 0,
            owed_packets: 0,
            asked: None,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.pieces.len()
    }

    /// The place up to which all has come.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn take(&mut self, header: &Header, body: Bytes, now: Moment) -> Result<Taken, Nonsense> {
        if header.sequence <= self.last {
            self.owe(now);
            return Ok(Taken::Doubled);
        }
        if header.sequence > self.last + 1 {
            return Ok(Taken::Early);
        }
        let following = header.following as usize;
        let is_next = self.following == 0 || self.following == body.len() + following;
        if body.is_empty() || !is_next || self.pieces.len() + body.len() + following > self.limits.letter_bytes {
            return Err(Nonsense);
        }
        self.last = header.sequence;
        self.asked = None;
        self.owed_bytes += body.len();
        self.owed_packets += 1;
        self.owe(now);
        Ok(self.put_together(body, following))
    }

    /// Whether to ask for what is missing now: once for each gap, and again when it stays.
    pub(super) fn asks(&mut self, now: Moment) -> bool {
        let again = self.limits.ask_again_after;
        let asks = self.asked.is_none_or(|(last, at)| last != self.last || at + again <= now);
        if asks {
            self.asked = Some((self.last, now));
        }
        asks
    }

    /// When an acknowledgement is due that nothing carried before.
    pub(super) fn owed_at(&self) -> Option<Moment> {
        self.owed_at
    }

    /// Whether so much is unacknowledged that the sender may soon be at its bound.
    pub(super) fn owes_now(&self) -> bool {
        self.owed_bytes * 4 >= self.limits.flight_bytes || self.owed_packets * 4 >= self.limits.flight_packets
    }

    /// A packet has gone out, and with it our acknowledgement.
    pub(super) fn paid(&mut self) {
        self.owed_at = None;
        self.owed_bytes = 0;
        self.owed_packets = 0;
    }

    fn owe(&mut self, now: Moment) {
        self.owed_at.get_or_insert(now + self.limits.acknowledge_after);
    }

    /// A body that came in one piece is not copied.
    fn put_together(&mut self, body: Bytes, following: usize) -> Taken {
        self.following = following;
        if following == 0 && self.pieces.is_empty() {
            return Taken::Whole(body);
        }
        if self.pieces.is_empty() {
            self.pieces.reserve(body.len() + following);
        }
        self.pieces.extend_from_slice(&body);
        if following > 0 { Taken::Piece } else { Taken::Whole(std::mem::take(&mut self.pieces).freeze()) }
    }
}
