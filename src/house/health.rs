//! Whether the process lives and whether the node should be sent work: each with its reasons, which have a code for machines and words for
//! people. What is not well and no reason is a warning.
//!
//! It lives while each shard turns: what a hung shard serves hangs too, and only a new start mends that. All that time or somebody else
//! mends is of readiness.

use super::{
    certificates::{Certificates, SOON},
    cluster,
    herald::Pulse,
    reload::Reloads,
    vitals::Vitals,
};
use crate::{
    http::rooms::{Condition, Reason},
    realtime::{StoreFault, UnixMicros},
    runtime::{Phase, ShardCounts, Stage},
    store::Outcome,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

/// How often shards are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A shard that makes no turn for so long stands still. An idle one makes five a second.
const STILL: Duration = Duration::from_secs(10);

/// The codes of why a node is not ready.
pub(super) const UNREADY: &[&str] =
    &["stopping", "store_busy", "store_failing", "store_connection_stale", "bus_disconnected", "bus_deaf", "roster_unread"];
/// The codes of what is not well though it may be ready.
pub(super) const WARNINGS: &[&str] =
    &["certificate_over", "certificate_ends_soon", "reload_refused", "models_unwell", "bridge_stuck"];

/// Which shard stands still.
#[derive(Debug)]
pub(super) struct Beats(AtomicU64);

impl Default for Beats {
    fn default() -> Self {
        Beats(AtomicU64::new(u64::MAX))
    }
}

impl Beats {
    fn note(&self, standing: Option<(usize, Duration)>) {
        self.0.store(standing.map_or(u64::MAX, |(shard, _)| shard as u64), Relaxed);
    }

    /// Whether the process lives, and why not.
    pub(super) fn condition(&self) -> Condition {
        let shard = self.0.load(Relaxed);
        let stuck = || Reason { code: "shard_stuck", text: format!("shard {shard} stands still") };
        Condition { reasons: (shard != u64::MAX).then(stuck).into_iter().collect(), warnings: Vec::new() }
    }
}

/// Looks at the process as long as the bridge runs.
pub(super) async fn watch(vitals: Arc<Vitals>, stage: Arc<Stage>) {
    let turns = || stage.all_counts().iter().map(ShardCounts::turns).collect::<Vec<_>>();
    let mut pulse = Pulse::new(STILL, &turns(), Instant::now());
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        // Shards that have gone turn no more.
        let is_served = matches!(stage.phase(), Phase::Serving | Phase::Thinning | Phase::Draining);
        vitals.beats.note(pulse.standing(&turns(), Instant::now()).filter(|_| is_served));
        vitals.process.look();
    }
}

/// Whether the node should be sent work.
pub(super) fn ready(shown: (&Certificates, &Reloads), vitals: &Vitals, phase: Phase, now: UnixMicros) -> Condition {
    let mut reasons = Vec::new();
    let mut reason = |code: &'static str, text: &str| reasons.push(Reason { code, text: text.to_owned() });
    // To whoever balances the load an upgrade is no event.
    if phase == Phase::Thinning || phase >= Phase::Draining {
        reason("stopping", "stopping");
    }
    match vitals.store().outcome() {
        Outcome::Fault(StoreFault::Busy) => reason("store_busy", "store: busy"),
        Outcome::Fault(StoreFault::Failed) => reason("store_failing", "store: failing"),
        Outcome::Untried | Outcome::Done => {}
    }
    if vitals.store().unmarked.load(Relaxed) {
        reason("store_connection_stale", "database: a former connection still stands for this node");
    }
    if let Some((code, text)) = vitals.bus().and_then(cluster::unready) {
        reason(code, text);
    }
    Condition { reasons, warnings: warnings(shown, vitals, now) }
}

fn warnings((certificates, reloads): (&Certificates, &Reloads), vitals: &Vitals, now: UnixMicros) -> Vec<Reason> {
    let mut warnings = Vec::new();
    for (listener, end) in certificates.ends() {
        let left = i64::try_from(end).unwrap_or(i64::MAX).saturating_sub(now.seconds());
        if left <= 0 {
            let text = format!("the certificate of {listener} has run out");
            warnings.push(Reason { code: "certificate_over", text });
        } else if left <= SOON.as_secs() as i64 {
            let text = format!("the certificate of {listener} runs out in {} days", left / (24 * 3600));
            warnings.push(Reason { code: "certificate_ends_soon", text });
        }
    }
    let more = [
        (
            reloads.is_refused.load(Relaxed),
            "reload_refused",
            "the last reload changed nothing: settings, keys or certificates have faults",
        ),
        (!vitals.are_models_well(), "models_unwell", "models: not all of them answer"),
        (vitals.is_bridge_stuck(), "bridge_stuck", "the threads that may wait begin nothing any more"),
    ];
    let told = more.into_iter().filter(|(is, ..)| *is);
    warnings.extend(told.map(|(_, code, text)| Reason { code, text: text.to_owned() }));
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Layers, Loaded},
        nats,
        store::{MemoryStore, Mood, Store, Ticket},
        tls::tests::Pair,
    };
    use std::collections::BTreeSet;

    const DAY: i64 = 24 * 3600 * 1_000_000;

    fn codes(reasons: &[Reason]) -> Vec<&'static str> {
        reasons.iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn each_reason_has_its_code_and_the_lists_have_them_all() {
        let folder = tempfile::tempdir().unwrap();
        let pair = Pair::of_days(10);
        std::fs::write(folder.path().join("c.pem"), &pair.chain).unwrap();
        std::fs::write(folder.path().join("k.pem"), &pair.key).unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let text = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n[listen.quiz]\ntls = true\n", path("c.pem"), path("k.pem"));
        let listeners = Loaded::of(&Layers::default().file("homeroom.toml", &text)).unwrap().settings.listeners();
        let (certificates, reloads) = (Certificates::read(&listeners, &mut Vec::new()).unwrap(), Reloads::default());
        let shown = (&certificates, &reloads);
        let store = Arc::new(MemoryStore::default());
        let vitals = Vitals::new(store.clone());
        let now = crate::runtime::Clock::started_now().now().wall;
        let at = |days: i64| UnixMicros(now.0 + days * DAY);
        let (mut unready, mut warned) = (BTreeSet::new(), BTreeSet::new());
        let condition = ready(shown, &vitals, Phase::Serving, at(-30));
        assert_eq!((codes(&condition.reasons), codes(&condition.warnings)), (vec![], vec![]));
        for (days, code) in [(0, "certificate_ends_soon"), (11, "certificate_over")] {
            let condition = ready(shown, &vitals, Phase::Serving, at(days));
            assert_eq!((codes(&condition.reasons), codes(&condition.warnings)), (vec![], vec![code]));
            warned.extend(codes(&condition.warnings));
        }
        for (mood, code) in [(Mood::Failing, "store_failing"), (Mood::Busy, "store_busy")] {
            let task = crate::protocols::tasks::model::Task::new(uuid::Uuid::from_u128(1), "ann".into(), "x", UnixMicros(1));
            let record = crate::protocols::tasks::record::Record::Task(Box::new(task));
            store.keep_tasks(Ticket { shard: crate::realtime::ShardId(0), token: 1 }, record).unwrap();
            store.be(mood);
            store.take_answers();
            let condition = ready(shown, &vitals, Phase::Serving, at(-30));
            assert_eq!(codes(&condition.reasons), [code]);
            unready.extend(codes(&condition.reasons));
        }
        store.health().unmarked.store(true, Relaxed);
        reloads.is_refused.store(true, Relaxed);
        let bus = Arc::<nats::Counts>::default();
        let vitals = vitals.with_bus(Some(bus));
        let condition = ready(shown, &vitals, Phase::Draining, at(-30));
        assert_eq!(codes(&condition.reasons), ["stopping", "store_busy", "store_connection_stale", "bus_disconnected"]);
        assert_eq!(codes(&condition.warnings), ["reload_refused"]);
        unready.extend(codes(&condition.reasons));
        warned.extend(codes(&condition.warnings));
        // Told by others' tests: what the bus says besides, and vitals.
        unready.extend(["bus_deaf", "roster_unread"]);
        warned.extend(["models_unwell", "bridge_stuck"]);
        assert_eq!((unready, warned), (UNREADY.iter().copied().collect(), WARNINGS.iter().copied().collect()));
    }

    #[test]
    fn a_shard_that_stands_still_is_named() {
        let beats = Beats::default();
        assert!(beats.condition().reasons.is_empty());
        beats.note(Some((3, STILL)));
        let told = beats.condition().reasons;
        assert_eq!((told[0].code, told[0].text.as_str()), ("shard_stuck", "shard 3 stands still"));
        beats.note(None);
        assert!(beats.condition().reasons.is_empty());
    }
}
