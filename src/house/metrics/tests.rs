//! What the text has.

use super::*;
use crate::{
    http::rooms::Reason,
    observe::exposition::Form,
    services::{Endpoint, models::Patience},
};
use std::{collections::BTreeSet, time::Duration};

/// One whose only request was not answered in time.
fn model() -> (Endpoint, Arc<Tally>) {
    let patience = Patience { first: Duration::ZERO, next: Duration::ZERO, attempts: 1, places: 1 };
    let tally = Tally::new();
    tally.note(Fate::TimedOut);
    (Endpoint::new("http://127.0.0.1:1/", None, patience).unwrap(), Arc::new(tally))
}

/// One issuer whose keys were read and could not be read again.
fn key_sets() -> KeySets {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks");
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    std::fs::write(&path, set).unwrap();
    let loaded = crate::config::Loaded::of(&crate::config::Layers::default()).unwrap();
    let mut key_sets = KeySets::of(&loaded.settings);
    let place = crate::config::SetPlace::File(path);
    let source = key_sets.add(crate::config::Api::Quiz, "id.example.org", &place, None).unwrap();
    source.fail("gone");
    key_sets
}

#[test]
fn the_names_of_the_page_and_the_sum_over_shards() {
    let engines: [Arc<Counters>; 2] = Default::default();
    for (shard, counters) in engines.iter().enumerate() {
        counters.presence_success.add(shard as u64 + 1);
        counters.presence_live.set(5);
        counters.presence_errors[SessionError::Replaced.index()].one();
        counters.dropped_slow.add(7);
        counters.quiz_denials[Denial::ALL.iter().position(|own| *own == Denial::Role).unwrap()].add(4);
        counters.quiz_answers.add(9);
        counters.ended(Ending::Code(1013));
        counters.labs_bytes.add(11);
        counters.labs_revoked.set(2);
        counters.labs_followers.set(3);
    }
    // The registry's home is one of them.
    engines[1].tasks_running.set(6);
    engines[1].delivery.record_many(Duration::from_millis(7), 3);
    engines[1].registry_agents.set(5);
    engines[1].registry_online.set(3);
    engines[1].registry_turned_away.set(6);
    engines[1].registry_states[State::Waking as usize].set(4);
    let outside = Outside { models: Arc::new([("large".into(), model())].into()), ..Outside::default() };
    let bus = nats::Counts::default();
    bus.read_ago_millis.store(1_250, Relaxed);
    let none = Certificates::read(&[], &mut Vec::new()).unwrap();
    let draining = Reason { code: "stopping", text: String::new() };
    let sources = Sources {
        engines: &engines,
        shells: &[],
        store: &Health::default(),
        outside: &outside,
        cluster: Some(&bus),
        certificates: &none,
        key_sets: &key_sets(),
        reloads: &Reloads::default(),
        process: &Process::default(),
        health: (&Condition::default(), &Condition { reasons: vec![draining], warnings: vec![] }),
    };
    let drawn = draw(&sources);
    let known: BTreeSet<_> = LABELS.iter().copied().collect();
    let used = drawn.iter().flat_map(|family| &family.samples).flat_map(|(labels, _)| labels).map(|(name, _)| *name);
    // No listener has a certificate here, and no agent a tool.
    assert_eq!(used.chain(["listener", "tool"]).collect::<BTreeSet<_>>(), known);
    let text = String::from_utf8(Form::OpenMetrics.write(&drawn)).unwrap();
    let expected = [
        "ws_connection{status=\"success\"} 3",
        "ws_connection{status=\"replaced\"} 2",
        "ws_connection{status=\"unauthenticated\"} 0",
        "ws_connection_total 10",
        "homeroom_delivery_seconds_count{shard=\"1\"} 3",
        "homeroom_delivery_seconds_bucket{shard=\"1\",le=\"0.015625\"} 3",
        "homeroom_delivery_seconds_bucket{shard=\"1\",le=\"0.00390625\"} 0",
        "homeroom_dropped_total{shard=\"1\",reason=\"slow\"} 7",
        "homeroom_quiz_refused_total{shard=\"1\",reason=\"role\"} 4",
        "homeroom_quiz_refused_total{shard=\"1\",reason=\"credential\"} 0",
        "homeroom_quiz_answers_total{shard=\"0\"} 9",
        "homeroom_closed_total{code=\"1013\"} 2",
        "homeroom_closed_total{code=\"gone\"} 0",
        "homeroom_labs_tunnel_bytes_total{shard=\"1\"} 11",
        "homeroom_labs_agents{status=\"online\"} 3",
        "homeroom_labs_agents{status=\"offline\"} 2",
        "homeroom_labs_agents_turned_away_total 6",
        "homeroom_labs_sessions{state=\"waking\"} 4",
        "homeroom_labs_sessions{state=\"running\"} 0",
        "homeroom_key_set_keys{api=\"quiz\",issuer=\"id.example.org\"} 1",
        "homeroom_key_set_reads_total{api=\"quiz\",issuer=\"id.example.org\",outcome=\"right\"} 1",
        "homeroom_key_set_reads_total{api=\"quiz\",issuer=\"id.example.org\",outcome=\"failed\"} 1",
        "homeroom_labs_revoked 2",
        "homeroom_live 1",
        "homeroom_ready 0",
        "homeroom_unready{reason=\"stopping\"} 1",
        "homeroom_unready{reason=\"store_failing\"} 0",
        "homeroom_warning{reason=\"reload_refused\"} 0",
        "homeroom_labs_follower_sockets{shard=\"1\"} 3",
        "homeroom_tasks_running{shard=\"1\"} 6",
        "homeroom_model_requests_total{model=\"large\",outcome=\"timed_out\"} 1",
        "homeroom_model_requests_total{model=\"large\",outcome=\"answered\"} 0",
        "homeroom_cluster_packets_sent_total 0",
        "homeroom_cluster_nodes 0",
        "homeroom_cluster_lease_age_seconds 1.25",
        "homeroom_cluster_outside_dropped_total{reason=\"header_missing\"} 0",
        "# EOF",
    ];
    for line in expected {
        assert!(text.lines().any(|own| own == line), "{line} in\n{text}");
    }
}

/// What samples of these are called, over all forms; a native histogram has the family's own name.
fn sample_names(families: &[Family]) -> BTreeSet<String> {
    let suffixes = |kind: Kind| match kind {
        Kind::Counter => &["_total"][..],
        Kind::Gauge | Kind::Unknown => &[""],
        Kind::Histogram { .. } => &["", "_bucket", "_sum", "_count"],
    };
    let names = |family: &Family| {
        let name = family.name;
        suffixes(family.kind).iter().map(move |suffix| format!("{name}{suffix}"))
    };
    families.iter().flat_map(names).collect()
}

/// Each word of a text that is a metric of ours, or one that a rule of ours records.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|one: char| !(one.is_ascii_alphanumeric() || one == '_' || one == ':'));
    let is_ours = |word: &&str| {
        ["homeroom_", "ws_connection", "process_", "instance:", "shard:"].iter().any(|begin| word.starts_with(begin))
            && word.len() > "instance:".len()
    };
    words.filter(is_ours).collect()
}

#[test]
fn rules_and_the_dashboard_name_what_there_is() {
    const RULES: &str = include_str!("../../../ops/homeroom.rules.yml");
    const DASHBOARD: &str = include_str!("../../../ops/grafana/homeroom.json");
    let none = Certificates::read(&[], &mut Vec::new()).unwrap();
    let drawn = draw(&Sources {
        engines: &[],
        shells: &[],
        store: &Health::default(),
        outside: &Outside::default(),
        cluster: Some(&nats::Counts::default()),
        certificates: &none,
        key_sets: &key_sets(),
        reloads: &Reloads::default(),
        process: &Process::default(),
        health: (&Condition::default(), &Condition::default()),
    });
    let mut known = sample_names(&drawn);
    known.extend(RULES.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).map(str::to_owned));
    for (file, text) in [("rules", RULES), ("dashboard", DASHBOARD)] {
        let named = metrics_in(text);
        assert!(named.len() > 40, "{file} names {} metrics", named.len());
        let unknown: Vec<_> = named.into_iter().filter(|name| !known.contains(*name)).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
    let alerts = RULES.matches("- alert: ").count();
    assert!(alerts >= 20, "{alerts} alerts");
    assert_eq!((RULES.matches("          runbook: ").count(), RULES.matches("          summary: ").count()), (alerts, alerts));
    assert_eq!(metrics_in("rate(homeroom_nothing_total[5m])").difference(&BTreeSet::new()).count(), 1);
    serde_json::from_str::<serde_json::Value>(DASHBOARD).unwrap();
}
