//! The times and sizes of tasks, with the defaults that the contract and its page name.

use std::time::Duration;

/// How tasks behave. Durations are exact, sizes in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Sockets of one user, over all shards.
    pub max_connections: u32,
    /// Messages of one socket in a minute, pongs not counted.
    pub messages_a_minute: u32,
    /// Subscriptions of one socket.
    pub max_subscriptions: usize,
    /// JSON pings.
    pub ping_interval: Duration,
    /// Unanswered pings after which a socket is closed; 0: it never is.
    pub pings_missed: u32,
    /// A socket from which nothing comes for so long is closed.
    pub inactivity_timeout: Duration,
    /// Whether a pong is something.
    pub pong_is_activity: bool,
    /// How often `system_status_update` is sent where nothing changed.
    pub status_interval: Duration,
    /// Between two updates of a task's progress.
    pub progress_interval: Duration,
    /// Tasks and steps that run at a time on one shard; the others wait, by priority.
    pub max_running: usize,
    /// Tasks and executions of one shard that may wait.
    pub max_waiting: usize,
    /// How many of them may be one user's; of an execution that runs all steps that wait count.
    pub max_waiting_of_user: usize,
    /// Bytes of `task`.
    pub max_task_bytes: usize,
    /// Bytes of what an agent gives.
    pub max_output_bytes: usize,
    /// Bytes of a message.
    pub max_message_bytes: usize,
    /// How long a request, of a socket or over REST, waits for its row. What was begun for its sake goes on behind that.
    pub keep_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            max_connections: 10,
            messages_a_minute: 100,
            max_subscriptions: 50,
            ping_interval: Duration::from_secs(30),
            pings_missed: 0,
            inactivity_timeout: Duration::from_secs(30 * 60),
            pong_is_activity: true,
            status_interval: Duration::from_secs(30),
            progress_interval: Duration::from_millis(200),
            max_running: 1_000,
            max_waiting: 10_000,
            max_waiting_of_user: 1_000,
            max_task_bytes: 64 << 10,
            max_output_bytes: 256 << 10,
            max_message_bytes: 256 << 10,
            keep_timeout: Duration::from_secs(5),
        }
    }
}
