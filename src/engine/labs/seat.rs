//! What a connection of labs has beside what every connection has. In a box of its own, so that no other is larger for it.

use super::unheard::Unheard;
use crate::{
    protocols::labs::{Agent, Effect, Event, Follower, Settings, UserId, Viewer, chunk::HEADROOM, viewer::CHUNK_BYTES},
    realtime::{ConnId, Now},
    websocket::{BulkSession, Pieces, session},
};
use uuid::Uuid;

/// Which machine it is.
#[derive(Debug)]
pub(in crate::engine) enum Machine {
    /// An agent's, in either dialect.
    Agent(Agent),
    /// A viewer's.
    Viewer(Viewer),
    /// One's that follows a log.
    Follower(Follower),
}

/// See the file.
#[derive(Debug)]
pub(in crate::engine) struct Seat {
    pub(super) machine: Machine,
    pub(super) session: BulkSession,
    /// While the upgrade is not answered: all that was read, the head and what is behind it.
    pub(super) held: Option<Vec<u8>>,
    /// What was read behind the head, or while the machine wanted nothing read, and it has not heard.
    pub(super) unheard: Unheard,
    /// Whether the machine wants nothing read.
    pub(super) is_paused: bool,
    /// Whether the peer will say no more than what is unheard.
    pub(super) peer_ended: bool,
    /// By what right it is here.
    pub(super) token: Option<Uuid>,
    /// Whose right that is.
    pub(super) user: Option<UserId>,
    /// What it may send.
    pub(super) limits: session::Limits,
    /// What may wait for it, in bytes.
    pub(in crate::engine) bound: usize,
}

impl Seat {
    /// Whether its upgrade is not answered.
    pub(in crate::engine) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whose right it is here by; an agent has none.
    pub(in crate::engine) fn user(&self) -> Option<UserId> {
        self.user
    }

    pub(super) fn new(machine: Machine, limits: session::Limits, bound: usize) -> Seat {
        Seat {
            machine,
            session: BulkSession::default(),
            held: None,
            unheard: Unheard::default(),
            is_paused: false,
            peer_ended: false,
            token: None,
            user: None,
            limits,
            bound,
        }
    }

    /// In what its binary messages are told: an agent's begin with a header of their own, borders in a viewer's stream mean nothing.
    pub(super) fn pieces(&self) -> Pieces {
        let most = match self.machine {
            Machine::Agent(_) => self.limits.message.max(1),
            Machine::Viewer(_) | Machine::Follower(_) => CHUNK_BYTES,
        };
        Pieces { headroom: HEADROOM, most }
    }

    /// How many of the peer's bytes may be told to the machine at once: they may end a message, or a piece of one, that has come in part.
    pub(super) fn room(&self) -> usize {
        match &self.machine {
            Machine::Agent(_) | Machine::Follower(_) => usize::MAX,
            Machine::Viewer(viewer) => {
                let held = if self.session.is_collecting() { self.limits.message } else { CHUNK_BYTES };
                viewer.room().saturating_sub(held)
            }
        }
    }

    /// Whether what comes is to be told to the machine at once.
    pub(super) fn hears(&self) -> bool {
        self.held.is_none() && !self.is_paused && self.unheard.is_empty()
    }
}

impl Machine {
    pub(super) fn handle(&mut self, event: Event<'_>, conn: ConnId, now: Now, settings: &Settings, out: &mut Vec<Effect>) {
        match self {
            Machine::Agent(agent) => agent.handle(event, conn, now, settings, out),
            Machine::Viewer(viewer) => viewer.handle(event, conn, now, settings, out),
            Machine::Follower(follower) => follower.handle(event, conn, now, settings, out),
        }
    }
}
