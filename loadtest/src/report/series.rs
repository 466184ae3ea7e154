//! What happened when, told: slices of the workers, the server beside them, and the stages of the run.

use crate::{
    report::{BUSIEST, SHORTEST_JUDGED_NS},
    tally::{Buckets, Measure, Series},
    watch::Glance,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The course of a run. All moments are seconds since its first stage began.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Phase {
    /// Which, by its name in the report.
    pub(crate) stage: String,
    /// Its beginning.
    pub(crate) from_s: f64,
    /// Its end.
    pub(crate) to_s: f64,
}

/// One slice.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
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
        let server = glances.windows(2).filter(|pair| pair[1].at_ns > pair[0].at_ns.max(series.origin_ns));
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

impl SeriesFigures {
    /// When all is over, seconds.
    pub(crate) fn end_s(&self) -> f64 {
        let phases = self.phases.iter().map(|phase| phase.to_s);
        phases.chain(self.slices.last().map(|slice| slice.at_s + self.step_s)).fold(self.step_s, f64::max)
    }

    /// CPU time of the server between two moments, seconds, as if it were even between two looks; none where nobody looked.
    pub(crate) fn server_cpu_s(&self, from_s: f64, to_s: f64) -> Option<f64> {
        let (first, last) = (self.server.first()?, self.server.last()?);
        // The first point ends a look that began before all stages. What the last one saw goes on for a while.
        let (begin_s, end_s) = (first.at_s.min(0.0), last.at_s + 2.0 * self.step_s);
        if to_s > end_s {
            return None;
        }
        let pieces = self.server.windows(2).map(|pair| (pair[0].at_s, pair[1].at_s, pair[1].cores));
        let pieces = pieces.chain([(begin_s, first.at_s, first.cores), (last.at_s, end_s, last.cores)]);
        Some(pieces.map(|(begin_s, end_s, cores)| cores * overlap(begin_s, end_s, from_s, to_s)).sum())
    }

    /// CPU time of the generator between two moments, seconds.
    pub(crate) fn generator_cpu_s(&self, from_s: f64, to_s: f64) -> f64 {
        let slices = self.slices.iter();
        slices.map(|slice| slice.generator_cores * overlap(slice.at_s, slice.at_s + self.step_s, from_s, to_s)).sum()
    }

    /// CPU time of the generator for each of the server's, in stages of these names; none where the server used nothing, or was not
    /// watched.
    pub(crate) fn generator_to_server(&self, stages: &[String]) -> Option<f64> {
        let (mut generator_s, mut server_s) = (0.0, 0.0);
        for phase in self.phases.iter().filter(|phase| stages.contains(&phase.stage)) {
            generator_s += self.generator_cpu_s(phase.from_s, phase.to_s);
            server_s += self.server_cpu_s(phase.from_s, phase.to_s)?;
        }
        (server_s > 0.0).then(|| rounded(generator_s / server_s))
    }
}

impl SeriesFigures {
    /// Those of these phases of a day in which a worker wanted nearly a core, as sentences. Stages that end are judged by their own cost;
    /// what goes on through several phases ends in none of them.
    pub(crate) fn pressed(&self, judged: &[String]) -> Vec<String> {
        let wanted = |phase: &Phase| {
            let pieces = self.slices.iter().map(|slice| {
                let seconds = overlap(slice.at_s, slice.at_s + self.step_s, phase.from_s, phase.to_s);
                (seconds * slice.busiest_worker, seconds)
            });
            let (busy, seconds) = pieces.fold((0.0, 0.0), |sum, piece| (sum.0 + piece.0, sum.1 + piece.1));
            if seconds * 1e9 >= SHORTEST_JUDGED_NS as f64 { busy / seconds } else { 0.0 }
        };
        let judged = self.phases.iter().filter(|phase| judged.contains(&phase.stage));
        let phases = judged.map(|phase| (&phase.stage, wanted(phase))).filter(|(_, share)| *share > BUSIEST);
        phases.map(|(name, share)| format!("a worker wanted {:.0} % of a core in the {name}", share * 100.0)).collect()
    }
}

/// How long two stretches of time have in common.
fn overlap(begin: f64, end: f64, from: f64, to: f64) -> f64 {
    (end.min(to) - begin.max(from)).max(0.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> SeriesFigures {
        let slice = |place: u32| SliceFigures {
            at_s: f64::from(place) * 0.25,
            connections: 0,
            faults: 0,
            generator_cores: if place < 4 { 0.2 } else { 0.6 },
            busiest_worker: if place < 4 { 0.8 } else { 0.9 },
            generator_bytes: 0,
            measures: BTreeMap::new(),
        };
        let point = |place: u32| ServerPoint { at_s: f64::from(place) * 0.25 + 0.1, cores: 0.5, resident_bytes: 0 };
        let phase = |stage: &str, from_s: f64, to_s: f64| Phase { stage: stage.into(), from_s, to_s };
        SeriesFigures {
            step_s: 0.25,
            phases: vec![phase("sign_in", 0.0, 1.0), phase("hold", 1.0, 2.0)],
            slices: (0..8).map(slice).collect(),
            server: (0..8).map(point).collect(),
        }
    }

    #[test]
    fn cpu_is_cut_where_stages_are() {
        let series = figures();
        assert!((series.generator_cpu_s(0.9, 1.1) - 0.08).abs() < 1e-9);
        assert!((series.server_cpu_s(0.9, 1.1).unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(series.server_cpu_s(0.0, 9.0), None);
        let of =
            |stages: &[&str]| series.generator_to_server(&stages.iter().map(|stage| (*stage).to_owned()).collect::<Vec<_>>());
        assert_eq!((of(&["sign_in"]), of(&["hold"]), of(&["sign_in", "hold"]), of(&[])), (Some(0.4), Some(1.2), Some(0.8), None));
        assert_eq!(SeriesFigures { server: Vec::new(), ..figures() }.generator_to_server(&["hold".into()]), None);
    }

    #[test]
    fn a_phase_in_which_a_worker_wants_a_core_is_told() {
        let (both, told) = (["sign_in", "hold"].map(str::to_owned), "a worker wanted 90 % of a core in the hold");
        assert_eq!(figures().pressed(&both), [told]);
        assert_eq!(figures().pressed(&both[..1]), [""; 0]);
        let mut short = figures();
        short.phases[1].to_s = 1.2;
        assert_eq!(short.pressed(&both), [""; 0], "too short to be judged");
    }
}
