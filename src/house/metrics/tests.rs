//! What the text has.

use super::*;
use crate::services::{Endpoint, models::Patience};
use std::time::Duration;

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
    engines[1].registry_agents.set(5);
    engines[1].registry_online.set(3);
    engines[1].registry_turned_away.set(6);
    engines[1].registry_states[State::Waking as usize].set(4);
    let outside = Outside { models: Arc::new([("large".into(), model())].into()), ..Outside::default() };
    let bus = nats::Counts::default();
    bus.read_ago_millis.store(1_250, Relaxed);
    let none = Certificates::read(&[], &mut Vec::new()).unwrap();
    let text = text(&engines, &[], &Health::default(), &outside, Some(&bus), (&none, &key_sets()));
    let expected = [
        "ws_connection{status=\"success\"} 3",
        "ws_connection{status=\"replaced\"} 2",
        "ws_connection{status=\"unauthenticated\"} 0",
        "ws_connection_total 10",
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
