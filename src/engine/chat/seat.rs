//! A connection of chat: the machine, and whose token it showed.

use super::super::labs::Labs;
use crate::{
    auth::CallerKey,
    protocols::chat::{Connection, UserId, model::Caller},
    realtime::{NodeSlot, ShardId, UnixMicros},
};
use std::cell::Cell;

/// See the file.
#[derive(Debug)]
pub(in crate::engine) struct Seat {
    pub(super) machine: Connection,
    /// Whose it is, once that is known.
    pub(super) user: Option<UserId>,
    /// What a stranger has said so far, in bytes.
    pub(super) heard: usize,
    /// The home that it has asked, or joined; none: the one that the view names.
    pub(super) home: Option<ShardId>,
    /// How often it was sent on since it asked for the session.
    pub(super) hops: u8,
    /// The node where a message of its is being counted.
    pub(super) counting: Option<NodeSlot>,
}

impl Seat {
    pub(super) fn new(machine: Connection) -> Seat {
        Seat { machine, user: None, heard: 0, home: None, hops: 0, counting: None }
    }

    /// Whose it is, once that is known.
    pub(in crate::engine) fn user(&self) -> Option<UserId> {
        self.user
    }
}

/// Says whose token it is.
pub(super) struct Judge<'a> {
    pub(super) key: &'a CallerKey,
    /// It knows who may not sign in any more.
    pub(super) labs: &'a Labs,
    pub(super) now: UnixMicros,
    /// Whose the last good one was.
    pub(super) found: Cell<Option<UserId>>,
}

impl Judge<'_> {
    pub(super) fn caller(&self, token: &str) -> Option<Caller> {
        let claims = self.key.read(token, self.now)?;
        // The role as it is, not as it was when the token was issued.
        let admin = self.labs.standing(claims.token, claims.user)?;
        self.found.set(Some(claims.user));
        Some(Caller { id: claims.user, email: claims.email.into(), admin })
    }
}
