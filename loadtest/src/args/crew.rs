//! Workers on other hosts.

use super::{Addresses, addresses, duration};
use clap::Args;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// How workers of other hosts come to a run.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Gathering {
    /// Wait at this address for workers that `homeroom-load worker --join` it, and give the run to them; --workers are then those of this
    /// host besides [default: none].
    #[arg(long, value_name = "IP:PORT", requires = "expect_workers")]
    pub(crate) listen: Option<SocketAddr>,
    /// How many workers are to join; each is one process with one thread.
    #[arg(long, value_name = "N", requires = "listen", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) expect_workers: Option<u32>,
    /// How long to wait for them.
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) expect_within: Duration,
    /// A file with the secret that they must know [default: what HOMEROOM_LOAD_SECRET holds].
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(crate) join_secret: Option<PathBuf>,
}

/// `worker`: joining a run.
#[derive(Args, Debug)]
pub(crate) struct Join {
    /// Where the run listens.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) join: String,
    /// A file with the secret of the run [default: what HOMEROOM_LOAD_SECRET holds].
    #[arg(long, value_name = "FILE")]
    pub(crate) join_secret: Option<PathBuf>,
    /// What this worker is called in reports [default: the name of the host].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Addresses of this host to connect from, in turn [default: the kernel's choice; where the server is on loopback, those of the run].
    #[arg(long, value_parser = addresses)]
    pub(crate) source_ips: Option<Addresses>,
    /// How long to look for the run.
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub(crate) wait: Duration,
    /// For tests: this host's clock is said to be so many nanoseconds ahead.
    #[arg(long, hide = true, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) clock_offset: i64,
}
