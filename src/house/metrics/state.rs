//! How the process and the node are, and what the process takes of the machine.

use super::{Family, Kind, Snapshot, Sources, family};
use crate::{
    house::health::{UNREADY, WARNINGS},
    http::rooms::Reason,
    observe::exposition::Value,
};
use std::sync::atomic::Ordering::Relaxed;

impl Snapshot {
    pub(super) fn state(&mut self, sources: &Sources<'_>) {
        use Kind::{Counter, Gauge};
        let (live, ready) = sources.health;
        let is = |condition: bool| u64::from(condition);
        self.single("homeroom_live", "Whether each shard turns, as /livez has it", Gauge, is(live.reasons.is_empty()));
        self.single(
            "homeroom_ready",
            "Whether the node serves whoever is sent, as /readyz has it",
            Gauge,
            is(ready.reasons.is_empty()),
        );
        let each = |codes: &'static [&'static str], told: &[Reason]| {
            let sample =
                |code: &&'static str| (vec![("reason", (*code).to_owned())], is(told.iter().any(|reason| reason.code == *code)));
            codes.iter().map(sample).collect::<Vec<_>>()
        };
        let unready = each(UNREADY, &ready.reasons);
        self.0.push(family("homeroom_unready", "Whether this is why the node is not ready", Gauge, unready));
        let warnings = each(WARNINGS, &ready.warnings);
        self.0.push(family("homeroom_warning", "Whether this is to be looked at", Gauge, warnings));
        let outcomes = [("adopted", &sources.reloads.adopted), ("refused", &sources.reloads.refused)];
        let reloads = outcomes.map(|(outcome, count)| (vec![("outcome", outcome.to_owned())], count.load(Relaxed)));
        self.0.push(family("homeroom_reloads", "Times that settings, keys and certificates were read again", Counter, reloads));
        self.process(sources);
    }

    /// By the names that Prometheus' own clients use.
    fn process(&mut self, sources: &Sources<'_>) {
        use Kind::{Counter, Gauge};
        let process = sources.process;
        let whole = |number: &std::sync::atomic::AtomicU64| number.load(Relaxed);
        let cpu = whole(&process.cpu_millis) as f64 / 1e3;
        let measures: [(_, _, _, _, Value); 3] = [
            ("process_cpu_seconds", "Time on processors", Counter, "seconds", cpu.into()),
            ("process_resident_memory_bytes", "Memory that is in use", Gauge, "bytes", whole(&process.resident_bytes).into()),
            (
                "process_start_time_seconds",
                "When the process began, since 1970",
                Gauge,
                "seconds",
                whole(&process.started_at).into(),
            ),
        ];
        for (name, help, kind, unit, value) in measures {
            self.0.push(Family { name, help, kind, unit: Some(unit), samples: vec![(Vec::new(), value)] });
        }
        let (open, most) = (whole(&process.open_descriptors), whole(&process.most_descriptors));
        // Before Linux 6.2 it is not told.
        let open = (open > 0).then_some((Vec::new(), open));
        self.0.push(family("process_open_fds", "Descriptors that are open", Gauge, open));
        self.single("process_max_fds", "Descriptors that may be", Gauge, most);
    }
}
