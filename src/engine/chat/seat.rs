//! A connection of chat: the machine, and whose token it showed.

use super::super::labs::Labs;
use crate::{
    auth::CallerKey,
    protocols::chat::{Connection, SessionId, UserId, model::Caller},
    realtime::UnixMicros,
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
    /// The session whose home it has asked, and not heard from.
    pub(super) joining: Option<SessionId>,
}

impl Seat {
    pub(super) fn new(machine: Connection) -> Seat {
        Seat { machine, user: None, heard: 0, joining: None }
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
