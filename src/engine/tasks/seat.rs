//! A connection of tasks: the machine, whose token it showed, and what it listens to.

use crate::protocols::tasks::{Channel, Connection, model::UserName};
use smallvec::SmallVec;
use uuid::Uuid;

/// See the file.
#[derive(Debug)]
pub(in crate::engine) struct Seat {
    pub(super) machine: Connection,
    /// The id of one who has signed in here; none: a guest.
    pub(super) user: Option<Uuid>,
    pub(super) channels: SmallVec<[Channel; 2]>,
}

impl Seat {
    /// Whose it is.
    pub(in crate::engine) fn user_name(&self) -> &UserName {
        self.machine.user()
    }

    pub(super) fn new(machine: Connection, user: Option<Uuid>) -> Seat {
        Seat { machine, user, channels: SmallVec::new() }
    }
}
