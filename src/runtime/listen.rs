//! Listening sockets: one for each shard and listener on the same port (SO_REUSEPORT), all bound before any accepts. Where there can only
//! be one, a unix socket or one that systemd has opened, all shards accept from it.

use super::{inherited, unix};
use crate::config::Bind;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

/// The kernel closes the sockets of a process that was killed when it has ended its rings, some time after the process itself is gone. So
/// long, at most, a port in use is asked for again, at these intervals.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(3);
const ASKED_AGAIN: Duration = Duration::from_millis(20);

/// A listener could not be opened.
#[derive(Debug)]
pub struct ListenFault {
    /// Where.
    pub at: Bind,
    /// What the kernel said.
    pub source: io::Error,
}

impl fmt::Display for ListenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.at;
        let is_address = address.address().is_some();
        match self.source.kind() {
            io::ErrorKind::AddrInUse if is_address => write!(f, "cannot listen on {address}: another process uses the port"),
            io::ErrorKind::AddrInUse => write!(f, "cannot listen on {address}: another process listens there"),
            io::ErrorKind::PermissionDenied if is_address => {
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
    /// With the port that was given; of a socket of systemd's, what it is bound to.
    pub at: Bind,
    /// What is to be removed when nobody listens any more.
    pub file: Option<unix::SocketFile>,
}

/// Finds out whether this place could be listened at, and gives it back at once.
pub(super) fn probe(at: &Bind) -> Result<(), ListenFault> {
    let tried = match at {
        Bind::Address(address) => socket(*address, false).and_then(|alone| alone.bind(&(*address).into())),
        Bind::Unix(path) => unix::probe(path),
        Bind::Systemd(name) => inherited::take(name).map(drop),
    };
    tried.map_err(|source| ListenFault { at: at.clone(), source })
}

/// Opens sockets at this place for so many shards. A port that another socket of this user already listens on is refused, in spite of
/// SO_REUSEPORT; after a while, since it may be that of a process that was killed. To be called before anything is served.
pub(super) fn bind(at: &Bind, shards: usize) -> Result<Bound, ListenFault> {
    let fault = |source| ListenFault { at: at.clone(), source };
    match at {
        Bind::Address(address) => {
            let since = Instant::now();
            loop {
                match bind_address(*address, shards) {
                    Err(source) if source.kind() == io::ErrorKind::AddrInUse && since.elapsed() < GIVEN_BACK_WITHIN => {
                        thread::sleep(ASKED_AGAIN);
                    }
                    bound => return bound.map_err(fault),
                }
            }
        }
        Bind::Unix(path) => {
            let (socket, file) = unix::bind(path, backlog()).map_err(fault)?;
            let sockets = shared(socket, shards).map_err(fault)?;
            Ok(Bound { sockets, at: at.clone(), file: Some(file) })
        }
        Bind::Systemd(name) => {
            let socket = inherited::take(name).map_err(fault)?;
            let bound = bound(&socket, at);
            Ok(Bound { sockets: shared(socket, shards).map_err(fault)?, at: bound, file: None })
        }
    }
}

/// What a socket is bound to; where that cannot be told, what was wanted.
pub(super) fn bound(socket: &impl AsFd, at: &Bind) -> Bind {
    let address = SockRef::from(socket).local_addr().ok();
    let path = || address.as_ref()?.as_pathname().map(|path| Bind::Unix(path.to_owned()));
    let given = address.as_ref().and_then(|address| address.as_socket()).map(Bind::Address);
    given.or_else(path).unwrap_or_else(|| at.clone())
}

/// The same socket for each: whoever is free first accepts.
fn shared(socket: Socket, shards: usize) -> io::Result<Vec<OwnedFd>> {
    let mut sockets: Vec<Socket> = (1..shards).map(|_| socket.try_clone()).collect::<io::Result<_>>()?;
    sockets.push(socket);
    Ok(sockets.into_iter().map(OwnedFd::from).collect())
}

fn bind_address(address: SocketAddr, shards: usize) -> io::Result<Bound> {
    let alone = socket(address, false)?;
    alone.bind(&address.into())?;
    let given = alone.local_addr()?.as_socket().unwrap_or(address);
    // Bound without SO_REUSEPORT, the port was ours alone at this moment; now it may be shared among our own.
    alone.set_reuse_port(true)?;
    let mut sockets = vec![alone];
    for _ in 1..shards {
        let more = socket(given, true)?;
        more.bind(&given.into())?;
        sockets.push(more);
    }
    let backlog = backlog();
    for socket in &sockets {
        socket.listen(backlog)?;
    }
    Ok(Bound { sockets: sockets.into_iter().map(OwnedFd::from).collect(), at: Bind::Address(given), file: None })
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
    use std::net::{TcpListener, TcpStream};

    fn at(address: &str) -> Bind {
        Bind::Address(address.parse().unwrap())
    }

    fn any() -> Bind {
        at("127.0.0.1:0")
    }

    #[test]
    fn a_probe_takes_nothing_and_finds_what_is_taken() {
        let Bound { at: free, sockets, .. } = bind(&any(), 1).unwrap();
        assert_eq!(probe(&free).unwrap_err().source.kind(), io::ErrorKind::AddrInUse);
        drop(sockets);
        // A process that was forked meanwhile may hold it a moment longer.
        let soon = Instant::now() + Duration::from_secs(60);
        while probe(&free).and_then(|()| bind(&free, 1)).is_err() {
            assert!(Instant::now() < soon, "it was given up");
        }
    }

    #[test]
    fn all_shards_get_the_same_port() {
        let bound = bind(&any(), 3).unwrap();
        let address = bound.at.address().filter(|address| address.port() != 0);
        assert!(address.is_some());
        for socket in &bound.sockets {
            assert_eq!(SockRef::from(socket).local_addr().unwrap().as_socket(), address);
        }
    }

    #[test]
    fn accepted_sockets_inherit_nodelay() {
        let bound = bind(&any(), 1).unwrap();
        let _peer = TcpStream::connect(bound.at.address().unwrap()).unwrap();
        let listener = TcpListener::from(bound.sockets.into_iter().next().unwrap());
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn a_port_in_use_is_told_even_when_it_is_used_by_one_of_our_kind() {
        let bound = bind(&any(), 2).unwrap();
        let fault = bind(&bound.at, 2).unwrap_err();
        assert!(fault.to_string().contains("another process uses the port"), "{fault}");
    }

    #[test]
    fn a_port_that_is_given_back_in_a_moment_is_waited_for() {
        let held = bind(&any(), 2).unwrap();
        let wanted = held.at.clone();
        let (waits, told) = std::sync::mpsc::channel();
        let giving = thread::spawn(move || {
            told.recv().unwrap();
            thread::sleep(Duration::from_millis(100));
            drop(held);
        });
        waits.send(()).unwrap();
        assert_eq!(bind(&wanted, 2).unwrap().at, wanted);
        giving.join().unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        let fault = bind(&at("192.0.2.1:0"), 1).unwrap_err();
        assert!(fault.to_string().contains("no such address"), "{fault}");
    }
}
