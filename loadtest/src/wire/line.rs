//! One TCP connection: what it has not read to the end, and what is awaited on it.

use super::pipe::Pipe;
use crate::fault::Fault;
use rustix::io::Errno;

/// One connection, or the place for one.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) socket: Option<Pipe>,
    /// TCP has not answered.
    pub(crate) dialling: bool,
    /// What must come in time.
    pub(crate) awaits: Option<&'static str>,
    /// Tells this wait from those before.
    pub(crate) serial: u32,
    /// A message that is not whole yet. Empty, and mostly without memory, between messages.
    pub(crate) rest: Vec<u8>,
}

/// What a read gave.
pub(crate) enum Filled {
    /// So many bytes, with those kept before; whether there may be more; when the last came in, where that is stamped.
    Bytes { count: usize, full: bool, stamp_ns: Option<u64> },
    /// Nothing is there.
    Nothing,
    /// The peer has ended, or the connection is broken.
    Over(Fault),
}

impl Line {
    /// Something must come in time from now on.
    pub(crate) fn await_next(&mut self, what: &'static str) -> u32 {
        self.awaits = Some(what);
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    /// It has come, or need not come any more.
    pub(crate) fn rest_assured(&mut self) {
        self.awaits = None;
    }

    /// There is no connection any more.
    pub(crate) fn drop_socket(&mut self) {
        self.socket = None;
        self.dialling = false;
        self.awaits = None;
        self.rest = Vec::new();
    }

    /// Sends all of a small message.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.socket.as_mut().ok_or(Fault::Ended)?.send_all(bytes)
    }

    /// Sends as much as goes; how much that was.
    pub(crate) fn send_some(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.socket.as_mut().ok_or(Fault::Ended)?.send_some(bytes)
    }

    /// Reads into `buffer`, behind what was kept.
    pub(crate) fn fill(&mut self, buffer: &mut [u8], stamped: bool) -> Filled {
        let Some(socket) = &mut self.socket else { return Filled::Nothing };
        let before = self.rest.len();
        match socket.read(&mut buffer[before..], stamped) {
            Ok((0, _)) => Filled::Over(Fault::Ended),
            Ok((read, stamp_ns)) => {
                buffer[..before].copy_from_slice(&self.rest);
                self.rest = Vec::new();
                Filled::Bytes { count: before + read, full: before + read == buffer.len(), stamp_ns }
            }
            Err(Fault::Os(Errno::AGAIN | Errno::INTR)) => Filled::Nothing,
            Err(fault) => Filled::Over(fault),
        }
    }
}
