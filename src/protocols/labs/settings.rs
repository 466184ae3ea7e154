//! The times and sizes of labs, with the defaults that the contract and its page name.

use std::time::Duration;

/// How labs behave. Durations are exact, sizes in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// What agents are told, and how often they are looked at.
    pub heartbeat_interval: Duration,
    /// Heartbeats that may be missed; then the agent is offline.
    pub heartbeats_missed: u32,
    /// From an agent's upgrade to its `register`.
    pub register_timeout: Duration,
    /// How long a PATCH waits for the agent's word before it answers with what is to be.
    pub command_wait: Duration,
    /// How long a request for logs waits for the agent.
    pub logs_wait: Duration,
    /// How often an agent is asked for new lines of a log that somebody follows.
    pub follow_interval: Duration,
    /// A command without a result after this long has failed.
    pub command_timeout: Duration,
    /// A session that ends is stopped again after this long without a result.
    pub stop_retry: Duration,
    /// A viewer's Pings.
    pub ping_interval: Duration,
    /// From an unanswered Ping to the end.
    pub pong_timeout: Duration,
    /// How often a viewer's traffic is written down as activity.
    pub activity_interval: Duration,
    /// What may wait for one viewer, or for the agent from one viewer. Agents that know of credit never send more.
    pub tunnel_window: usize,
    /// What an agent may send for a viewer who is not there yet.
    pub early_bytes: usize,
    /// The namespace that sessions are in.
    pub namespace: String,
    /// How long a request waits for its row.
    pub keep_timeout: Duration,
    /// Agents that may be known at a time.
    pub max_agents: usize,
    /// An agent that is not connected, has no sessions and was not heard of for so long is forgotten.
    pub forget_agents_after: Duration,
    /// Logins that an address may try in a minute.
    pub logins_a_minute: u32,
    /// Sessions that a user may create in a minute.
    pub creations_a_minute: u32,
    /// Times that agents behind one address may register or say that they live in a minute, both by HTTP.
    pub agent_requests_a_minute: u32,
    /// Other requests that a user, or an address that is nobody's, may make in a minute.
    pub requests_a_minute: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            heartbeat_interval: Duration::from_secs(10),
            heartbeats_missed: 3,
            register_timeout: Duration::from_secs(10),
            command_wait: Duration::from_secs(10),
            logs_wait: Duration::from_secs(5),
            follow_interval: Duration::from_secs(1),
            command_timeout: Duration::from_secs(600),
            stop_retry: Duration::from_secs(300),
            ping_interval: Duration::from_secs(54),
            pong_timeout: Duration::from_secs(120),
            activity_interval: Duration::from_secs(30),
            tunnel_window: 1 << 20,
            early_bytes: 64 << 10,
            namespace: "streamspace".to_owned(),
            keep_timeout: Duration::from_secs(5),
            max_agents: 10_000,
            forget_agents_after: Duration::from_secs(7 * 24 * 3600),
            logins_a_minute: 5,
            creations_a_minute: 10,
            // A thousand agents behind one address, each with a heartbeat in 10 s.
            agent_requests_a_minute: 6_000,
            requests_a_minute: 100,
        }
    }
}
