//! What is counted of members who read slowly.

use serde::{Deserialize, Serialize};

counts! { SlowCounts:
    /// Slow members who were in when they began to be slow.
    members,
    /// Those whose connection was ended while they were slow, or before they had read what was left.
    cut_off,
    /// Messages that slow members heard.
    heard,
}
