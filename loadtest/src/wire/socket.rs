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
    switch_on(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT)
}

/// Has the kernel note when bytes come in, for [`read_stamped`] (socket(7), SO_TIMESTAMPNS).
///
/// # Errors
/// Those of `setsockopt`.
pub(crate) fn stamp_arrivals(socket: impl AsFd) -> Result<(), Errno> {
    switch_on(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)
}

fn switch_on(socket: impl AsFd, level: libc::c_int, option: libc::c_int) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is borrowed for the call, and the pointer and length describe a live c_int.
    let outcome = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const on).cast(), size_of_val(&on) as libc::socklen_t)
    };
    if outcome == 0 { Ok(()) } else { Err(last_errno()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// A control message with one timespec, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Reads, and tells when the last of it came in where [`stamp_arrivals`] was asked for: nanoseconds of CLOCK_REALTIME.
///
/// # Errors
/// Those of `recvmsg`.
pub(crate) fn read_stamped(socket: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Option<u64>), Errno> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: a msghdr of zeros is a valid one: no name, no parts, no control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (control.0.as_mut_ptr().cast(), control.0.len());
    // SAFETY: the message points to the buffer, the part and the control bytes above, which live until the call is over.
    let read = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, 0) };
    let read = usize::try_from(read).map_err(|_| last_errno())?;
    Ok((read, stamp(&control.0[..message.msg_controllen.min(64)])))
}

/// The timespec of the first control message, if it is a stamp (cmsg(3)): a header of 16 bytes, then seconds and nanoseconds.
fn stamp(control: &[u8]) -> Option<u64> {
    let word = |at: usize| control.get(at..at + 8)?.try_into().ok().map(i64::from_ne_bytes);
    let kind = |at: usize| control.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes);
    if (kind(8)?, kind(12)?) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    let (seconds, nanos) = (u64::try_from(word(16)?).ok()?, u64::try_from(word(24)?).ok()?);
    (seconds > 0).then_some(seconds * 1_000_000_000 + nanos)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
        time::{Duration, Instant, SystemTime},
    };

    #[test]
    fn what_came_in_is_stamped_when_it_came() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stamp_arrivals(&client).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // The kernel begins to stamp a while after the first socket asks for it, and a busy one takes its time.
        let limit = Instant::now() + Duration::from_secs(30);
        let mut moments = std::iter::from_fn(|| (Instant::now() < limit).then_some(()));
        let stamped = moments.find_map(|()| {
            let (before, mut buffer) = (now(), [0; 16]);
            server.write_all(b"abc").unwrap();
            // A busy kernel may hand it on after the write.
            client.peek(&mut buffer).unwrap();
            let after = now();
            let (read, stamp) = read_stamped(&client, &mut buffer).unwrap();
            assert_eq!((read, &buffer[..3]), (3, b"abc".as_slice()));
            stamp.map(|stamp| (before, Duration::from_nanos(stamp), after))
        });
        let (before, stamp, after) = stamped.unwrap();
        assert!(before <= stamp && stamp <= after, "{before:?} {stamp:?} {after:?}");
    }
}
