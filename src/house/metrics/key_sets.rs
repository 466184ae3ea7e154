//! The keys of issuers that publish them: how old, how many, and whether they can be read.

use super::{Metric, Snapshot};
use crate::house::key_sets::{KeySetState, KeySets};
use prometheus_client::metrics::MetricType;

impl Snapshot {
    pub(super) fn key_sets(&mut self, key_sets: &KeySets) {
        let states: Vec<_> = key_sets.states().collect();
        if states.is_empty() {
            return;
        }
        let labels = |state: &KeySetState| vec![("api", state.api.to_string()), ("issuer", state.issuer.clone())];
        let mut each = |name, help, kind, read: &dyn Fn(&KeySetState) -> u64| {
            let samples = states.iter().map(|state| (labels(state), read(state))).collect();
            self.0.push(Metric { name, help, kind, unit: None, samples });
        };
        let read_at = |state: &KeySetState| state.standing.read_at.map_or(0, |at| at.seconds().unsigned_abs());
        let help = "When the keys that an issuer publishes were last read and found right, in seconds since 1970; 0: never";
        each("homeroom_key_set_read_timestamp", help, MetricType::Gauge, &read_at);
        each("homeroom_key_set_keys", "Keys that an issuer publishes and that can be used", MetricType::Gauge, &|state| {
            state.standing.keys as u64
        });
        let samples = states.iter().flat_map(|state| {
            let labelled = |outcome: &str, count| {
                let outcome = ("outcome", outcome.to_owned());
                (labels(state).into_iter().chain([outcome]).collect(), count)
            };
            [labelled("right", state.standing.reads), labelled("failed", state.standing.failures)]
        });
        let samples = samples.collect();
        self.0.push(Metric {
            name: "homeroom_key_set_reads",
            help: "Times that the keys that an issuer publishes were read, by what came of it",
            kind: MetricType::Counter,
            unit: None,
            samples,
        });
    }
}
