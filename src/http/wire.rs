//! A stream as hyper wants it, with the bytes in front that were read before.

use super::{pace::Pace, stream::Stream};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

/// Read at once, by way of the stack.
const READ_BYTES: usize = 4 << 10;

/// The socket.
pub(super) struct Wire {
    pub(super) stream: Stream,
    /// Read before, with how much of it hyper has had.
    head: Vec<u8>,
    taken: usize,
    pace: Rc<Pace>,
}

impl Wire {
    pub(super) fn new(stream: Stream, head: Vec<u8>, pace: Rc<Pace>) -> Wire {
        Wire { stream, head, taken: 0, pace }
    }

    fn take_head(&mut self, into: &mut ReadBufCursor<'_>) {
        let rest = &self.head[self.taken..];
        let rest = &rest[..rest.len().min(into.remaining())];
        into.put_slice(rest);
        self.taken += rest.len();
        if self.taken == self.head.len() {
            self.head = Vec::new();
            self.taken = 0;
        }
    }
}

impl Wire {
    /// Reads ahead while an answer streams, which hyper does not: only so it is found that the client has closed its side, or is gone.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.pace.is_watched() || self.pace.has_said_all() || !self.head.is_empty() {
            return Ok(());
        }
        let mut bytes = [0; READ_BYTES];
        match self.stream.poll_read(cx, &mut bytes) {
            Poll::Pending => {}
            Poll::Ready(read) => match read? {
                0 => {
                    self.pace.say_all();
                    // The body is asked again, now that this is known.
                    cx.waker().wake_by_ref();
                }
                // A request that does not wait for its turn.
                read => self.head = bytes[..read].to_vec(),
            },
        }
        Ok(())
    }
}

impl Read for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if !wire.head.is_empty() {
            wire.pace.received();
            wire.take_head(&mut into);
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; READ_BYTES];
        let room = READ_BYTES.min(into.remaining());
        let read = ready!(wire.stream.poll_read(cx, &mut bytes[..room]))?;
        if read > 0 {
            wire.pace.received();
        }
        into.put_slice(&bytes[..read]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let written = wire.stream.poll_write(cx, bytes);
        match written {
            Poll::Ready(_) => wire.pace.sent(),
            Poll::Pending => wire.pace.blocked(),
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        wire.look_ahead(cx)?;
        let flushed = wire.stream.poll_flush(cx);
        if wire.stream.is_sealed() {
            match flushed {
                Poll::Ready(_) => wire.pace.sent(),
                Poll::Pending => wire.pace.blocked(),
            }
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_close(cx)
    }
}
