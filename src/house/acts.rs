//! Acts on the process itself that no route hears of, for the audit log: signals, and orders over `control.sock`.
//!
//! Who has sent a signal the kernel tells nobody who catches it the ordinary way: `who` is `signal`. Of an order it is the user of the
//! process that connected, as the kernel knows it (SO_PEERCRED): `uid:1000`.

use crate::{
    observe::audit::Audit,
    realtime::audit::{Outcome, Record},
    runtime::{Clock, DrainFault},
};
use rustix::net::sockopt::socket_peercred;
use std::{
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// Where they are noted. Cheap to clone, and to call from any thread.
#[derive(Clone)]
pub(super) struct Acts {
    audit: Audit,
    clock: Clock,
    /// The next SIGTERM is our own: the route that sends it has told who wants it.
    is_own: OwnStop,
}

/// Set by whoever stops the process by a signal to itself.
pub(super) type OwnStop = Arc<AtomicBool>;

/// How somebody came to act.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct By {
    on: &'static str,
    who: Option<Box<str>>,
}

impl By {
    /// A signal.
    pub(super) fn signal() -> By {
        By { on: "signal", who: Some("signal".into()) }
    }

    /// An order over this stream.
    pub(super) fn order(stream: &UnixStream) -> By {
        let who = socket_peercred(stream).ok().map(|peer| format!("uid:{}", peer.uid.as_raw()).into());
        By { on: "control.sock", who }
    }
}

impl Acts {
    pub(super) fn new(audit: &Audit, clock: Clock, is_own: &OwnStop) -> Acts {
        Acts { audit: audit.clone(), clock, is_own: is_own.clone() }
    }

    /// What came of an act; the error is a code.
    pub(super) fn note(&self, what: &'static str, by: By, came: Result<(), &'static str>) {
        let outcome = if came.is_ok() { Outcome::Done } else { Outcome::Failed };
        let By { on, who } = by;
        let at = self.clock.now().wall;
        let reason = came.err().map(Box::from);
        self.audit.note(Record { at, what, who, target: None, from: 0, on, outcome, reason });
    }

    /// A signal has begun the stop.
    pub(super) fn stopped_by_signal(&self) {
        if !self.is_own.swap(false, SeqCst) {
            self.note("stop", By::signal(), Ok(()));
        }
    }
}

/// Why an upgrade did not begin: the log says more.
pub(super) const NOT_BEGUN: &str = "not_begun";

/// Why a drain did not begin, as a code.
pub(super) fn code(fault: &DrainFault) -> &'static str {
    match fault {
        DrainFault::Stopping => "stopping",
        DrainFault::NotServing => "not_serving",
        DrainFault::System(_) => "system",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_connects_is_known_by_the_kernel() {
        let (one, _other) = UnixStream::pair().unwrap();
        let own = rustix::process::getuid().as_raw();
        assert_eq!(By::order(&one), By { on: "control.sock", who: Some(format!("uid:{own}").into()) });
    }
}
