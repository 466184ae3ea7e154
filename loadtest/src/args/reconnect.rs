//! The command line of `reconnect`.

use super::{Crowd, duration, rate};
use crate::order::{Break, Returns};
use clap::Args;
use std::time::Duration;

/// `reconnect`.
#[derive(Args, Debug)]
pub(crate) struct Reconnect {
    /// Who signs in where.
    #[command(flatten)]
    pub(crate) crowd: Crowd,
    /// How often everybody drops and comes back.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rounds: u32,
    /// Everybody is meant to be back in this.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) within: Duration,
    /// When in it.
    #[arg(long, value_enum, default_value_t = Returns::Even)]
    pub(crate) returns: Returns,
    /// How a connection is dropped: by a Close frame, or by a reset without a word.
    #[arg(long = "drop", value_enum, default_value_t = Break::Close)]
    pub(crate) breaks: Break,
    /// So many in each room stay, and must be told of everybody who leaves and enters.
    #[arg(long, default_value_t = 1)]
    pub(crate) stay: u32,
    /// Publishes a second over all rooms, at their intended moments whatever the server does.
    #[arg(long, default_value = "20", value_parser = rate)]
    pub(crate) publish_rate: f64,
    /// Bytes of each delivered text.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(128..=65_536))]
    pub(crate) bytes: u32,
    /// How long to publish before the first drop, and after everybody is back.
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub(crate) calm: Duration,
}
