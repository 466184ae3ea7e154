//! A report as it is read back: what pages and comparisons need of it, from any run that wrote `--json`.

use crate::tally::Measure;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A report. What older ones do not have is empty.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) verdict: Verdict,
    pub(crate) asked: Asked,
    #[serde(default)]
    pub(crate) rates: BTreeMap<String, f64>,
    pub(crate) latencies: BTreeMap<Measure, Figures>,
    /// By phase of a day, part and measure.
    #[serde(default)]
    pub(crate) phases: BTreeMap<String, BTreeMap<String, BTreeMap<String, Figures>>>,
    #[serde(default)]
    pub(crate) series: Series,
    #[serde(default)]
    pub(crate) faults: BTreeMap<String, BTreeMap<String, u64>>,
    /// What became of each message for each member.
    #[serde(default)]
    pub(crate) fates: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) checks: Vec<Check>,
    #[serde(default)]
    pub(crate) thresholds: Vec<Threshold>,
    #[serde(default)]
    pub(crate) server: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    pub(crate) generator: Vec<Cost>,
    pub(crate) environment: Environment,
}

/// What to make of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) outcome: String,
    pub(crate) reasons: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Asked {
    pub(crate) scenario: String,
    pub(crate) url: String,
    pub(crate) students: u64,
    pub(crate) classrooms: u64,
    pub(crate) rate: Option<f64>,
    pub(crate) workers: u64,
    pub(crate) seed: u64,
    pub(crate) then: String,
}

/// One measure, nanoseconds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Figures {
    pub(crate) count: u64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
    /// Highest value and count.
    #[serde(default)]
    pub(crate) buckets: Vec<(u64, u64)>,
}

/// Two numbers that must be equal.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) expected: u64,
    pub(crate) found: u64,
}

/// What was required, and what was found.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Threshold {
    pub(crate) required: String,
    pub(crate) unit: String,
    pub(crate) found: Option<f64>,
    pub(crate) met: bool,
}

/// What a stage cost the generator.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Cost {
    pub(crate) stage: String,
    pub(crate) workers: Vec<Usage>,
}

/// What it cost one worker.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Usage {
    pub(crate) wall_ns: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) waited_ns: u64,
}

/// Where it ran.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Environment {
    pub(crate) harness: String,
    pub(crate) command: Vec<String>,
    pub(crate) started_unix_s: i64,
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cores: u64,
    pub(crate) sysctls: BTreeMap<String, String>,
}

/// What happened when, in seconds since the first stage began.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Series {
    pub(crate) step_s: f64,
    pub(crate) phases: Vec<Phase>,
    pub(crate) slices: Vec<Slice>,
    pub(crate) server: Vec<ServerPoint>,
}

/// A stage.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Phase {
    pub(crate) stage: String,
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
}

/// A stretch of time.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Slice {
    pub(crate) at_s: f64,
    pub(crate) connections: u64,
    pub(crate) faults: u64,
    pub(crate) generator_cores: f64,
    pub(crate) busiest_worker: f64,
    pub(crate) generator_bytes: u64,
    pub(crate) measures: BTreeMap<Measure, SliceLatency>,
}

/// A measure in it, nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct SliceLatency {
    pub(crate) per_s: f64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

/// The server until then.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct ServerPoint {
    pub(crate) at_s: f64,
    pub(crate) cores: f64,
    pub(crate) resident_bytes: u64,
}

impl Series {
    /// When all is over.
    pub(crate) fn end_s(&self) -> f64 {
        let phases = self.phases.iter().map(|phase| phase.to_s);
        phases.chain(self.slices.last().map(|slice| slice.at_s + self.step_s)).fold(self.step_s, f64::max)
    }
}

impl Record {
    /// The measure that is looked at first: what the scenario is about.
    pub(crate) fn foremost(&self) -> Option<Measure> {
        let order = [Measure::Delivery, Measure::Answer, Measure::Key, Measure::Word, Measure::Pending, Measure::SignIn];
        order.into_iter().find(|measure| self.latencies.contains_key(measure)).or(self.latencies.keys().next().copied())
    }
}
