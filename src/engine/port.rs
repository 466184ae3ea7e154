//! What flows between an engine and the shell that owns its sockets.
//!
//! The life of a connection, as the shell sees it:
//! 1. `accepted(listener) -> Option<ConnId>`; `None` means: close the socket at once.
//! 2. `received(conn, bytes)` as bytes come, in order; `ended(conn)` once, when the peer will send no more (end of stream or an error).
//! 3. The engine asks for sends ([`Output::sends`], at most one in flight for each connection). The shell writes the whole
//!    segment, however many partial writes that takes, and then says `sent(conn, true)`, or `sent(conn, false)` when the socket broke.
//! 4. The engine says [`Output::half_closes`] (send FIN once nothing is in flight, go on reading) and, at the end,
//!    [`Output::closes`] (shut both ways, even with a send in flight). When no operation of the shell's is left on the socket it
//!    closes the descriptor and says
//!    `released(conn)`; only then may the slot be used again.
//! 5. [`Output::handoffs`]: plain HTTP, and whom labs let have no socket. The shell stops receiving, gives the descriptor with the bytes
//!    read so far to REST and says `released`.

use crate::{protocols::labs::admission::Denial, realtime::ConnId};
use std::fmt;

pub use crate::realtime::outbox::Segment;

/// Which configured listener a connection came in by: an index into the configuration's list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Listener(pub u8);

/// One send: the shell owes one `sent` for it.
#[derive(Clone, Debug)]
pub struct Send {
    /// To whom.
    pub conn: ConnId,
    /// What.
    pub segment: Segment,
    /// What follows it, in order: sent along with it, each from where it lies.
    pub more: Vec<Segment>,
    /// Nothing follows but the end, which the engine asks for as soon as this is `sent`: the shell may keep it back until then, so that
    /// both leave in one packet.
    pub is_last: bool,
}

/// A connection that turned out to be plain HTTP, or is to be refused as such. `Debug` does not show the head: it may hold a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Handoff {
    /// Which.
    pub conn: ConnId,
    /// By which listener it came.
    pub listener: Listener,
    /// What was read from it and not yet understood.
    pub head: Vec<u8>,
    /// Why it has not the socket of labs that it asks for, which REST is to tell; none: it asks for none.
    pub refused: Option<Denial>,
}

impl fmt::Debug for Handoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head_bytes = self.head.len();
        f.debug_struct("Handoff")
            .field("conn", &self.conn)
            .field("listener", &self.listener)
            .field("head_bytes", &head_bytes)
            .field("refused", &self.refused)
            .finish()
    }
}

/// All that a turn wants done. The shell empties it in the order of the fields: bytes are on their way before a letter tells of them.
#[derive(Default, Debug)]
pub struct Output {
    /// Sends, in the order in which they must be submitted.
    pub sends: Vec<Send>,
    /// Send FIN when what is in flight has left; go on reading.
    pub half_closes: Vec<ConnId>,
    /// Shut down both ways now.
    pub closes: Vec<ConnId>,
    /// To REST.
    pub handoffs: Vec<Handoff>,
    /// Much will come from these: receive it in large pieces from now on.
    pub bulk: Vec<ConnId>,
    /// Receive nothing from these until they are resumed. What has arrived by then is still told, and the end where there is one; an end
    /// that comes later is not.
    pub pauses: Vec<ConnId>,
    /// Receive again.
    pub resumes: Vec<ConnId>,
}
