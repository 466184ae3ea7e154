//! How the sockets of a shard go to another process, and how they come from one.

use super::super::parting::{LEFT, QUIET, SEEN};
use super::{
    super::{parting::Parcel, ring::Ring, shard::Shard, sockets::Mark, sockets::Sockets, stop::Phase},
    Pump,
    accept::address_of,
};
use crate::{
    engine::Listener,
    realtime::{ConnId, Now},
};
use std::{
    cell::RefCell,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
};

/// Sockets that another process had are received from. Those that the engine does not name are closed.
pub(super) fn take_in<E: Shard>(
    inherited: Vec<OwnedFd>,
    (ring, sockets): (&mut Ring, &mut Sockets),
    engine: &Rc<RefCell<E>>,
    now: Now,
) {
    let from: Vec<_> = inherited.iter().map(|socket| address_of(socket.as_fd())).collect();
    let conns = engine.borrow_mut().take_over(&from, now);
    for (conn, socket) in conns.into_iter().zip(inherited) {
        ring.receive(conn, socket.as_fd());
        if sockets.insert(conn, socket).is_ok() {
            sockets.at(conn).expect("just inserted").set(Mark::RECEIVING);
        }
    }
    ring.submit();
}

/// Whether a socket can go: nothing stands before it, and nothing is under way on it.
fn is_free(sockets: &Sockets, conn: ConnId) -> bool {
    let busy = [Mark::FRONTED, Mark::CLOSING, Mark::HANDING];
    sockets.look(conn).is_some_and(|socket| !socket.in_ring() && !busy.into_iter().any(|mark| socket.has(mark)))
}

fn is_plain(sockets: &Sockets, conn: ConnId) -> bool {
    sockets.look(conn).is_some_and(|socket| !socket.has(Mark::FRONTED))
}

impl<E: Shard> Pump<E> {
    /// Whether the sockets go to another process, or are about to.
    pub(super) fn is_handing_over(&self) -> bool {
        matches!(self.phase, Phase::Leaving | Phase::Shutting | Phase::Parting)
    }

    /// Whether whoever comes is left to that process.
    pub(super) fn is_shut(&self) -> bool {
        matches!(self.phase, Phase::Shutting | Phase::Parting)
    }

    /// Whether the change to this phase is a step of that.
    pub(super) fn hands_over(&self, wanted: Phase) -> bool {
        let ends = self.is_handing_over() && wanted == Phase::Gone && self.stage.has_parted();
        ends || matches!(wanted, Phase::Leaving | Phase::Shutting | Phase::Parting)
    }

    pub(super) fn hand_over(&mut self, wanted: Phase, engine: &mut E, now: Now) -> bool {
        if self.phase == wanted {
            return false;
        }
        let before = std::mem::replace(&mut self.phase, wanted);
        let sockets = &self.sockets;
        if before < Phase::Shutting && wanted > Phase::Leaving {
            for index in 0..self.listeners.len() {
                self.ring.accept_no_more(Listener(index as u8));
            }
        }
        if before < Phase::Leaving {
            engine.leave(&|conn| is_plain(sockets, conn), now);
        }
        match wanted {
            Phase::Parting => self.hear_no_more(),
            Phase::Gone => self.leave_parcel(engine, now),
            Phase::Serving | Phase::Thinning | Phase::Leaving | Phase::Shutting | Phase::Draining | Phase::Closing => {}
        }
        true
    }

    /// While the shard parts: at each turn what has come about is said, or ended.
    pub(super) fn part(&mut self, engine: &mut E, now: Now) {
        if self.phase == Phase::Parting {
            let sockets = &self.sockets;
            engine.part(&|conn| is_plain(sockets, conn), now);
        }
    }

    /// What is not read by now stays in the kernel for whoever has the socket then.
    fn hear_no_more(&mut self) {
        for conn in self.sockets.names(self.id) {
            self.mark(conn, Mark::PAUSED);
            self.disarm(conn);
        }
        self.ring.submit();
    }

    /// Tells how far it is, and whether nothing is under way here. At the end of a turn, when it has told what it owes.
    pub(super) fn look_whether_quiet(&self, engine: &E) {
        if matches!(self.phase, Phase::Leaving | Phase::Shutting) {
            self.counts().quiet.set(LEFT);
        }
        if self.phase == Phase::Parting {
            let is_busy = |conn: &ConnId| {
                let socket = self.sockets.look(*conn);
                socket.is_some_and(|socket| socket.in_ring() && !socket.has(Mark::FRONTED) && !socket.has(Mark::CLOSING))
            };
            let is_quiet = engine.is_quiet() && !self.mesh.has_letters() && !self.sockets.names(self.id).iter().any(is_busy);
            self.counts().quiet.set(if is_quiet { QUIET } else { SEEN });
        }
    }

    fn leave_parcel(&mut self, engine: &mut E, now: Now) {
        let sockets = &self.sockets;
        let (estate, conns) = engine.estate(&|conn| is_free(sockets, conn), now);
        let sockets = conns.into_iter().filter_map(|conn| self.sockets.remove(conn)).collect();
        let listeners = self.listeners.drain(..).flatten().collect();
        self.stage.leave(self.id, Parcel { listeners, sockets, estate });
    }
}
