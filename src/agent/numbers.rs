//! The number of each session: the port of its screen, and with 5900 taken off its X display.

use super::machine::process;
use crate::protocols::labs::SessionId;
use std::{collections::HashMap, fs, net::TcpListener, ops::RangeInclusive, os::unix::net::UnixStream, path::Path};

/// See the file.
#[derive(Debug)]
pub(super) struct Numbers {
    range: RangeInclusive<u16>,
    taken: HashMap<SessionId, u16>,
}

impl Numbers {
    pub(super) fn new(first: u16, last: u16) -> Numbers {
        Numbers { range: first..=last, taken: HashMap::new() }
    }

    /// The first number that no session has and nobody else on this machine; none: all are taken.
    pub(super) fn take(&mut self, session: SessionId) -> Option<u16> {
        self.taken.remove(&session);
        let number = self.range.clone().find(|number| !self.taken.values().any(|taken| taken == number) && is_free(*number))?;
        self.taken.insert(session, number);
        Some(number)
    }

    /// A session has this one already.
    pub(super) fn keep(&mut self, session: SessionId, number: u16) {
        self.taken.insert(session, number);
    }

    pub(super) fn give_back(&mut self, session: SessionId) {
        self.taken.remove(&session);
    }
}

/// Whether nobody listens at this port, and no X server has the display.
pub(super) fn is_free(number: u16) -> bool {
    TcpListener::bind(("127.0.0.1", number)).is_ok() && is_display_free(Path::new("/tmp"), number.saturating_sub(5900))
}

/// An X server that was killed leaves its lock and its socket. They go, if they may be removed.
fn is_display_free(folder: &Path, display: u16) -> bool {
    let (lock, socket) = (folder.join(format!(".X{display}-lock")), folder.join(format!(".X11-unix/X{display}")));
    let owner = fs::read_to_string(&lock).ok().and_then(|pid| pid.trim().parse().ok());
    if owner.is_some_and(|pid| process(pid).is_some()) || UnixStream::connect(&socket).is_ok() {
        return false;
    }
    [lock, socket].iter().all(|path| fs::remove_file(path).is_ok() || !path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_once_and_given_back() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let busy = listener.local_addr().unwrap().port();
        let mut one = Numbers::new(busy, busy);
        assert_eq!(one.take(SessionId::from_u128(1)), None, "somebody listens there");
        let free = (6200..6300).find(|number| is_free(*number)).unwrap();
        let mut numbers = Numbers::new(free, free);
        // A process that was forked while it was looked for may hold it a moment longer.
        let taken = std::iter::repeat_with(|| numbers.take(SessionId::from_u128(1))).find(Option::is_some).flatten();
        assert_eq!(taken, Some(free));
        assert_eq!(numbers.take(SessionId::from_u128(2)), None);
        assert_eq!(numbers.take(SessionId::from_u128(1)), Some(free), "it has it");
        numbers.give_back(SessionId::from_u128(1));
        numbers.keep(SessionId::from_u128(3), free);
        assert_eq!(numbers.take(SessionId::from_u128(2)), None);
    }

    #[test]
    fn what_a_killed_x_server_left_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, sockets) = (folder.path().join(".X7-lock"), folder.path().join(".X11-unix"));
        fs::create_dir(&sockets).unwrap();
        fs::write(&lock, format!("{:>10}\n", std::process::id())).unwrap();
        assert!(!is_display_free(folder.path(), 7), "its owner is alive");
        fs::write(&lock, format!("{:>10}\n", i32::MAX)).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(sockets.join("X7")).unwrap();
        assert!(!is_display_free(folder.path(), 7), "somebody listens");
        // It is over for a process too that was forked meanwhile and has it open.
        rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).unwrap();
        assert!(is_display_free(folder.path(), 7));
        assert!(!lock.exists() && !sockets.join("X7").exists());
    }
}
