//! What is counted where nodes restart one after the other.

use serde::{Deserialize, Serialize};

counts! { RollingCounts:
    /// Students who were told to come elsewhere, and those who then were in at another node.
    told,
    moved,
    /// Sign-ins that a node which was leaving did not finish: each was begun again at another.
    retried,
    /// Former connections that were told that the next one had taken their place.
    replaced,
    /// Times that a student had no connection: neither one that was signed in, nor one to which the last had just given its place.
    bare,
    /// Times that a node was seen to be no longer ready.
    gone,
    /// Messages that students were in for, each for each of them; and messages without an answer that they heard.
    meant,
    unsure_heard,
    /// Publishes whose connection ended before the answer, or that were refused.
    unsure,
    /// Publishes that found a node gone before they were sent, and went to another.
    redirected,
}
