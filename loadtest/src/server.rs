//! The server as seen from beside it: its process, and its own gauges.

use crate::{
    usage::{self, Sample},
    wire::http::{Target, fetch},
};
use serde::Serialize;
use std::{collections::BTreeMap, io, time::Duration};

/// A server that is busy, or that somebody has stopped for a while, is waited for.
const METRICS_WITHIN: Duration = Duration::from_secs(30);
/// The gauge of signed-in connections.
pub(crate) const CONNECTIONS: &str = "ws_connection_total";
/// Sessions that were told how they stand, by status.
pub(crate) const SESSIONS_TOLD: &str = "ws_connection";
/// Connections that were closed because they read too slowly.
pub(crate) const SLOW_READERS: &str = "homeroom_slow_readers_total";
/// Published frames that a listener did not get.
pub(crate) const DROPPED: &str = "homeroom_dropped_total";
/// Owners who are connected.
pub(crate) const OWNERS: &str = "homeroom_quiz_owners";
/// Participants who are connected.
pub(crate) const PARTICIPANTS: &str = "homeroom_quiz_participants";
/// Attempts that run.
pub(crate) const ATTEMPTS: &str = "homeroom_quiz_attempts";
/// Answers of participants that were taken.
pub(crate) const ANSWERS: &str = "homeroom_quiz_answers_total";
/// Sockets of chat.
pub(crate) const CHAT_SOCKETS: &str = "homeroom_chat_sockets";
/// Answers that are being given in sessions of chat.
pub(crate) const CHAT_ANSWERS: &str = "homeroom_chat_answers";
/// Requests to models and tools that are under way.
pub(crate) const MODELS_ASKED: &str = "homeroom_models_asked";
/// Sockets of tasks.
pub(crate) const TASK_SOCKETS: &str = "homeroom_tasks_sockets";
/// Tasks and steps that run.
pub(crate) const TASKS_RUNNING: &str = "homeroom_tasks_running";
/// Tasks and steps that wait for their turn.
pub(crate) const TASKS_WAITING: &str = "homeroom_tasks_waiting";

/// Sockets of labs' agents.
pub(crate) const LAB_AGENTS: &str = "homeroom_labs_agent_sockets";
/// Sockets of labs' viewers.
pub(crate) const LAB_VIEWERS: &str = "homeroom_labs_viewer_sockets";

/// What can be watched of the server.
pub(crate) struct Server {
    pid: Option<u32>,
    internal: Option<Target>,
}

/// What was seen of the server's process in a run.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ServerFigures {
    /// The process.
    pub(crate) pid: u32,
    /// Its program. The rest of its command line may hold secrets.
    pub(crate) program: String,
    /// In the order in which they were taken.
    pub(crate) samples: Vec<Seen>,
    /// CPU time of one sign-in, microseconds.
    pub(crate) cpu_us_per_sign_in: Option<f64>,
    /// CPU time of one return, with the drop and what is published meanwhile, microseconds.
    pub(crate) cpu_us_per_return: Option<f64>,
    /// CPU time of one delivery, microseconds.
    pub(crate) cpu_us_per_delivery: Option<f64>,
    /// The share of the CPU time of deliveries that was spent in user space, 0 to 1.
    pub(crate) user_share_of_deliveries: Option<f64>,
    /// CPU time of one answer to a question, and all that follows from it, microseconds.
    pub(crate) cpu_us_per_answer: Option<f64>,
    /// Bytes that came through tunnels, for each second of CPU time.
    pub(crate) bytes_per_cpu_second: Option<f64>,
    /// CPU time of one task, with all that was told of it, microseconds.
    pub(crate) cpu_us_per_task: Option<f64>,
    /// CPU time of one key and its echo, microseconds.
    pub(crate) cpu_us_per_key: Option<f64>,
    /// CPU time of one word of an answer, with all that belongs to the answer, microseconds.
    pub(crate) cpu_us_per_word: Option<f64>,
    /// CPU time of the generator for each of the server's, where both do the same traffic.
    pub(crate) generator_cpu_ratio: Option<f64>,
    /// The share of a core that the held connections took, 0 to 1.
    pub(crate) cpu_share_held: Option<f64>,
    /// Resident memory that one held connection added, bytes. An earlier run's memory is used again, so it tells only in a fresh process.
    pub(crate) bytes_per_connection: Option<f64>,
}

/// One look at the process.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Seen {
    /// When in the run: `idle`, `signed_in`, `held`, `storm`, `back`, `publishing`, `stalled`, `heard`, `published`, `started`,
    /// `holding`, `answering`, `answered`, `streaming`,
    /// `streamed`, `working`, `worked`, `closed`.
    pub(crate) at: &'static str,
    /// What it used until then.
    #[serde(flatten)]
    pub(crate) sample: Sample,
}

impl ServerFigures {
    /// The sample of that name.
    pub(crate) fn sample(&self, name: &str) -> Option<Sample> {
        self.samples.iter().find(|seen| seen.at == name).map(|seen| seen.sample)
    }

    /// CPU time between two samples, microseconds over `operations`.
    pub(crate) fn cpu_us(&self, from: &str, to: &str, operations: u64) -> Option<f64> {
        let (from, to) = (self.sample(from)?, self.sample(to)?);
        (operations > 0).then(|| to.cpu_ns.saturating_sub(from.cpu_ns) as f64 / 1e3 / operations as f64)
    }

    /// CPU time between two samples, of the time between them.
    pub(crate) fn cpu_share(&self, from: &str, to: &str) -> Option<f64> {
        let (from, to) = (self.sample(from)?, self.sample(to)?);
        let wall_ns = to.at_ns.saturating_sub(from.at_ns);
        (wall_ns > 0).then(|| to.cpu_ns.saturating_sub(from.cpu_ns) as f64 / wall_ns as f64)
    }

    /// The share of user space in the CPU time between two samples, 0 to 1.
    pub(crate) fn user_share(&self, from: &str, to: &str) -> Option<f64> {
        let (from, to) = (self.sample(from)?, self.sample(to)?);
        // Processes that the server had started and that have ended are in the earlier sample alone.
        let user = to.user_ticks.saturating_sub(from.user_ticks);
        let kernel = to.kernel_ticks.saturating_sub(from.kernel_ticks);
        (user + kernel > 0).then(|| user as f64 / (user + kernel) as f64)
    }

    /// Growth of resident memory between two samples, bytes over `connections`.
    pub(crate) fn bytes_each(&self, from: &str, to: &str, connections: u64) -> Option<f64> {
        let (from, to) = (self.sample(from)?, self.sample(to)?);
        (connections > 0).then(|| (to.resident_bytes as f64 - from.resident_bytes as f64) / connections as f64)
    }
}

/// What the server's own metrics say, each summed over its labels.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Gauges {
    sums: BTreeMap<String, u64>,
    /// By name and the value of `reason` or `status`.
    parts: BTreeMap<(String, String), u64>,
}

impl Gauges {
    /// The metric of that name, if there is one.
    pub(crate) fn level(&self, name: &str) -> Option<u64> {
        self.sums.get(name).copied()
    }

    /// What of the metric of that name has this `reason` or `status`; nothing where there is none such.
    pub(crate) fn part(&self, name: &str, value: &str) -> u64 {
        self.parts.get(&(name.to_owned(), value.to_owned())).copied().unwrap_or(0)
    }
}

impl Server {
    /// `pid` as given, or the process that listens on the port of `target` when that is an address of this host.
    pub(crate) fn new(pid: Option<u32>, target: &Target, internal: Option<Target>) -> Server {
        let local = target.address.ip().is_loopback();
        Server { pid: pid.or_else(|| local.then(|| usage::listener(target.address.port())).flatten()), internal }
    }

    /// The process, where one is watched.
    pub(crate) fn figures(&self) -> Option<ServerFigures> {
        self.pid.map(|pid| ServerFigures { pid, program: usage::program(pid), ..ServerFigures::default() })
    }

    /// Takes a sample into `figures`. A server that is gone leaves none: its connections tell of it.
    pub(crate) fn sample(&self, figures: &mut Option<ServerFigures>, name: &'static str) {
        if let Some(figures) = figures
            && let Ok(sample) = usage::sample(figures.pid)
        {
            figures.samples.push(Seen { at: name, sample });
        }
    }

    /// The gauges; nothing without an internal listener.
    ///
    /// # Errors
    /// Those of the request.
    pub(crate) fn gauges(&self) -> io::Result<Option<Gauges>> {
        self.internal.as_ref().map(|target| fetch(target, "/metrics", METRICS_WITHIN).map(|text| read_gauges(&text))).transpose()
    }
}

/// Reads Prometheus text: `name{labels} value` a line.
fn read_gauges(text: &str) -> Gauges {
    let mut gauges = Gauges::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let name = series.split('{').next().unwrap_or(series);
        let label = series.split_once("reason=\"").or_else(|| series.split_once("status=\""));
        if let Some(part) = label.and_then(|(_, rest)| rest.split('"').next()) {
            *gauges.parts.entry((name.to_owned(), part.to_owned())).or_default() += value as u64;
        }
        *gauges.sums.entry(name.to_owned()).or_default() += value as u64;
    }
    gauges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_the_server_that_ends_in_between_leaves_no_share_below_nothing() {
        let seen = |at, ticks| Seen { at, sample: Sample { user_ticks: ticks, kernel_ticks: ticks, ..Sample::default() } };
        let figures = ServerFigures { samples: vec![seen("publishing", 7), seen("published", 5)], ..ServerFigures::default() };
        assert_eq!(figures.user_share("publishing", "published"), None);
    }

    #[test]
    fn gauges_are_summed_over_their_labels() {
        let text = "# HELP ws_connection_total Live.\nws_connection_total{shard=\"0\"} 3\nws_connection_total{shard=\"1\"} 4\n\
                    homeroom_dropped_total{reason=\"slow\"} 2\nlog_lines_dropped_total 5\nws_connection{status=\"ok\"} 99\n";
        let gauges = read_gauges(text);
        assert_eq!((gauges.level(CONNECTIONS), gauges.level(DROPPED), gauges.level(OWNERS)), (Some(7), Some(2), None));
        assert_eq!((gauges.part(DROPPED, "slow"), gauges.part(SESSIONS_TOLD, "ok")), (2, 99));
        assert_eq!(read_gauges(""), Gauges::default());
    }
}
