//! What can go wrong with one connection, told in words that are counted by kind.

use rustix::io::Errno;
use std::fmt;

/// Why a connection or a publish failed. Its text is the kind under which it is counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// The system said no.
    Os(Errno),
    /// Not finished within the time allowed; at which step.
    Timeout(&'static str),
    /// The server answered HTTP, but not what was wanted.
    Http(u16),
    /// A session error of the contract, by its type.
    Contract(String),
    /// The server sent a Close frame with this code; `None` when it had no body.
    Closed(Option<u16>),
    /// The connection ended without a Close frame.
    Ended,
    /// The server broke WebSocket, HTTP or the contract.
    Broken(&'static str),
    /// TLS cannot go on; why.
    Tls(String),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        Fault::Os(errno)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Os(Errno::CONNREFUSED) => f.write_str("connection refused"),
            Fault::Os(Errno::CONNRESET | Errno::PIPE) => f.write_str("connection reset"),
            Fault::Os(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => f.write_str("no local port left (give more --source-ips)"),
            Fault::Os(Errno::MFILE | Errno::NFILE) => f.write_str("no file descriptor left (give more --workers)"),
            Fault::Os(Errno::AGAIN) => f.write_str("socket full: the server does not read"),
            Fault::Os(errno) => write!(f, "{errno}"),
            Fault::Timeout(step) => write!(f, "timeout at {step}"),
            Fault::Http(status) => write!(f, "http {status}"),
            Fault::Contract(kind) => f.write_str(kind),
            Fault::Closed(Some(code)) => write!(f, "closed {code}"),
            Fault::Closed(None) => f.write_str("closed 1005"),
            Fault::Ended => f.write_str("ended without a close frame"),
            Fault::Broken(how) => f.write_str(how),
            Fault::Tls(why) => write!(f, "TLS: {why}"),
        }
    }
}
