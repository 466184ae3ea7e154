//! What happened when, told: slices of the workers, the server beside them, and the stages of the run.

use crate::{
    tally::{Buckets, Measure, Series},
    watch::Glance,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The course of a run. All moments are seconds since its first stage began.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SeriesFigures {
    /// The length of each slice, seconds.
    pub(crate) step_s: f64,
    /// The stages.
    pub(crate) phases: Vec<Phase>,
    /// What the generator did and found, slice by slice.
    pub(crate) slices: Vec<SliceFigures>,
    /// What the server used, at moments of its own.
    pub(crate) server: Vec<ServerPoint>,
}

/// A stage, or a phase of a day, from the moment at which it began until every worker had settled it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Phase {
    /// Which.
    pub(crate) stage: String,
    /// Its beginning.
    pub(crate) from_s: f64,
    /// Its end.
    pub(crate) to_s: f64,
}

/// One slice.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SliceFigures {
    /// Its beginning.
    pub(crate) at_s: f64,
    /// WebSockets open at its end.
    pub(crate) connections: u64,
    /// Faults in it.
    pub(crate) faults: u64,
    /// Cores that the workers used, together.
    pub(crate) generator_cores: f64,
    /// The share of a core that the busiest of them wanted, 0 to 1.
    pub(crate) busiest_worker: f64,
    /// Their resident memory.
    pub(crate) generator_bytes: u64,
    /// What was measured in it.
    pub(crate) measures: BTreeMap<Measure, SliceLatency>,
}

/// A measure in one slice. Nanoseconds, right within a hundredth.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SliceLatency {
    /// How many values.
    pub(crate) count: u64,
    /// A second.
    pub(crate) per_s: f64,
    /// Median.
    pub(crate) p50: u64,
    /// 90 %.
    pub(crate) p90: u64,
    /// 99 %.
    pub(crate) p99: u64,
    /// The greatest.
    pub(crate) max: u64,
}

/// The server's process between two looks at it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ServerPoint {
    /// The second look.
    pub(crate) at_s: f64,
    /// Cores that it used since the first.
    pub(crate) cores: f64,
    /// Resident memory.
    pub(crate) resident_bytes: u64,
}

impl SeriesFigures {
    /// From the workers' slices, the stages (nanoseconds of CLOCK_MONOTONIC) and the looks at the server.
    pub(crate) fn of(series: &Series, stages: &[(String, u64, u64)], glances: &[Glance]) -> SeriesFigures {
        let since = |at_ns: u64| rounded(at_ns.saturating_sub(series.origin_ns) as f64 / 1e9);
        let step_s = series.step_ns as f64 / 1e9;
        let slices = series.slices.iter().enumerate().map(|(place, slice)| SliceFigures {
            at_s: rounded(place as f64 * step_s),
            connections: slice.connections,
            faults: slice.faults,
            generator_cores: rounded(slice.cpu_ns as f64 / series.step_ns.max(1) as f64),
            busiest_worker: rounded(slice.busiest),
            generator_bytes: slice.resident_bytes,
            measures: slice.measures.iter().map(|(measure, buckets)| (*measure, SliceLatency::of(buckets, step_s))).collect(),
        });
        let server = glances.windows(2).filter(|pair| pair[0].at_ns >= series.origin_ns && pair[1].at_ns > pair[0].at_ns);
        SeriesFigures {
            step_s,
            phases: stages
                .iter()
                .map(|(stage, from_ns, to_ns)| Phase { stage: stage.clone(), from_s: since(*from_ns), to_s: since(*to_ns) })
                .collect(),
            slices: slices.collect(),
            server: server
                .map(|pair| ServerPoint {
                    at_s: since(pair[1].at_ns),
                    cores: rounded(pair[1].cpu_ns.saturating_sub(pair[0].cpu_ns) as f64 / (pair[1].at_ns - pair[0].at_ns) as f64),
                    resident_bytes: pair[1].resident_bytes,
                })
                .collect(),
        }
    }
}

impl SliceLatency {
    fn of(buckets: &Buckets, step_s: f64) -> SliceLatency {
        let count = buckets.count();
        SliceLatency {
            count,
            per_s: if step_s > 0.0 { rounded(count as f64 / step_s) } else { 0.0 },
            p50: buckets.at(0.5),
            p90: buckets.at(0.9),
            p99: buckets.at(0.99),
            max: buckets.at(1.0),
        }
    }
}

/// Three digits behind the point.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
