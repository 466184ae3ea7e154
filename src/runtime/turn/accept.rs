//! New sockets, and what happens when there can be none.

use super::{
    super::{shard::Shard, sockets::Mark, stop::Phase, wake::Bed},
    Pump,
};
use crate::{
    engine::{Listener, door::Address},
    realtime::Now,
};
use rustix::net::{SocketFlags, accept_with, getpeername};
use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// The pause after an accept that found no descriptor or no memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Waiting peers turned away at once when descriptors are short.
const SHED_AT_ONCE: usize = 64;

impl<E: Shard> Pump<E> {
    pub(super) fn accepted(&mut self, listener: Listener, socket: OwnedFd, engine: &mut E, now: Now) {
        self.counts().accepted.add(1);
        if self.phase >= Phase::Closing {
            return;
        }
        let front = self.porches.get(usize::from(listener.0)).and_then(|porch| porch.front(socket.as_fd(), now.moment));
        // Whom a proxy speaks for it says first.
        let is_known = !front.as_ref().is_some_and(|front| front.awaits_header);
        let from = if is_known { address_of(socket.as_fd()) } else { Address::UNKNOWN };
        let Some(conn) = engine.accepted(listener, from, now) else { return };
        // One that was accepted when nobody is heard any more is heard by whoever has it then.
        let mark = if self.phase == Phase::Parting { Mark::PAUSED } else { Mark::RECEIVING };
        if mark == Mark::RECEIVING {
            self.ring.receive(conn, socket.as_fd());
        }
        match self.sockets.insert(conn, socket) {
            Ok(()) => self.sockets.at(conn).expect("just inserted").set(mark),
            Err(_) => unreachable!("the engine gave a slot that it did not have back"),
        }
        if let Some(front) = front {
            self.fronts.insert(conn, front);
            self.mark(conn, Mark::FRONTED);
        }
        // At once, not at the end of the turn: a stop that comes while the first answer is on its way must count this one.
        self.counts().connections.set(self.sockets.live() as u64);
    }

    pub(super) fn accept_over(&mut self, listener: Listener, fault: Option<i32>, now: Now) {
        if self.phase >= Phase::Closing {
            self.listeners[usize::from(listener.0)] = None;
            return;
        }
        if self.is_shut() {
            return;
        }
        if let Some(fault) = fault {
            let faults = &self.counts().accept_faults;
            faults.add(1);
            // The first, the second, the fourth …: worth waking someone, not worth filling a disk.
            if faults.value().is_power_of_two() {
                let why = std::io::Error::from_raw_os_error(fault);
                tracing::warn!(shard = %self.id, %why, times = faults.value(), "connections cannot be accepted");
            }
        }
        if matches!(fault, Some(libc::EMFILE | libc::ENFILE)) {
            self.shed(listener);
        }
        let pause = if fault.is_some() { ACCEPT_PAUSE } else { Duration::ZERO };
        self.paused.push((listener, now.moment + pause));
    }

    /// With no descriptor left: takes waiting peers in with the reserved one and closes them, so that they learn it now.
    fn shed(&mut self, listener: Listener) {
        let Some(socket) = &self.listeners[usize::from(listener.0)] else { return };
        self.reserve = None;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let shed = (0..SHED_AT_ONCE).take_while(|_| accept_with(socket, flags).is_ok()).count();
        self.reserve = self.mesh.door().bell().descriptor(Bed::Ring).try_clone_to_owned().ok();
        self.counts().shed.add(shed as u64);
    }

    pub(super) fn accept_again(&mut self, now: Now) {
        if self.is_shut() {
            return;
        }
        let (ring, listeners) = (&mut self.ring, &self.listeners);
        self.paused.retain(|(listener, until)| {
            let due = *until <= now.moment;
            if let (true, Some(socket)) = (due, &listeners[usize::from(listener.0)]) {
                ring.accept(*listener, socket.as_fd());
            }
            !due
        });
    }
}

/// Whose connection it is. Unknown, where it has gone already or has no address.
pub(super) fn address_of(socket: BorrowedFd<'_>) -> Address {
    let peer = getpeername(socket).ok().flatten().and_then(|peer| SocketAddr::try_from(peer).ok());
    peer.map_or(Address::UNKNOWN, |peer| address(peer.ip()))
}

/// An address as the engine counts it.
pub fn address(ip: IpAddr) -> Address {
    Address::of(match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    })
}
