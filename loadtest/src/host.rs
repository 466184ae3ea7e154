//! Where a run took place, so that two reports can be compared or must not be.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, thread, time::SystemTime};

const SYSCTLS: [&str; 6] = [
    "net/core/somaxconn",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/tcp_congestion_control",
    "net/ipv4/tcp_max_syn_backlog",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/tcp_rmem",
];

/// The host of the generator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// The harness and its version.
    pub(crate) harness: String,
    /// The command line. Keys and tokens are given in files, so none is in it.
    pub(crate) command: Vec<String>,
    /// Seconds since 1970 at the start.
    pub(crate) started_unix_s: u64,
    /// Kernel release.
    pub(crate) kernel: String,
    /// The first CPU's model.
    pub(crate) cpu: String,
    /// CPUs that may be used.
    pub(crate) cores: usize,
    /// Settings of the kernel that move the figures.
    pub(crate) sysctls: BTreeMap<String, String>,
}

impl Environment {
    /// Reads it.
    pub(crate) fn read() -> Environment {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
        Environment {
            harness: concat!("homeroom-load ", env!("CARGO_PKG_VERSION")).to_owned(),
            command: std::env::args().collect(),
            started_unix_s: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            kernel: kernel_setting("kernel/osrelease"),
            cpu: model.map_or_else(String::new, |(_, name)| name.trim().to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            sysctls: SYSCTLS.into_iter().map(|name| (name.to_owned(), kernel_setting(name))).collect(),
        }
    }
}

/// How many connections one source address can have to one destination.
pub(crate) fn ephemeral_ports() -> u64 {
    let range = kernel_setting("net/ipv4/ip_local_port_range");
    let mut ends = range.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) => (last + 1).saturating_sub(first),
        _ => 28_232,
    }
}

fn kernel_setting(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/{name}")).map_or_else(|_| String::new(), |text| text.trim().replace('\t', " "))
}
