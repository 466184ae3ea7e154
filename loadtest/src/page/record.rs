//! A report as it is read back: what pages and comparisons need of it, from any run that wrote `--json`.

use crate::{
    host::Environment,
    report::{Check, LatencyFigures, SeriesFigures, spread},
    tally::Measure,
    usage::Usage,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// A report. What older ones do not have is empty.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) verdict: Verdict,
    pub(crate) asked: Asked,
    /// Whether anybody may have answered in the server's place.
    #[serde(default)]
    pub(crate) unverified: bool,
    #[serde(default)]
    pub(crate) rates: BTreeMap<String, f64>,
    pub(crate) latencies: BTreeMap<Measure, LatencyFigures>,
    /// By phase of a day, part and measure.
    #[serde(default)]
    pub(crate) phases: BTreeMap<String, BTreeMap<String, BTreeMap<String, LatencyFigures>>>,
    #[serde(default)]
    pub(crate) spreads: BTreeMap<String, f64>,
    #[serde(default)]
    pub(crate) series: SeriesFigures,
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
    /// Workers that joined from other hosts.
    #[serde(default)]
    pub(crate) hosts: Vec<Host>,
    pub(crate) environment: Environment,
}

/// A worker that joined, and its clock; nanoseconds.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Host {
    pub(crate) worker: u64,
    pub(crate) name: String,
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) offset_ns: i64,
    pub(crate) drift_ns: i64,
    pub(crate) uncertainty_ns: u64,
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
    #[serde(default)]
    pub(crate) in_flight: u64,
    pub(crate) workers: u64,
    pub(crate) seed: u64,
    pub(crate) then: String,
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

impl Record {
    /// How far a figure would move if the run were taken again, where that is known: `delivery.p99`, `rates.deliveries_per_s`,
    /// `server.cpu_us_per_delivery`. Reports that do not say are looked through for it.
    pub(crate) fn all_spreads(&self) -> BTreeMap<String, f64> {
        if self.spreads.is_empty() { spread::of(&self.series) } else { self.spreads.clone() }
    }

    /// The measure that is looked at first: what the scenario is about.
    pub(crate) fn foremost(&self) -> Option<Measure> {
        let order = [Measure::Delivery, Measure::Answer, Measure::Key, Measure::Word, Measure::Pending, Measure::SignIn];
        order.into_iter().find(|measure| self.latencies.contains_key(measure)).or(self.latencies.keys().next().copied())
    }
}
