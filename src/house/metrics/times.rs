//! How long things take: histograms.

use super::{Family, Kind, Snapshot};
use crate::{
    engine::Counters,
    house::reload::Reloads,
    observe::exposition::Value,
    realtime::{Distribution, Histogram},
    runtime::ShardCounts,
    store::Health,
};
use std::sync::Arc;

/// What is over within a turn or some: from 15 µs to 4 s.
const SHORT: Kind = Kind::Histogram { from: -16, to: 2, step: 2 };
/// What clients, disks and others take part in: from 1 ms to 64 s.
const LONG: Kind = Kind::Histogram { from: -10, to: 6, step: 2 };

impl Snapshot {
    pub(super) fn times(&mut self, engines: &[Arc<Counters>], shells: &[ShardCounts], (store, reloads): (&Health, &Reloads)) {
        let engine = |read: fn(&Counters) -> &Histogram| engines.iter().map(move |counters| read(counters));
        let shell = |read: fn(&ShardCounts) -> &Histogram| shells.iter().map(read);
        self.each(
            "homeroom_delivery_seconds",
            "From a home's acceptance of what is published to the write to a listener's socket, once for each listener",
            SHORT,
            engine(|c| &c.delivery),
        );
        self.each("homeroom_turn_seconds", "Turns of a shard that found something to do", SHORT, shell(|s| &s.turn));
        self.each(
            "homeroom_tls_handshake_seconds",
            "From the accept of a connection to the end of its TLS handshake",
            LONG,
            shell(|s| &s.tls_handshake),
        );
        self.each(
            "homeroom_handshake_seconds",
            "From the accept of a connection to the answer of its upgrade, where what stands in its head decides",
            LONG,
            engine(|c| &c.handshake),
        );
        self.each(
            "homeroom_sign_in_seconds",
            "Sign-ins of presence, from a request that may enter to connect_success",
            LONG,
            engine(|c| &c.sign_in),
        );
        self.one(
            "homeroom_chat_first_word_seconds",
            "From a message to the first word of the agent's answer",
            LONG,
            engine(|c| &c.first_word),
        );
        self.one(
            "homeroom_task_wait_seconds",
            "From the creation of a task to the begin of its work",
            LONG,
            engine(|c| &c.task_wait),
        );
        self.one("homeroom_reload_seconds", "Readings of settings, keys and certificates while serving", LONG, [&reloads.times]);
        self.one(
            "homeroom_store_commit_seconds",
            "Batches of the store, from their begin to the end of their commit",
            SHORT,
            [&store.commit],
        );
    }

    /// One for each shard.
    fn each<'a>(&mut self, name: &'static str, help: &'static str, kind: Kind, histograms: impl Iterator<Item = &'a Histogram>) {
        let sample =
            |(shard, histogram): (usize, &Histogram)| (vec![("shard", shard.to_string())], Value::from(histogram.read()));
        let samples = histograms.enumerate().map(sample).collect();
        self.0.push(Family { name, help, kind, unit: Some("seconds"), samples });
    }

    /// One for all of them.
    fn one<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        histograms: impl IntoIterator<Item = &'a Histogram>,
    ) {
        let all: Distribution = histograms.into_iter().map(Histogram::read).collect();
        self.0.push(Family { name, help, kind, unit: Some("seconds"), samples: vec![(Vec::new(), all.into())] });
    }
}
