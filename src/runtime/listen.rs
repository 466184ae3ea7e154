//! Listening sockets: one for each shard and listener on the same port (SO_REUSEPORT), all bound before any accepts.

use socket2::{Domain, Protocol, Socket, Type};
use std::{fmt, fs, io, net::SocketAddr, os::fd::OwnedFd};

/// A listener could not be opened.
#[derive(Debug)]
pub struct ListenFault {
    /// Where.
    pub address: SocketAddr,
    /// What the kernel said.
    pub source: io::Error,
}

impl fmt::Display for ListenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => write!(f, "cannot listen on {address}: another process uses the port"),
            io::ErrorKind::PermissionDenied => {
                write!(f, "cannot listen on {address}: no permission (ports below 1024 need CAP_NET_BIND_SERVICE)")
            }
            io::ErrorKind::AddrNotAvailable => write!(f, "cannot listen on {address}: this machine has no such address"),
            _ => write!(f, "cannot listen on {address}: {}", self.source),
        }
    }
}

impl std::error::Error for ListenFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The sockets of one listener, one for each shard, and where they really listen (port 0 asks for any free port).
#[derive(Debug)]
pub(super) struct Bound {
    /// One for each shard, in their order.
    pub sockets: Vec<OwnedFd>,
    /// With the port that was given.
    pub address: SocketAddr,
}

/// Finds out whether `address` could be listened on, and gives it back at once.
pub(super) fn probe(address: SocketAddr) -> Result<(), ListenFault> {
    let bound = socket(address, false).and_then(|alone| alone.bind(&address.into()));
    bound.map_err(|source| ListenFault { address, source })
}

/// Opens `shards` sockets on `address`. A port that another socket of this user already listens on is refused, in spite of SO_REUSEPORT.
pub(super) fn bind(address: SocketAddr, shards: usize) -> Result<Bound, ListenFault> {
    let fault = |source| ListenFault { address, source };
    let alone = socket(address, false).map_err(fault)?;
    alone.bind(&address.into()).map_err(fault)?;
    let given = alone.local_addr().map_err(fault)?.as_socket().unwrap_or(address);
    // Bound without SO_REUSEPORT, the port was ours alone at this moment; now it may be shared among our own.
    alone.set_reuse_port(true).map_err(fault)?;
    let mut sockets = vec![alone];
    for _ in 1..shards {
        let more = socket(given, true).map_err(fault)?;
        more.bind(&given.into()).map_err(fault)?;
        sockets.push(more);
    }
    let backlog = backlog();
    for socket in &sockets {
        socket.listen(backlog).map_err(fault)?;
    }
    Ok(Bound { sockets: sockets.into_iter().map(OwnedFd::from).collect(), address: given })
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec().nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit it on Linux.
    socket.set_tcp_nodelay(true)?;
    Ok(socket)
}

/// As many waiting connections as the kernel allows.
fn backlog() -> i32 {
    let allowed = fs::read_to_string("/proc/sys/net/core/somaxconn").ok();
    allowed.and_then(|text| text.trim().parse().ok()).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::{
        net::{TcpListener, TcpStream},
        time::{Duration, Instant},
    };

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[test]
    fn a_probe_takes_nothing_and_finds_what_is_taken() {
        let taken = bind(any(), 1).unwrap();
        assert_eq!(probe(taken.address).unwrap_err().source.kind(), io::ErrorKind::AddrInUse);
        let free = taken.address;
        drop(taken);
        // A process that was forked meanwhile may hold it a moment longer.
        let soon = Instant::now() + Duration::from_secs(60);
        while probe(free).and_then(|()| bind(free, 1)).is_err() {
            assert!(Instant::now() < soon, "it was given up");
        }
    }

    #[test]
    fn all_shards_get_the_same_port() {
        let bound = bind(any(), 3).unwrap();
        assert_ne!(bound.address.port(), 0);
        for socket in &bound.sockets {
            assert_eq!(SockRef::from(socket).local_addr().unwrap().as_socket(), Some(bound.address));
        }
    }

    #[test]
    fn accepted_sockets_inherit_nodelay() {
        let bound = bind(any(), 1).unwrap();
        let _peer = TcpStream::connect(bound.address).unwrap();
        let listener = TcpListener::from(bound.sockets.into_iter().next().unwrap());
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn a_port_in_use_is_told_even_when_it_is_used_by_one_of_our_kind() {
        let bound = bind(any(), 2).unwrap();
        let fault = bind(bound.address, 2).unwrap_err();
        assert!(fault.to_string().contains("another process uses the port"), "{fault}");
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        let fault = bind("192.0.2.1:0".parse().unwrap(), 1).unwrap_err();
        assert!(fault.to_string().contains("no such address"), "{fault}");
    }
}
