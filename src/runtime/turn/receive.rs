//! What is received, in which pieces, and from whom nothing is for a while.

use super::{
    super::{
        ring::{End, Loan},
        shard::Shard,
        sockets::Mark,
    },
    Pump,
};
use crate::{
    engine::Output,
    realtime::{ConnId, Now},
};

impl<E: Shard> Pump<E> {
    pub(super) fn received(&mut self, conn: ConnId, loan: Loan, engine: &mut E, now: Now) {
        if let Some(socket) = self.sockets.at(conn) {
            let bytes = self.ring.bytes(&loan);
            if socket.has(Mark::FRONTED) {
                let mut copy = std::mem::take(&mut self.fronts.scratch);
                copy.extend_from_slice(bytes);
                self.ring.give_back(loan);
                return self.front_received(conn, copy, engine, now);
            }
            if socket.has(Mark::HANDING) {
                let handoff = self.handing.iter_mut().find(|handoff| handoff.conn == conn);
                handoff.expect("marked as handing").head.extend_from_slice(bytes);
            } else if !socket.has(Mark::CLOSING) {
                engine.received(conn, bytes, now);
            }
        }
        self.ring.give_back(loan);
    }

    pub(super) fn receive_over(&mut self, conn: ConnId, end: End, engine: &mut E, now: Now) {
        let Some(socket) = self.sockets.at(conn) else { return };
        socket.clear(Mark::RECEIVING);
        if socket.has(Mark::CLOSING) || socket.has(Mark::HANDING) {
            return self.settle(conn, engine);
        }
        match end {
            // While it is paused too: what came before has been told.
            End::Finished | End::Broken if socket.has(Mark::FRONTED) => self.end_front(conn, engine, now),
            End::Finished | End::Broken => engine.ended(conn, now),
            End::Again => {
                let is_bulk = socket.has(Mark::BULK_ARMED);
                self.counts().receive_pauses.add(1);
                if is_bulk {
                    self.hungry.push(conn);
                } else {
                    self.receive(conn);
                }
            }
            End::Brought => self.fed.push(conn),
            End::Cancelled => self.receive(conn),
        }
    }

    /// Receives, unless a receive is armed or none is wanted.
    pub(super) fn receive(&mut self, conn: ConnId) {
        let Some(socket) = self.sockets.at(conn) else { return };
        if [Mark::RECEIVING, Mark::PAUSED, Mark::CLOSING, Mark::HANDING, Mark::HELD].into_iter().any(|mark| socket.has(mark)) {
            return;
        }
        socket.set(Mark::RECEIVING);
        let is_bulk = socket.has(Mark::BULK);
        if is_bulk {
            socket.set(Mark::BULK_ARMED);
        }
        let Some(descriptor) = socket.descriptor() else { return };
        if is_bulk {
            self.ring.receive_bulk(conn, descriptor);
        } else {
            self.ring.receive(conn, descriptor);
        }
    }

    /// Ends the receive that is armed; what becomes of the connection then is decided when it is over.
    pub(super) fn disarm(&mut self, conn: ConnId) {
        if let Some(socket) = self.sockets.at(conn).filter(|socket| socket.has(Mark::RECEIVING)) {
            let is_bulk = socket.has(Mark::BULK_ARMED);
            self.ring.receive_no_more(conn, is_bulk);
        }
    }

    /// Does what the engine wants of receives. False when it wants nothing.
    pub(super) fn change_receives(&mut self, output: &mut Output) -> bool {
        let busy = output.bulk.len() + output.pauses.len() + output.resumes.len() > 0;
        for conn in output.bulk.drain(..) {
            self.mark(conn, Mark::BULK);
            // A receive of the other kind follows when this one is over.
            self.disarm(conn);
        }
        for conn in output.pauses.drain(..) {
            self.mark(conn, Mark::PAUSED);
            self.disarm(conn);
        }
        for conn in output.resumes.drain(..) {
            if let Some(socket) = self.sockets.at(conn) {
                socket.clear(Mark::PAUSED);
            }
            // Where the last one is not over yet the next follows it.
            self.receive(conn);
        }
        self.receive_bulk_again();
        busy
    }

    /// At the turn's end: by then it is known whether more is wanted, and all buffers have been given back.
    fn receive_bulk_again(&mut self) {
        // Who found no buffer is before those who had one, or these would have it again.
        let (mut hungry, mut fed) = (std::mem::take(&mut self.hungry), std::mem::take(&mut self.fed));
        for conn in hungry.drain(..).chain(fed.drain(..)) {
            self.receive(conn);
        }
        (self.hungry, self.fed) = (hungry, fed);
    }

    pub(super) fn mark(&mut self, conn: ConnId, mark: Mark) {
        if let Some(socket) = self.sockets.at(conn) {
            socket.set(mark);
        }
    }
}
