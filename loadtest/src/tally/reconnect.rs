//! What is counted where everybody drops and comes back.

use serde::{Deserialize, Serialize};

counts! { ReturnCounts:
    /// Connections dropped by a Close frame.
    left,
    /// Connections dropped by a reset, without a word.
    reset,
    /// Returns begun, and those that were signed in again.
    begun,
    returned,
    /// Returns whose moment came while their own close was under way.
    waited,
    /// Leavings that those who stayed must be told of, and comings back; each for each of them.
    leavings_owed,
    comings_owed,
    /// Those that they were told of.
    leavings_heard,
    comings_heard,
    /// Returns so soon after the drop that a server need not have seen anybody go; each for each of those who stayed.
    unnoticed,
    /// Leavings and comings told twice or out of their turn.
    misheard,
}

impl ReturnCounts {
    /// Whether those who stayed have been told of everybody.
    pub(crate) fn is_told(&self) -> bool {
        let open = |owed: u64, heard: u64| owed.saturating_sub(heard) > self.unnoticed;
        !open(self.leavings_owed, self.leavings_heard) && !open(self.comings_owed, self.comings_heard)
    }
}
