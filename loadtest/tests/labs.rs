//! The scenario of labs against a server whose every fault is known: what it reports must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

#[path = "stub/lab/mod.rs"]
mod lab;
mod run;

use lab::{Faults, Stub};
use run::{Run, command, read};
use serde_json::json;
use std::{fs, net::SocketAddr};

/// Six sessions of two agents: bytes through one, keys at two, and three that idle.
const SMALL: &str = "--agents 2 --sessions 6 --bulk 1 --typists 2 --for 300ms --settle 0s --chunk 4096 --timeout 5s";

fn run_at(address: SocketAddr, password: &str, arguments: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, format!("{password}\n")).unwrap();
    let output = command("lab", arguments)
        .args(["--url", &format!("http://{address}"), "--password"])
        .arg(&path)
        .arg("--json")
        .arg(folder.path().join("report.json"))
        .output()
        .unwrap();
    read(&folder, &output)
}

fn with(faults: Faults, arguments: &str) -> Run {
    run_at(Stub::start(faults).server().public, "open sesame", arguments)
}

fn count(run: &Run, name: &str) -> u64 {
    run.report["lab"][name].as_u64().unwrap()
}

#[test]
fn a_good_server_passes_and_every_count_is_right() {
    let stub = Stub::start(Faults::default());
    let run = run_at(stub.server().public, "open sesame", &format!("{SMALL} --workers 2"));
    run.assert_clean();
    let counts = ["online", "made", "running", "starts", "watching", "tunnels", "untied", "stops", "deleted", "terminated"];
    assert_eq!(counts.map(|name| count(&run, name)), [2, 6, 6, 6, 6, 6, 6, 6, 6, 6], "{}", run.summary);
    // Twenty keys a second of two typists, for 0.3 s.
    assert_eq!(["keys_sent", "keys_echoed", "keys_heard"].map(|name| count(&run, name)), [12; 3]);
    // More than the first credit.
    assert!(count(&run, "down_heard") > 256 << 10 && count(&run, "down_heard") == count(&run, "down_sent"), "{}", run.summary);
    assert_eq!((count(&run, "viewers_closed"), count(&run, "agents_closed"), stub.results()), (6, 2, 12));
    for (measure, values) in [("create", 6), ("watch", 6), ("key", 12)] {
        assert_eq!(run.report["latencies"][measure]["count"], values, "{measure}");
    }
    assert_eq!(run.report["checks"].as_array().unwrap().len(), 19, "{}", run.summary);
}

#[test]
fn bytes_go_both_ways_and_at_a_rate() {
    let run = with(Faults::default(), &format!("{SMALL} --direction both --bulk-rate 1000000"));
    run.assert_clean();
    // 1 MB a second for 0.3 s in blocks of 4,096.
    let each = 1_000_000 * 3 / 10 / 4_096 * 4_096;
    assert_eq!(["down_heard", "up_heard"].map(|name| count(&run, name)), [each; 2], "{}", run.summary);
}

#[test]
fn sessions_that_idle_are_held_and_nothing_else() {
    let run = with(Faults::default(), "--agents 3 --sessions 9 --viewers 5 --bulk 0 --typists 0 --for 200ms --settle 0s");
    run.assert_clean();
    assert_eq!(["watching", "tunnels", "stops", "down_sent", "keys_sent"].map(|name| count(&run, name)), [5, 5, 9, 0, 0]);
}

#[test]
fn a_byte_that_is_lost_changed_or_doubled_fails_a_run() {
    for faults in [
        Faults { cut_every: 20, ..Faults::default() },
        Faults { flip_every: 20, ..Faults::default() },
        Faults { double_every: 20, ..Faults::default() },
    ] {
        let run = with(faults, "--sessions 1 --bulk 1 --typists 0 --for 300ms --settle 0s --chunk 4096 --timeout 5s");
        run.assert_failed();
        assert_eq!(count(&run, "broken"), 1, "{}", run.summary);
        assert_eq!(run.faults(), &json!({"viewing": {"bytes that the agent did not send": 1}}));
    }
}

#[test]
fn the_end_of_a_stream_must_come_too() {
    // One block, of which the last byte is lost.
    let run = with(
        Faults { cut_every: 3, ..Faults::default() },
        "--sessions 1 --bulk 1 --typists 0 --for 300ms --bulk-rate 41000 --settle 0s --chunk 4096 --timeout 5s",
    );
    run.assert_failed();
    assert_eq!((count(&run, "broken"), count(&run, "down_sent") - count(&run, "down_heard")), (0, 1), "{}", run.summary);
    assert_eq!(run.broken_checks(), ["bytes at viewers, of those pushed by agents"]);
}

#[test]
fn a_key_that_is_swallowed_fails_a_run() {
    let faults = Faults { swallow_every: 4, ..Faults::default() };
    let run = with(faults, "--sessions 1 --bulk 0 --typists 1 --for 500ms --settle 0s --timeout 5s");
    run.assert_failed();
    assert!(run.broken_checks().contains(&"keys back at their viewers"), "{}", run.summary);
    assert_eq!(count(&run, "broken"), 1);
}

#[test]
fn without_credit_nothing_is_sent() {
    let faults = Faults { stingy: true, ..Faults::default() };
    let run = with(faults, "--sessions 1 --bulk 1 --typists 0 --for 300ms --settle 0s --chunk 4096");
    run.assert_clean();
    assert_eq!(count(&run, "down_heard"), 256 << 10, "as much as the first credit: {}", run.summary);
}

#[test]
fn commands_that_come_twice_or_not_at_all_fail_a_run() {
    let twice = with(Faults { commands_twice: true, ..Faults::default() }, SMALL);
    twice.assert_failed();
    assert_eq!((twice.broken_checks(), count(&twice, "doubled")), (vec!["commands heard again"], 12), "{}", twice.summary);

    let forgotten = with(Faults { forget_every: 6, ..Faults::default() }, &format!("{SMALL} --viewers 5 --in-flight 1"));
    forgotten.assert_failed();
    assert_eq!(forgotten.broken_checks(), ["sessions that run", "start_session at agents"], "{}", forgotten.summary);
}

#[test]
fn who_is_not_told_or_refused_shows() {
    let untold = with(Faults { untold: true, ..Faults::default() }, SMALL);
    untold.assert_failed();
    assert_eq!(untold.broken_checks(), ["tunnels that their agents were told to close"], "{}", untold.summary);

    let refused = with(Faults { refuse_every: 6, ..Faults::default() }, SMALL);
    refused.assert_failed();
    assert_eq!((refused.faults(), count(&refused, "watching")), (&json!({"viewing": {"http 409": 1}}), 5), "{}", refused.summary);
}

#[test]
fn limits_are_waited_for() {
    let run = with(Faults { crowded_every: 4, ..Faults::default() }, SMALL);
    run.assert_clean();
    assert_eq!(count(&run, "made"), 6);
    assert!(run.ms("create", "max") >= 1_000.0, "{}", run.summary);
}

#[test]
fn wrong_usage_is_said_before_anything_starts() {
    let code = |arguments: &str| command("lab", arguments).output().unwrap().status.code();
    assert_eq!(code("--sessions 5"), Some(2), "no credential");
    assert_eq!(code("--password /nonexistent"), Some(2));
    assert_eq!(code("--between nothing"), Some(2));
    for wrong in
        ["--sessions 3 --viewers 4", "--sessions 3 --bulk 2 --typists 2", "--sessions 3 --agents 4", "--sessions 3 --workers 2"]
    {
        assert_eq!(code(&format!("--between relay {wrong}")), Some(2), "{wrong}");
    }
    assert_eq!(code("--between 127.0.0.1:1 --sessions 3 --bulk 1"), Some(2));
    let stub = Stub::start(Faults::default());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), "wrong\n").unwrap();
    let url = format!("http://{}", stub.server().public);
    let refused = command("lab", "").args(["--url", &url, "--password"]).arg(folder.path().join("password")).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("AUTH_INVALID_CREDENTIALS"));
}
