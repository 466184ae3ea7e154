//! The command line of `rolling`.

use super::{Crowd, duration, rate};
use clap::Args;
use std::time::Duration;

/// `rolling`.
#[derive(Args, Debug)]
pub(crate) struct Rolling {
    /// Who signs in where; --url and --internal are the first node's.
    #[command(flatten)]
    pub(crate) crowd: Crowd,
    /// Another node: its WebSocket route and its internal listener, with a comma between. Once for each.
    #[arg(long = "also", value_name = "URL,INTERNAL", required = true)]
    pub(crate) others: Vec<String>,
    /// What restarts a node, for each of them in turn and in a shell: `NODE` is its number, from 0. It ends when the node has ended and was
    /// started again. Without it nodes are restarted by somebody else, in --for.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) restart: Option<String>,
    /// How often each is restarted.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// A node must be ready again so soon after its command has ended.
    #[arg(long, default_value = "2m", value_parser = duration)]
    pub(crate) ready_within: Duration,
    /// How long to publish, where nothing is restarted by a command.
    #[arg(long = "for", default_value = "60s", value_parser = duration)]
    pub(crate) lasting: Duration,
    /// How long to publish before the first restart, and behind each.
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub(crate) calm: Duration,
    /// Publishes a second over all rooms, at their intended moments whatever the nodes do.
    #[arg(long, default_value = "20", value_parser = rate)]
    pub(crate) publish_rate: f64,
    /// Bytes of each delivered text.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(128..=65_536))]
    pub(crate) bytes: u32,
}
