//! Sockets that were open before the process began: systemd's socket activation (`sd_listen_fds(3)`).

use super::probe;
use rustix::process::getpid;
use socket2::{SockRef, Socket, Type};
use std::{env, io};

/// The first of them (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;

/// The variables as systemd sets them.
#[derive(Default)]
struct Passed<'a> {
    /// For whom the sockets are.
    pid: &'a str,
    /// How many.
    count: &'a str,
    /// Their names, with colons between them.
    names: &'a str,
}

/// The socket of this name, which must listen. A copy of the descriptor: the first one stays as it is, for one who comes after us in the
/// same process.
///
/// # Errors
/// None has been handed over, none of this name, several of it, or none that listens for streams.
pub(super) fn take(name: &str) -> io::Result<Socket> {
    let variable = |name| env::var(name).unwrap_or_default();
    let (pid, count, names) = (variable("LISTEN_PID"), variable("LISTEN_FDS"), variable("LISTEN_FDNAMES"));
    let number = find(name, &Passed { pid: &pid, count: &count, names: &names }, getpid().as_raw_nonzero().get());
    let socket = Socket::from(probe::copied(number.map_err(io::Error::other)?)?);
    let listens = SockRef::from(&socket).is_listener().unwrap_or(false);
    if !listens || socket.r#type()? != Type::STREAM {
        return Err(io::Error::other("the socket that systemd handed over does not listen for streams (ListenStream=)"));
    }
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it; a unix socket has no use for it.
    let _ = socket.set_tcp_nodelay(true);
    Ok(socket)
}

/// The descriptor of this name; pure.
fn find(name: &str, passed: &Passed<'_>, own_pid: i32) -> Result<i32, String> {
    let count: i32 = match (passed.pid.parse::<i32>(), passed.count.parse()) {
        (Ok(pid), Ok(count)) if pid == own_pid => count,
        _ => return Err("no socket was handed over: start homeroom by its socket unit (LISTEN_FDS)".to_owned()),
    };
    let names: Vec<&str> = passed.names.split(':').take(usize::try_from(count).unwrap_or(0)).collect();
    let mut found = names.iter().zip(FIRST..).filter(|(own, _)| **own == name);
    match (found.next(), found.next()) {
        (Some((_, number)), None) => Ok(number),
        (Some(_), Some(_)) => {
            Err("several sockets of this name were handed over: give each a FileDescriptorName= of its own".to_owned())
        }
        (None, _) => Err(format!("no socket of this name was handed over (FileDescriptorName=), only: {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_their_names() {
        let passed = Passed { pid: "7", count: "3", names: "presence:internal:presence-6" };
        assert_eq!(find("presence", &passed, 7), Ok(3));
        assert_eq!(find("presence-6", &passed, 7), Ok(5));
        assert!(find("labs", &passed, 7).unwrap_err().contains("only: presence, internal, presence-6"));
        assert!(find("presence", &passed, 8).unwrap_err().contains("no socket was handed over"));
        assert!(find("presence", &Passed::default(), 7).is_err());
        assert!(find("a", &Passed { names: "a:a", count: "2", ..passed }, 7).unwrap_err().contains("several"));
        assert!(find("b", &Passed { pid: "7", names: "a:b", count: "1" }, 7).is_err(), "beyond the count");
        assert!(find("b", &Passed { pid: "7", names: "a:b", count: "-1" }, 7).is_err());
    }
}
