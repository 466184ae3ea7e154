//! The times and sizes of quizzes, with the defaults that the contract and its page name.

use std::time::Duration;

/// How quizzes behave. Durations are exact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// From one Ping to the next. Connections are spread over it evenly, so the first Ping comes after at most this long.
    pub ping_interval: Duration,
    /// From the first unanswered Ping on; then the connection is ended.
    pub pong_timeout: Duration,
    /// The shortest time between two snapshots of one channel.
    pub snapshot_interval: Duration,
    /// The most rows of a snapshot. A larger leaderboard is cut after the best, a larger list of attempts after the latest.
    pub snapshot_rows: usize,
    /// How long after the end of an attempt its flags are still taken.
    pub flags_after_end: Duration,
    /// How many attempts may run at one quiz at once.
    pub max_running: usize,
    /// From `attempt_closed` to the Close of the participant's socket.
    pub goodbye: Duration,
    /// How long a request waits for its turn and its row; then it is told that the store is busy. The beginning of an attempt waits for
    /// its turn alone so long, and then for the store's own word; a request that ends all waits so long for each next end.
    pub keep_timeout: Duration,
    /// How long a quiz with nothing under way and nobody watching stays in memory.
    pub idle: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ping_interval: Duration::from_secs(5),
            pong_timeout: Duration::from_secs(10),
            snapshot_interval: Duration::from_millis(200),
            snapshot_rows: 200,
            flags_after_end: Duration::from_secs(30),
            max_running: 100_000,
            goodbye: Duration::from_secs(1),
            keep_timeout: Duration::from_secs(5),
            idle: Duration::from_secs(60),
        }
    }
}
