//! The body of an answer on its way: whose end makes the connection idle, and which finds out whether anybody still listens.

use super::{
    answer::Payload,
    pace::{Pace, Phase},
};
use bytes::Bytes;
use glommio::timer::Timer;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

/// What clients of server-sent events skip.
pub(super) const COMMENT: &[u8] = b": still here\n\n";
/// From one probe to the next: for the answer of a client's machine to come back.
const PROBES_EVERY: Duration = Duration::from_secs(1);
/// The first is answered by one who has gone, and the next cannot be sent to him; one more for those who are far away.
const PROBES: u8 = 3;

/// See the file.
pub(super) struct Paced {
    payload: Payload,
    pace: Rc<Pace>,
    /// How many may still be sent to a client that has said its last: it may listen, or have gone, which looks the same.
    probes: u8,
    next: Option<Timer>,
}

impl Paced {
    /// The body of an answer; `is_events`: its clients skip comments, so that it is watched whether they are there.
    pub(super) fn new(payload: Payload, pace: Rc<Pace>, is_events: bool) -> Paced {
        pace.watch(is_events);
        Paced { payload, pace, probes: if is_events { PROBES } else { 0 }, next: None }
    }

    fn probe(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.probes == 0 || !self.pace.has_said_all() {
            return Poll::Pending;
        }
        if self.next.as_mut().is_some_and(|next| Pin::new(next).poll(cx).is_pending()) {
            return Poll::Pending;
        }
        self.probes -= 1;
        self.next = Some(Timer::new(PROBES_EVERY));
        Poll::Ready(Bytes::from_static(COMMENT))
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.pace.watch(false);
        self.pace.enter(Phase::Idle);
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match Pin::new(&mut self.payload).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => self.probe(cx).map(|comment| Some(Ok(Frame::data(comment)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.payload.size_hint()
    }
}
