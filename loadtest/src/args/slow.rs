//! The command line of `slow`.

use super::{Crowd, duration, rate, share};
use clap::Args;
use std::time::Duration;

/// `slow`.
#[derive(Args, Debug)]
pub(crate) struct Slow {
    /// Who signs in where; all of them before the first publish.
    #[command(flatten)]
    pub(crate) crowd: Crowd,
    /// The share of members who are slow, at least one.
    #[arg(long, default_value_t = 0.01, value_parser = share)]
    pub(crate) share: f64,
    /// What each of them reads, bytes a second [default: nothing].
    #[arg(long, value_parser = rate)]
    pub(crate) read_rate: Option<f64>,
    /// What the kernel may keep for each of them, bytes, as it doubles it (socket(7), SO_RCVBUF) [default: as much as it likes].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1_024..=1_073_741_824))]
    pub(crate) receive_buffer: Option<u32>,
    /// Publishes a second over all rooms, at their intended moments whatever the server does.
    #[arg(long, default_value = "100", value_parser = rate)]
    pub(crate) publish_rate: f64,
    /// Bytes of each delivered text.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(128..=65_536))]
    pub(crate) bytes: u32,
    /// How long everybody reads.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) before: Duration,
    /// How long the slow ones do not.
    #[arg(long = "for", default_value = "20s", value_parser = duration)]
    pub(crate) lasting: Duration,
}
