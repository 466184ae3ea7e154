//! What is counted of labs.

use serde::{Deserialize, Serialize};

counts! { LabCounts:
    /// Agents that the server has registered.
    online,
    /// Sessions asked for by REST, accepted, and seen running.
    asked,
    made,
    running,
    /// `start_session` and `stop_session` heard by agents.
    starts,
    stops,
    /// Commands that were heard again.
    doubled,
    /// Viewers whose upgrade was answered with 101, and tunnels that their agents were asked for.
    watching,
    tunnels,
    /// Tunnels whose end the agent was told, after the viewer had closed.
    untied,
    /// Bytes pushed by agents, and those that came to their viewers as they were sent.
    down_sent,
    down_heard,
    /// Bytes pushed by viewers, and those that came to their agents as they were sent.
    up_sent,
    up_heard,
    /// Streams in which something came that was not sent, or not there.
    broken,
    /// Keys sent, echoed by agents, and heard again by their viewers.
    keys_sent,
    keys_echoed,
    keys_heard,
    /// Blocks and keys that were due and waited for a full socket or for credit.
    held_back,
    /// Error messages that agents were sent.
    reproached,
    /// Sockets that ended before they should.
    lost,
    /// Sockets that ended as they should: viewers', agents'.
    viewers_closed,
    agents_closed,
    /// Sessions deleted by REST, and seen terminated.
    deleted,
    terminated,
    /// Pings answered.
    pings,
    /// Bytes read from sockets.
    bytes_read,
}
