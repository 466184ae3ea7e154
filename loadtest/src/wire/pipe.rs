//! One nonblocking connection, bare or under TLS.

use super::{
    socket::{read_stamped, send_all},
    tls::{Client, Session},
};
use crate::fault::Fault;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::Errno,
    net::{SendFlags, send},
};

/// The connection. A bare one costs what its socket costs.
pub(crate) struct Pipe {
    socket: OwnedFd,
    session: Option<Session>,
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<OwnedFd> for Pipe {
    fn from(socket: OwnedFd) -> Pipe {
        Pipe { socket, session: None }
    }
}

impl Pipe {
    /// Over a socket that is, or is being, connected. The handshake begins with the first message.
    ///
    /// # Errors
    /// TLS that cannot be begun.
    pub(crate) fn new(socket: OwnedFd, client: Option<&Client>) -> Result<Pipe, Fault> {
        Ok(Pipe { socket, session: client.map(Session::new).transpose()? })
    }

    /// Sends all of a small message.
    ///
    /// # Errors
    /// Those of `send` and of TLS; `AGAIN` where the peer does not read.
    pub(crate) fn send_all(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.session {
            None => Ok(send_all(&self.socket, bytes)?),
            Some(session) => session.send_all(&self.socket, bytes),
        }
    }

    /// Sends as much as goes; how much that was.
    ///
    /// # Errors
    /// Those of `send` and of TLS.
    pub(crate) fn send_some(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match &mut self.session {
            Some(session) => session.send_some(&self.socket, bytes),
            None => match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => Ok(sent),
                Err(Errno::AGAIN) => Ok(0),
                Err(errno) => Err(errno.into()),
            },
        }
    }

    /// The socket takes bytes again: TLS may have some.
    ///
    /// # Errors
    /// Those of `send`.
    pub(crate) fn flush(&mut self) -> Result<(), Fault> {
        self.session.as_mut().map_or(Ok(()), |session| session.flush(&self.socket))
    }

    /// Reads, and tells when the last of it came in where that is stamped ([`read_stamped`]). 0 is the end. A read that does not fill the
    /// buffer has emptied the connection.
    ///
    /// # Errors
    /// Those of the socket and of TLS; `AGAIN` where there is nothing.
    pub(crate) fn read(&mut self, buffer: &mut [u8], stamped: bool) -> Result<(usize, Option<u64>), Fault> {
        let socket = &self.socket;
        let mut stamp_ns = None;
        let mut fetch = |buffer: &mut [u8]| {
            if !stamped {
                return rustix::io::read(socket, buffer);
            }
            let (read, at_ns) = read_stamped(socket, buffer)?;
            stamp_ns = at_ns;
            Ok(read)
        };
        let read = match &mut self.session {
            None => fetch(buffer)?,
            Some(session) => session.read(socket, buffer, fetch)?,
        };
        Ok((read, stamp_ns))
    }
}
