//! The times and sizes of presence, with the defaults that the contract and its page name.

use std::time::Duration;

/// How presence behaves. Durations are exact; sizes are in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// From the end of the upgrade to a whole first frame; then `auth_timed_out`.
    pub auth_timeout: Duration,
    /// From one Ping to the next.
    pub ping_interval: Duration,
    /// From a Ping to its Pong; then `pong_timed_out`.
    pub pong_timeout: Duration,
    /// How long a sign-in waits for its row; then `database_connection_acquisition_failed`.
    pub enter_timeout: Duration,
    /// Whether members hear who enters and leaves.
    pub events: bool,
    /// Above so many members the changes of a tick are one frame.
    pub coalesce_above: usize,
    /// The tick.
    pub coalesce_tick: Duration,
    /// The longest `agent_label`.
    pub max_label_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            auth_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(5),
            enter_timeout: Duration::from_secs(5),
            events: true,
            coalesce_above: 100,
            coalesce_tick: Duration::from_millis(250),
            max_label_bytes: 256,
        }
    }
}
