//! Nonblocking sockets from rotating source addresses.

use rustix::{
    fd::{AsFd, AsRawFd, OwnedFd},
    io::Errno,
    net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, connect, send, socket_with},
};
use std::net::{IpAddr, SocketAddr};

/// The addresses that connections leave from, in turn. A pair of addresses has only as many connections as there are ephemeral ports.
pub(crate) struct Sources {
    addresses: Vec<IpAddr>,
    next: usize,
}

impl Sources {
    /// `first` moves the start, so that workers do not all begin with the same address.
    pub(crate) fn new(addresses: Vec<IpAddr>, first: usize) -> Sources {
        Sources { addresses, next: first }
    }

    /// Begins a connection. It is established, or has failed, when the socket becomes writable.
    ///
    /// # Errors
    /// Those of `socket`, `bind` and `connect`. A source address without a free port is passed over as long as another has one.
    pub(crate) fn dial(&mut self, to: SocketAddr) -> Result<OwnedFd, Errno> {
        if self.addresses.is_empty() {
            return dial(None, to);
        }
        let mut outcome = Err(Errno::ADDRNOTAVAIL);
        for _ in 0..self.addresses.len() {
            let from = self.addresses[self.next % self.addresses.len()];
            self.next = self.next.wrapping_add(1);
            outcome = dial(Some(from), to);
            if !matches!(outcome, Err(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE)) {
                break;
            }
        }
        outcome
    }
}

fn dial(from: Option<IpAddr>, to: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    if let Some(from) = from {
        bind_address_no_port(&socket)?;
        bind(&socket, &SocketAddr::new(from, 0))?;
    }
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

/// Leaves the choice of the port to `connect`, which knows the destination: the whole range is free for each (ip(7),
/// IP_BIND_ADDRESS_NO_PORT).
fn bind_address_no_port(socket: impl AsFd) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is borrowed for the call, and the pointer and length describe a live c_int.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)) }
}

/// Sends all of a small message. A socket that does not take it whole has a peer that does not read: `AGAIN`.
///
/// # Errors
/// Those of `send`.
pub(crate) fn send_all(socket: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    match send(socket, bytes, SendFlags::NOSIGNAL)? {
        sent if sent == bytes.len() => Ok(()),
        _ => Err(Errno::AGAIN),
    }
}
