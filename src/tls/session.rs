//! One connection's TLS: what came is turned into what the client said, and what is to be said into what is sent.

use super::Server;
use rustls::{
    HandshakeKind, ProtocolVersion,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{
        ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
    },
};
use std::fmt;

/// A connection that cannot go on. Says what of the protocol went wrong, and no byte of what was sent.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault(rustls::Error);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Fault {}

impl From<rustls::Error> for Fault {
    fn from(error: rustls::Error) -> Fault {
        Fault(error)
    }
}

/// Plain bytes in one record at most (RFC 8446, 5.1).
const RECORD_BYTES: usize = 16 << 10;
/// What a record adds to them, with room to spare.
const RECORD_OVERHEAD: usize = 64;

/// The server's side of one connection.
///
/// It holds no bytes: what [`Session::read`] has no use for yet the caller keeps, and hands in again with what comes behind it, or with
/// what is to be said. What it appends to `out` must be sent in the order in which it was appended.
pub struct Session {
    connection: UnbufferedServerConnection,
    is_open: bool,
    /// An error was told: nothing is to be read or said any more.
    is_broken: bool,
    /// So many of the bytes that the caller keeps were looked at. rustls remembers places in them, also between the fragments of a message,
    /// and must not be called without them.
    kept: usize,
    /// The client has said its last.
    has_heard_all: bool,
    /// So have we.
    has_said_all: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl Session {
    /// One that waits for the client's first words.
    ///
    /// # Errors
    /// The server's settings contradict each other, which [`Server::new`] has found out.
    pub fn new(server: &Server) -> Result<Session, Fault> {
        let connection = UnbufferedServerConnection::new(server.config().clone())?;
        Ok(Session { connection, is_open: false, is_broken: false, kept: 0, has_heard_all: false, has_said_all: false })
    }

    /// Whether the handshake is over.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the client has said its last (`close_notify`).
    pub fn has_heard_all(&self) -> bool {
        self.has_heard_all
    }

    /// Whether it took up an earlier session.
    pub fn is_resumed(&self) -> bool {
        matches!(self.connection.handshake_kind(), Some(HandshakeKind::Resumed))
    }

    /// Whether it speaks TLS 1.3; none: that is not settled yet.
    pub fn is_newest(&self) -> Option<bool> {
        self.connection.protocol_version().map(|version| version == ProtocolVersion::TLSv1_3)
    }

    /// Reads `bytes`, all that has come and was not used: appends to `plain` what the client said, and to `out` what is to be sent. Returns
    /// how many of them were used; the others are to be handed in again, as they are now, when more has come.
    ///
    /// # Errors
    /// What came is no TLS, or not what TLS wants here. `out` then ends with what is to be told to the client before the connection ends.
    pub fn read(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<usize, Fault> {
        let used = if self.is_broken { Err(broken()) } else { self.read_on(bytes, plain, out) };
        match &used {
            Ok(used) => self.kept = bytes.len() - used,
            Err(_) => self.is_broken = true,
        }
        used
    }

    fn read_on(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<usize, Fault> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut bytes[used..]);
            used += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        plain.extend_from_slice(record.payload);
                        used += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.has_heard_all = true,
                Ok(ConnectionState::WriteTraffic(_)) => {
                    self.is_open = true;
                    return Ok(used);
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => return Ok(used),
                // Early data is never offered, and whatever else rustls may come to know is nothing that was asked for.
                Ok(_) => return Err(Fault(rustls::Error::General("a state that is none of a server's".to_owned()))),
                Err(error) => {
                    self.tell_end(out);
                    return Err(Fault(error));
                }
            }
        }
    }

    /// Appends the alert of an error to `out`.
    fn tell_end(&mut self, out: &mut Vec<u8>) {
        // While it has something to say it does not look at bytes.
        while self.connection.wants_write() {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if encode(&mut data, out).is_err() {
                        return;
                    }
                }
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Appends `plain` to `out` as it is to be sent. `unread` is what the caller keeps; none of it is used.
    ///
    /// # Errors
    /// The handshake is not over, our last was said, or the keys have been used as often as they may.
    pub fn write(&mut self, unread: &mut [u8], plain: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let room = plain.len() + (plain.len() / RECORD_BYTES + 1) * RECORD_OVERHEAD;
        self.say(unread, room, out, |traffic, room| traffic.encrypt(plain, room))
    }

    /// Appends to `out` that nothing more is said. A second time it appends nothing. `unread` as in [`Session::write`].
    ///
    /// # Errors
    /// As [`Session::write`].
    pub fn finish(&mut self, unread: &mut [u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        if std::mem::replace(&mut self.has_said_all, true) {
            return Ok(());
        }
        self.say(unread, RECORD_OVERHEAD, out, |traffic, room| traffic.queue_close_notify(room))
    }

    fn say(
        &mut self,
        unread: &mut [u8],
        room: usize,
        out: &mut Vec<u8>,
        mut say: impl FnMut(&mut WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), Fault> {
        let kept = unread.get_mut(..self.kept).filter(|_| !self.is_broken).ok_or_else(broken)?;
        loop {
            match self.connection.process_tls_records(kept).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    return written(room, out, |room| say(&mut traffic, room));
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.has_heard_all = true,
                Ok(_) => return Err(Fault(rustls::Error::HandshakeNotComplete)),
                Err(error) => return Err(Fault(error)),
            }
        }
    }
}

fn broken() -> Fault {
    Fault(rustls::Error::General("it has ended by an error".to_owned()))
}

/// Appends what `write` writes, which says how much room it needs where `room` is too little.
fn written(
    mut room: usize,
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), Fault> {
    let start = out.len();
    loop {
        out.resize(start + room, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) if required_size > room => {
                room = required_size;
            }
            Err(EncryptError::InsufficientSize(_) | EncryptError::EncryptExhausted) => {
                out.truncate(start);
                return Err(Fault(rustls::Error::EncryptError));
            }
        }
    }
}

fn encode(data: &mut EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = data.encode(&mut []) else { return Ok(()) };
    out.resize(start + required_size, 0);
    data.encode(&mut out[start..]).map(|_| ()).map_err(|_| Fault(rustls::Error::EncryptError))
}

/// A session on its way from one who moved its bytes to the next.
#[derive(Debug)]
pub struct Sealed {
    /// It.
    pub session: Box<Session>,
    /// What came and was not used yet.
    pub unread: Vec<u8>,
    /// What is to be sent before all else.
    pub unsent: Vec<u8>,
}
