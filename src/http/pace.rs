//! Where a connection is in the life of a request, and when its client has taken too long.
//! Set by the socket and the service, read by the driver.

use super::limits::Limits;
use std::{cell::Cell, time::Instant};

/// What a connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of the headers.
    Head,
    /// The rest of the body.
    Body,
    /// Us: the handler, or an answer that streams.
    Work,
}

/// The phase, since when, and since when the client takes nothing of what waits to be sent.
#[derive(Debug)]
pub(super) struct Pace {
    limits: Limits,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    stalled: Cell<Option<Instant>>,
    /// Whether it is of interest that the client says its last, while nothing that it says is read.
    is_watched: Cell<bool>,
    /// The client has closed its side.
    has_said_all: Cell<bool>,
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Pace {
        Pace {
            limits,
            phase: Cell::new(Phase::Idle),
            since: Cell::new(Instant::now()),
            stalled: Cell::new(None),
            is_watched: Cell::new(false),
            has_said_all: Cell::new(false),
        }
    }

    /// Whether the client's side is to be watched from now on.
    pub(super) fn watch(&self, is_watched: bool) {
        self.is_watched.set(is_watched);
    }

    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.get()
    }

    /// The client has closed its side. It may still listen.
    pub(super) fn say_all(&self) {
        self.has_said_all.set(true);
    }

    pub(super) fn has_said_all(&self) -> bool {
        self.has_said_all.get()
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// Bytes came.
    pub(super) fn received(&self) {
        match self.phase.get() {
            Phase::Idle => self.enter(Phase::Head),
            Phase::Head | Phase::Body | Phase::Work => {}
        }
    }

    /// The client took bytes.
    pub(super) fn sent(&self) {
        self.stalled.set(None);
    }

    /// The client takes nothing now.
    pub(super) fn blocked(&self) {
        if self.stalled.get().is_none() {
            self.stalled.set(Some(Instant::now()));
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.stalled.get().is_some()
    }

    /// When to give up, as things stand.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let allowance = match self.phase.get() {
            Phase::Idle => Some(self.limits.idle),
            Phase::Head => Some(self.limits.head),
            Phase::Body => Some(self.limits.body),
            Phase::Work => None,
        };
        let phase = allowance.map(|allowance| self.since.get() + allowance);
        let stall = self.stalled.get().map(|since| since + self.limits.stall);
        phase.into_iter().chain(stall).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_measured_from_its_first_byte() {
        let limits = Limits::default();
        let pace = Pace::new(limits);
        assert!(pace.deadline() > Some(Instant::now() + limits.head));
        pace.received();
        let first = pace.deadline();
        assert!(first <= Some(Instant::now() + limits.head));
        pace.received();
        assert_eq!(pace.deadline(), first);
    }

    #[test]
    fn work_has_no_limit_but_a_client_that_takes_nothing_has() {
        let limits = Limits::default();
        let pace = Pace::new(limits);
        pace.enter(Phase::Work);
        assert_eq!(pace.deadline(), None);
        pace.blocked();
        let first = pace.deadline();
        assert!(first.is_some());
        pace.blocked();
        assert_eq!(pace.deadline(), first);
        pace.sent();
        assert_eq!(pace.deadline(), None);
    }
}
