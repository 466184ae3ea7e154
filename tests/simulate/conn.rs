//! One connection, as its bytes tell, and when it may be told that it has failed.

use crate::{clients::Seat, listening::Listening, quiz::sockets::Socket};
use homeroom::realtime::{ConnId, Moment};
use std::time::Duration;

const AUTH_TIMEOUT: Duration = Duration::from_secs(10);
const PONG_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(30);
/// What a wheel may be late by, and a little.
pub(crate) const GRACE: Duration = Duration::from_millis(10);

/// A send that the shell has not finished.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InFlight {
    pub(crate) frames: u64,
    pub(crate) pings: usize,
}

/// One connection, as its bytes tell.
#[derive(Debug, Default)]
pub(crate) struct Conn {
    /// At the quizzes, once its head is said.
    pub(crate) quiz: Option<Box<Socket>>,
    pub(crate) accepted_at: Moment,
    pub(crate) echo: bool,
    pub(crate) upgraded_at: Option<Moment>,
    /// Its first message has arrived, whatever it was.
    pub(crate) spoke: bool,
    /// It arrived when nothing else could have ended the wait for it.
    pub(crate) spoke_in_time: bool,
    pub(crate) seat: Option<Seat>,
    pub(crate) heard_http: bool,
    pub(crate) refused: bool,
    pub(crate) success: Option<Listening>,
    pub(crate) failed: bool,
    pub(crate) terminated: bool,
    pub(crate) closed: bool,
    pub(crate) half_closed: bool,
    pub(crate) over: bool,
    pub(crate) in_flight: Option<InFlight>,
    /// Whether all that was queued for it has been handed to the socket.
    pub(crate) settled: bool,
    /// A send once had to wait: then times cannot be told from what is heard.
    pub(crate) stalled: bool,
    pub(crate) pings_said: usize,
    pub(crate) pongs_heard: usize,
    pub(crate) pinged_at: Option<Moment>,
    pub(crate) ponged: bool,
    /// The first Pong since the last Ping, in time or not.
    pub(crate) ponged_at: Option<Moment>,
}

impl Conn {
    /// Signed in, as far as its bytes tell.
    pub(crate) fn is_live(&self) -> bool {
        self.success.is_some() && !self.failed && !self.closed && !self.over
    }

    /// How many timers it has, when all is handed to it.
    pub(crate) fn timers(&self) -> u64 {
        let ending = self.failed || self.closed || self.half_closed || self.refused;
        let joining = self.spoke && self.success.is_none();
        u64::from(!self.over && (ending || !(self.echo || joining)))
    }
}

impl Conn {
    pub(crate) fn check_failure(&self, conn: ConnId, name: &str, now: Moment, turned: Moment) {
        let is_live = self.success.is_some();
        match name {
            "auth_timed_out" => {
                assert!(!self.spoke_in_time, "{conn:?} is told {name} after its first message");
                let waited = self.upgraded_at.map(|at| now.since(at)).unwrap_or_default();
                assert!(waited >= AUTH_TIMEOUT, "{conn:?} is told {name} after {waited:?}");
                let due = self.upgraded_at.map(|at| at + AUTH_TIMEOUT);
                assert!(self.stalled || is_in_time(due, turned), "{conn:?} is told {name} too late, after {waited:?}");
            }
            "pong_timed_out" => {
                assert!(is_live && !self.ponged, "{conn:?} is told {name} although its Pong has come");
                let waited = self.pinged_at.map(|at| now.since(at)).unwrap_or_default();
                assert!(waited >= PONG_TIMEOUT || self.stalled, "{conn:?} is told {name} after {waited:?}");
                let due = self.pinged_at.map(|at| at + PONG_TIMEOUT);
                assert!(self.stalled || is_in_time(due, turned), "{conn:?} is told {name} too late, after {waited:?}");
            }
            "replaced" => assert!(self.seat.is_some(), "{conn:?} is replaced and never asked to come in"),
            _ => assert!(!is_live && self.spoke, "{conn:?} is told {name}"),
        }
    }
}

/// Whether what was due then could not have been done when its shard was `turned` the last time.
pub(crate) fn is_in_time(due: Option<Moment>, turned: Moment) -> bool {
    due.is_none_or(|due| due + GRACE > turned)
}
