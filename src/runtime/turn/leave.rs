//! How a socket leaves the pump: its side closed, wholly closed, or given to REST.

use super::{
    super::{
        fronts::{Brought, Front},
        ring::glommio_stream,
        shard::Shard,
        sockets::Mark,
    },
    Pump, Served,
};
use crate::{engine::Handoff, realtime::ConnId};
use rustix::net::{Shutdown, shutdown};
use std::os::fd::OwnedFd;

impl<E: Shard> Pump<E> {
    /// Lets a socket go that is to be closed or handed off, once the ring has nothing to do with it.
    pub(super) fn settle(&mut self, conn: ConnId, engine: &mut E) {
        let Some(socket) = self.sockets.at(conn) else { return };
        if socket.in_ring() {
            return;
        }
        let closing = socket.has(Mark::CLOSING);
        let front = socket.has(Mark::FRONTED).then(|| self.fronts.remove(conn)).flatten();
        let handoff = self.handing.iter().position(|handoff| handoff.conn == conn).map(|place| self.handing.swap_remove(place));
        let descriptor = self.sockets.remove(conn);
        self.counts().connections.set(self.sockets.live() as u64);
        // First, so that the place it had is free for what becomes of it.
        engine.released(conn);
        if let (Some(descriptor), Some(handoff), false) = (descriptor, handoff, closing) {
            self.give(descriptor, handoff, front.map(Front::handed_over).unwrap_or_default());
        }
    }

    fn give(&mut self, descriptor: OwnedFd, handoff: Handoff, brought: Brought) {
        let serve = (self.on_handoff)(glommio_stream(descriptor), handoff, brought);
        let served = Served::new(self.stage.clone(), self.id);
        let task = async move {
            serve.await;
            drop(served);
        };
        match glommio::spawn_local_into(task, self.rest) {
            Ok(task) => drop(task.detach()),
            Err(fault) => tracing::error!(%fault, "a connection could not be given to REST"),
        }
    }

    pub(super) fn half_close(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.at(conn) else { return };
        if socket.has(Mark::SENDING) {
            socket.set(Mark::FIN_WANTED);
        } else {
            self.end_stream(conn);
        }
    }

    pub(super) fn close(&mut self, conn: ConnId, engine: &mut E) {
        self.farewell(conn);
        let Some(socket) = self.sockets.at(conn) else { return };
        socket.set(Mark::CLOSING);
        if socket.in_ring()
            && let Some(descriptor) = socket.descriptor()
        {
            // An armed receive holds the file: closing the descriptor alone would leave the peer connected. This ends both operations.
            let _ = shutdown(descriptor, Shutdown::Both);
        }
        self.settle(conn, engine);
    }

    pub(super) fn hand_off(&mut self, handoff: Handoff, engine: &mut E) {
        let conn = handoff.conn;
        let Some(socket) = self.sockets.at(conn) else { return };
        if socket.has(Mark::CLOSING) || socket.has(Mark::HANDING) {
            return;
        }
        socket.set(Mark::HANDING);
        self.handing.push(handoff);
        if socket.has(Mark::RECEIVING) {
            let is_bulk = socket.has(Mark::BULK_ARMED);
            self.ring.receive_no_more(conn, is_bulk);
            self.ring.submit();
        }
        self.settle(conn, engine);
    }
}
