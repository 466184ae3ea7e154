//! How far something is that a shard has to read when another view has come.

use crate::realtime::Moment;
use std::time::Duration;

/// What could not be read is tried again after this.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// See the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    /// Somebody may say something by an earlier view.
    Barred,
    /// The store is asked.
    Asked,
    /// It could not be read, and is asked again then.
    Failed(Moment),
}

impl Reading {
    pub(super) fn next_deadline(self) -> Option<Moment> {
        match self {
            Reading::Barred | Reading::Asked => None,
            Reading::Failed(again) => Some(again),
        }
    }

    pub(super) fn is_due(self, now: Moment) -> bool {
        self.next_deadline().is_some_and(|again| again <= now)
    }
}
