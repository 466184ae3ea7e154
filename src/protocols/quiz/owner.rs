//! The socket of an owner.

use super::{
    connection::{Effect, Event, Gate},
    model::OwnerId,
    pulse::Pulse,
};
use crate::realtime::{ConnId, Now};

/// See [`Connection::Owner`](super::connection::Connection::Owner).
#[derive(Debug)]
pub struct Owner {
    id: OwnerId,
    pulse: Pulse,
}

impl Owner {
    pub(super) fn new(id: OwnerId, pulse: Pulse) -> Owner {
        Owner { id, pulse }
    }

    pub(super) fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, gate: &mut Gate<'_>, out: &mut Vec<Effect>) {
        let _ = (event, conn, &self.id);
        super::connection::beat(&mut self.pulse, now, gate.settings, out);
    }
}
