//! Orders to the running server, from commands on the same machine: a unix socket in the data folder, open to its owner alone.
//!
//! An order is a line of words; the answer is `ok` or `no`, a space, and a line for people. Behind `ok` the server keeps the connection
//! open until what was ordered is over: a drain with the process, which the end of the stream says.

use super::{
    acts::{self, Acts, By},
    upgrade::Upgrade,
};
pub use crate::http::control::LONGEST;
use crate::runtime::Stage;
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};
use std::{
    fmt, fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// Its name in the data folder.
const NAME: &str = "control.sock";
/// Only its owner may order anything.
const MODE: u32 = 0o600;
/// Whoever has connected has so long to say his order, and the server to answer it.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long the one who has ordered waits for the answer: another process may have to be started for it.
const ANSWER: Duration = Duration::from_secs(60);
/// The longest line.
const LINE_BYTES: u64 = 1024;

/// What the server can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Let the connected go one by one, then stop. See [`Stage::drain`].
    Drain {
        /// Between the end of readiness and the first who goes.
        lead: Duration,
        /// Between the first who goes and the last.
        over: Duration,
    },
    /// Hand over to another process. Answered by its number when it is there; the end of the stream says that it serves.
    Upgrade,
    /// Say which process serves, and of which version.
    Who,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Drain { lead, over } => write!(f, "drain {} {}", lead.as_millis(), over.as_millis()),
            Order::Upgrade => f.write_str("upgrade"),
            Order::Who => f.write_str("who"),
        }
    }
}

impl Order {
    /// Reads what [`Order`] is written as.
    fn read(line: &str) -> Option<Order> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let millis = |word: &str| word.parse().ok().map(Duration::from_millis).filter(|time| *time <= LONGEST);
        match words[..] {
            ["drain", lead, over] => Some(Order::Drain { lead: millis(lead)?, over: millis(over)? }),
            ["upgrade"] => Some(Order::Upgrade),
            ["who"] => Some(Order::Who),
            _ => None,
        }
    }
}

/// The way to the socket, however long the folder's path is: the kernel takes 107 bytes and no more.
struct Way {
    _folder: OwnedFd,
    path: PathBuf,
}

fn way(data_dir: &Path) -> Result<Way, Errno> {
    let folder = open(data_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
    Ok(Way { _folder: folder, path })
}

/// Tells the server that serves this data folder. Returns its answer, and what stays open until all is over.
///
/// # Errors
/// Nobody serves the folder, or he does not answer; a refusal in his own words.
pub fn order(data_dir: &Path, order: Order) -> io::Result<(String, impl Read)> {
    let mut stream = UnixStream::connect(way(data_dir)?.path)?;
    stream.set_read_timeout(Some(ANSWER))?;
    writeln!(stream, "{order}")?;
    let mut answer = String::new();
    let mut reader = BufReader::new(stream);
    (&mut reader).take(LINE_BYTES).read_line(&mut answer)?;
    match answer.trim_end().split_once(' ') {
        Some(("ok", words)) => {
            reader.get_ref().set_read_timeout(None)?;
            Ok((words.to_owned(), reader))
        }
        Some(("no", why)) => Err(io::Error::other(why.to_owned())),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Listens for orders until the process ends.
///
/// # Errors
/// The socket cannot be made.
pub(super) fn listen(data_dir: &Path, stage: &Arc<Stage>, upgrade: &Arc<Upgrade>, acts: &Acts) -> io::Result<()> {
    fs::create_dir_all(data_dir)?;
    let way = way(data_dir)?;
    match fs::remove_file(&way.path) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
        Err(_) | Ok(()) => {}
    }
    let listener = UnixListener::bind(&way.path)?;
    fs::set_permissions(&way.path, fs::Permissions::from_mode(MODE))?;
    let (stage, upgrade, acts) = (stage.clone(), upgrade.clone(), acts.clone());
    let heed = move || {
        // Kept open until the process ends.
        let mut under_way = Vec::new();
        for stream in listener.incoming().flatten() {
            match heed(&stream, &stage, &upgrade, &acts) {
                Ok(true) => under_way.push(stream),
                Ok(false) => {}
                Err(fault) => tracing::debug!(%fault, "an order was not understood or not answered"),
            }
        }
    };
    thread::Builder::new().name("control".to_owned()).spawn(heed).map(drop)
}

/// Whether the order is being carried out.
fn heed(mut stream: &UnixStream, stage: &Arc<Stage>, upgrade: &Upgrade, acts: &Acts) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES)).read_line(&mut line)?;
    let by = By::order(stream);
    let answer = match Order::read(&line) {
        Some(Order::Drain { lead, over }) => {
            let begun = stage.drain(lead, over);
            acts.note("drain", by, begun.as_ref().map(drop).map_err(acts::code));
            let (count, seconds) = (stage.connections(), over.as_secs_f64());
            begun.map(|()| format!("draining {count} connections over {seconds} s")).map_err(|fault| fault.to_string())
        }
        Some(Order::Upgrade) => {
            let begun = upgrade.begin();
            acts.note("upgrade", by, begun.as_ref().map(drop).map_err(|_| acts::NOT_BEGUN));
            begun.map(|pid| pid.to_string())
        }
        Some(Order::Who) => {
            writeln!(stream, "ok process {} serves, version {}", std::process::id(), env!("CARGO_PKG_VERSION"))?;
            return Ok(false);
        }
        None => {
            writeln!(stream, "no it does not know this order")?;
            return Ok(false);
        }
    };
    match answer {
        Ok(words) => writeln!(stream, "ok {words}").map(|()| true),
        Err(fault) => writeln!(stream, "no {fault}").map(|()| false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_as_they_are_written() {
        let drain = Order::Drain { lead: Duration::from_millis(1_500), over: Duration::from_secs(60) };
        for order in [drain, Order::Upgrade, Order::Who] {
            assert_eq!(Order::read(&format!("{order}\n")), Some(order));
        }
        for line in [
            "",
            "drain",
            "drain 1",
            "drain a 2",
            "drain 1 2 3",
            "drain -1 2",
            "undo 1 2",
            "drain 0 86400001",
            "drain 18446744073709551615 0",
        ] {
            assert_eq!(Order::read(line), None, "{line}");
        }
    }

    #[test]
    fn where_nobody_serves_that_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let drain = Order::Drain { lead: Duration::ZERO, over: Duration::ZERO };
        let fault = order(folder.path(), drain).map(drop).unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::NotFound);
        assert!(order(&folder.path().join("none"), drain).is_err());
    }
}
