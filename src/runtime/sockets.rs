//! The shard's table of sockets, beside the engine's: eight bytes for each slot. It grows by chunks, so a full table never moves.

use crate::realtime::{ConnId, ShardId};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const CHUNK: usize = 1024;

/// One bit of what is going on at a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mark(u16);

impl Mark {
    /// A receive is armed in the ring.
    pub(super) const RECEIVING: Mark = Mark(1);
    /// A send is in flight.
    pub(super) const SENDING: Mark = Mark(1 << 1);
    /// FIN is to follow the send in flight.
    pub(super) const FIN_WANTED: Mark = Mark(1 << 2);
    /// Shut both ways; the descriptor goes when the ring has let go of it.
    pub(super) const CLOSING: Mark = Mark(1 << 3);
    /// On its way to REST.
    pub(super) const HANDING: Mark = Mark(1 << 4);
    /// To be received in large pieces.
    pub(super) const BULK: Mark = Mark(1 << 5);
    /// The receive that is armed does so.
    pub(super) const BULK_ARMED: Mark = Mark(1 << 6);
    /// Nothing is to be received.
    pub(super) const PAUSED: Mark = Mark(1 << 7);
    /// Something stands in front of it: see `fronts`.
    pub(super) const FRONTED: Mark = Mark(1 << 8);
    /// The send in flight is of what stands there, not of the engine.
    pub(super) const OWN: Mark = Mark(1 << 9);
    /// Nothing is to be received before its handshake has gone on.
    pub(super) const HELD: Mark = Mark(1 << 10);
    /// The engine has heard that nothing more comes.
    pub(super) const ENDED: Mark = Mark(1 << 11);
}

/// One slot.
#[derive(Default, Debug)]
pub(super) struct Socket {
    descriptor: Option<OwnedFd>,
    generation: u16,
    marks: u16,
}

const _: () = assert!(size_of::<Socket>() == 8);

impl Socket {
    /// The descriptor; a slot that [`Sockets::at`] returned has one.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        self.marks & mark.0 != 0
    }

    pub(super) fn set(&mut self, mark: Mark) {
        self.marks |= mark.0;
    }

    pub(super) fn clear(&mut self, mark: Mark) {
        self.marks &= !mark.0;
    }

    /// Whether the ring still works on this socket.
    pub(super) fn in_ring(&self) -> bool {
        self.has(Mark::RECEIVING) || self.has(Mark::SENDING)
    }
}

/// All sockets of a shard, by the engine's slots.
#[derive(Default, Debug)]
pub(super) struct Sockets {
    chunks: Vec<Box<[Socket]>>,
    live: usize,
}

impl Sockets {
    /// How many sockets there are.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Takes a socket in. Returns it when the slot is taken: a fault of the engine.
    pub(super) fn insert(&mut self, conn: ConnId, descriptor: OwnedFd) -> Result<(), OwnedFd> {
        let (chunk, place) = (conn.index() / CHUNK, conn.index() % CHUNK);
        while self.chunks.len() <= chunk {
            self.chunks.push((0..CHUNK).map(|_| Socket::default()).collect());
        }
        let socket = &mut self.chunks[chunk][place];
        if socket.descriptor.is_some() {
            return Err(descriptor);
        }
        *socket = Socket { descriptor: Some(descriptor), generation: conn.generation, marks: 0 };
        self.live += 1;
        Ok(())
    }

    /// The socket of this very connection; `None` when it is gone.
    pub(super) fn at(&mut self, conn: ConnId) -> Option<&mut Socket> {
        let socket = self.chunks.get_mut(conn.index() / CHUNK)?.get_mut(conn.index() % CHUNK)?;
        (socket.generation == conn.generation && socket.descriptor.is_some()).then_some(socket)
    }

    /// As [`Sockets::at`], to look.
    pub(super) fn look(&self, conn: ConnId) -> Option<&Socket> {
        let socket = self.chunks.get(conn.index() / CHUNK)?.get(conn.index() % CHUNK)?;
        (socket.generation == conn.generation && socket.descriptor.is_some()).then_some(socket)
    }

    /// Frees the slot and gives the descriptor out.
    pub(super) fn remove(&mut self, conn: ConnId) -> Option<OwnedFd> {
        let descriptor = self.at(conn)?.descriptor.take();
        self.live -= usize::from(descriptor.is_some());
        descriptor
    }

    /// The names of all on this shard.
    pub(super) fn names(&self, shard: ShardId) -> Vec<ConnId> {
        let there = self.chunks.iter().flatten().enumerate().filter(|(_, socket)| socket.descriptor.is_some());
        there.map(|(slot, socket)| ConnId { shard, generation: socket.generation, slot: slot as u32 }).collect()
    }

    /// Every socket there is.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Socket> {
        self.chunks.iter().flatten().filter(|socket| socket.descriptor.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn conn(slot: u32, generation: u16) -> ConnId {
        ConnId { shard: ShardId(0), generation, slot }
    }

    fn descriptor() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_stale_name_finds_nothing() {
        let mut sockets = Sockets::default();
        sockets.insert(conn(3000, 7), descriptor()).unwrap();
        assert!(sockets.at(conn(3000, 6)).is_none());
        assert!(sockets.at(conn(2999, 7)).is_none());
        assert!(sockets.at(conn(90_000, 7)).is_none());
        assert!(sockets.at(conn(3000, 7)).is_some());
        assert!(sockets.remove(conn(3000, 7)).is_some());
        assert!(sockets.at(conn(3000, 7)).is_none());
        assert_eq!(sockets.live(), 0);
    }

    #[test]
    fn a_taken_slot_is_refused_and_a_reused_one_starts_clean() {
        let mut sockets = Sockets::default();
        sockets.insert(conn(1, 0), descriptor()).unwrap();
        sockets.at(conn(1, 0)).unwrap().set(Mark::CLOSING);
        assert!(sockets.insert(conn(1, 1), descriptor()).is_err());
        sockets.remove(conn(1, 0));
        sockets.insert(conn(1, 1), descriptor()).unwrap();
        assert!(!sockets.at(conn(1, 1)).unwrap().has(Mark::CLOSING));
        assert_eq!(sockets.live(), 1);
    }
}
