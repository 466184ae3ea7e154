//! The socket of an HTTP connection: bare, or with TLS over it.

use crate::tls::{Sealed, Session};
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use std::{
    future::poll_fn,
    io,
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Read from a socket at once, by way of the stack.
const READ_BYTES: usize = 4 << 10;
/// Sealed at once: one record. What is sealed waits for the socket, so that a client that takes nothing holds this much and no more.
const SEAL_BYTES: usize = 16 << 10;

/// See the file.
pub enum Stream {
    /// Bytes as they are.
    Bare(TcpStream),
    /// Under TLS.
    Sealed(Box<Cover>),
}

/// A socket with TLS over it.
pub struct Cover {
    socket: TcpStream,
    session: Box<Session>,
    /// What came and was not used yet.
    unread: Vec<u8>,
    /// What the client said and nobody has read, from `taken` on.
    plain: Vec<u8>,
    taken: usize,
    /// What is to be sent, from `sent` on.
    unsent: Vec<u8>,
    sent: usize,
    /// The socket's end was read.
    has_ended: bool,
}

impl Stream {
    /// Over this socket; `sealed`: a session is under way on it.
    pub fn new(socket: TcpStream, sealed: Option<Sealed>) -> Stream {
        match sealed {
            None => Stream::Bare(socket),
            Some(Sealed { session, unread, unsent }) => Stream::Sealed(Box::new(Cover {
                socket,
                session,
                unread,
                plain: Vec::new(),
                taken: 0,
                unsent,
                sent: 0,
                has_ended: false,
            })),
        }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Stream::Bare(socket) => socket,
            Stream::Sealed(cover) => &cover.socket,
        }
    }

    /// Whether what was written may wait here for the socket.
    pub(super) fn is_sealed(&self) -> bool {
        matches!(self, Stream::Sealed(_))
    }

    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Bare(socket) => Pin::new(socket).poll_read(cx, bytes),
            Stream::Sealed(cover) => cover.poll_read(cx, bytes),
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Bare(socket) => Pin::new(socket).poll_write(cx, bytes),
            Stream::Sealed(cover) => cover.poll_write(cx, bytes),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Bare(socket) => Pin::new(socket).poll_flush(cx),
            Stream::Sealed(cover) => cover.poll_flush(cx),
        }
    }

    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Bare(socket) => Pin::new(socket).poll_close(cx),
            Stream::Sealed(cover) => {
                cover.farewell()?;
                ready!(cover.poll_flush(cx))?;
                Pin::new(&mut cover.socket).poll_close(cx)
            }
        }
    }

    /// Reads some; 0: the client has said its last.
    pub(super) async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, bytes)).await
    }

    /// Closes our side, with TLS's own farewell before it.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
        if let Stream::Sealed(cover) = self {
            cover.farewell()?;
            poll_fn(|cx| cover.poll_flush(cx)).await?;
        }
        self.socket().shutdown(Shutdown::Write).await.map_err(io::Error::from)
    }
}

impl Cover {
    fn poll_read(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.taken < self.plain.len() {
                let some = bytes.len().min(self.plain.len() - self.taken);
                bytes[..some].copy_from_slice(&self.plain[self.taken..self.taken + some]);
                self.taken += some;
                return Poll::Ready(Ok(some));
            }
            (self.plain, self.taken) = (Vec::new(), 0);
            if self.session.has_heard_all() || self.has_ended {
                return Poll::Ready(Ok(0));
            }
            // What is there already goes before what the socket has.
            if self.unseal()? && (!self.plain.is_empty() || self.session.has_heard_all()) {
                continue;
            }
            let mut came = [0; READ_BYTES];
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut came))? {
                0 => self.has_ended = true,
                some => {
                    self.unread.extend_from_slice(&came[..some]);
                    self.unseal()?;
                    self.send_on(cx)?;
                }
            }
        }
    }

    /// Reads what came. Whether there was something.
    fn unseal(&mut self) -> io::Result<bool> {
        if self.unread.is_empty() {
            return Ok(false);
        }
        let read = self.session.read(&mut self.unread, &mut self.plain, &mut self.unsent);
        let used = read.map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        self.unread.drain(..used);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        Ok(true)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let some = bytes.len().min(SEAL_BYTES);
        self.session.write(&mut self.unread, &bytes[..some], &mut self.unsent).map_err(io::Error::other)?;
        self.send_on(cx)?;
        Poll::Ready(Ok(some))
    }

    /// Sends what can be sent now.
    fn send_on(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_flush(cx) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, &self.unsent[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                some => self.sent += some,
            }
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn farewell(&mut self) -> io::Result<()> {
        self.session.finish(&mut self.unread, &mut self.unsent).map_err(io::Error::other)
    }
}
