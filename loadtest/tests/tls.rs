//! Runs under TLS: that they count as others do, and whom they believe.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

#[path = "stub/front.rs"]
mod front;
#[allow(dead_code, reason = "each test uses its part")]
#[path = "stub/quiz/mod.rs"]
mod quiz;
mod run;
mod stub;

use front::Identity;
use run::{KEY, Run, command, read};
use serde_json::json;
use std::{fs, net::SocketAddr};
use stub::{Faults, Stub};

/// Ten sign in to two rooms.
const SMALL: &str = "--students 10 --classrooms 2 --hold 0ms";

/// A run under TLS, and what it wrote to its standard error. `believed` is put in place of `--ca`.
fn run_at(scenario: &str, to: [SocketAddr; 2], believed: &Identity, arguments: &str) -> (Run, String) {
    let folder = tempfile::tempdir().unwrap();
    let [key, ca] = ["key", "ca.pem"].map(|name| folder.path().join(name));
    fs::write(&key, KEY).unwrap();
    fs::write(&ca, &believed.certificate).unwrap();
    let mut command = command(scenario, arguments);
    command
        .args(["--url", &format!("wss://{}/ws", to[0]), "--internal", &format!("https://{}", to[1])])
        .args(["--issuer", "issuer.example", "--aud", "school.example", "--key"])
        .arg(&key)
        .arg("--json")
        .arg(folder.path().join("report.json"));
    if !arguments.contains("--insecure") {
        command.arg("--ca").arg(&ca);
    }
    let output = command.output().unwrap();
    (read(&folder, &output), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_sign_in_and_delivery_is_counted_as_without() {
    let (stub, own) = (Stub::start(Faults::default()), Identity::new());
    let to = [own.before(stub.address, true), own.before(stub.internal, true)];
    let arguments = "--students 30 --classrooms 3 --workers 2 --publish-rate 60 --for 500ms";
    let (run, told) = run_at("broadcast", to, &own, arguments);
    run.assert_clean();
    assert_eq!((run.count("signed_in"), run.count("closed"), run.count("pings")), (30, 30, 30));
    assert_eq!((run.count("published"), run.count("owed"), run.count("delivered")), (30, 300, 300));
    assert_eq!((&run.report["unverified"], run.summary.contains("NOT VERIFIED")), (&json!(false), false), "{told}");
}

#[test]
fn requests_and_screens_of_a_quiz_go_under_tls_too() {
    let (stub, own) = (quiz::Stub::start(quiz::Faults::default()), Identity::new());
    let to = [own.before(stub.server().public, true), own.before(stub.server().internal, true)];
    let arguments = "--participants 12 --quizzes 3 --questions 5 --saturate --in-flight 4 --sockets --watch quiz,leaderboard";
    let (run, _) = run_at("quiz", to, &own, arguments);
    run.assert_clean();
    let counts = ["started", "listening", "answered", "submitted", "watching", "lost"].map(|name| &run.report["quiz"][name]);
    assert_eq!(counts, [12, 12, 60, 12, 3, 0].map(|count| json!(count)).each_ref(), "{}", run.summary);
}

#[test]
fn a_stranger_is_not_believed_unless_everybody_is() {
    let (stub, own) = (Stub::start(Faults::default()), Identity::new());
    // Its gauges are read before anybody signs in, so a stranger who has those too would end the run there.
    let to = [own.before(stub.address, true), own.before(stub.internal, true)];
    let (run, told) = run_at("bell", to, &Identity::new(), &format!("{SMALL} --insecure"));
    run.assert_clean();
    assert_eq!((run.count("signed_in"), &run.report["unverified"]), (10, &json!(true)));
    assert!(run.summary.contains("NOT VERIFIED") && told.contains("NOT VERIFIED"), "{}{told}", run.summary);

    let other = Identity::new();
    let (run, _) = run_at("bell", [other.before(stub.address, true), to[1]], &own, SMALL);
    run.assert_failed();
    assert_eq!(run.count("signed_in"), 0);
    let kinds: Vec<&String> = run.faults()["sign_in"].as_object().unwrap().keys().collect();
    assert!(kinds.len() == 1 && kinds[0].starts_with("TLS: invalid peer certificate"), "{kinds:?}");
}

#[test]
fn an_end_that_anybody_could_have_made_and_a_server_without_tls_are_told() {
    let (stub, own) = (Stub::start(Faults::default()), Identity::new());
    let internal = own.before(stub.internal, true);
    let (run, _) = run_at("bell", [own.before(stub.address, false), internal], &own, SMALL);
    run.assert_failed();
    assert_eq!(run.faults(), &json!({"closing": {"TLS that ended without its farewell": 10}}));

    let (run, _) = run_at("bell", [stub.address, internal], &own, SMALL);
    run.assert_failed();
    let kinds: Vec<&String> = run.faults()["sign_in"].as_object().unwrap().keys().collect();
    assert!(kinds.iter().all(|kind| kind.starts_with("TLS: ") || kind.contains("ended") || kind.contains("reset")), "{kinds:?}");
}

#[test]
fn authorities_that_cannot_be_read_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let [key, empty] = ["key", "empty.pem"].map(|name| folder.path().join(name));
    fs::write(&key, KEY).unwrap();
    fs::write(&empty, "nothing\n").unwrap();
    for (file, why) in [(folder.path().join("none.pem"), "No such file"), (empty, "holds no certificate")] {
        let mut command = command("bell", SMALL);
        let output = command.args(["--url", "wss://127.0.0.1:1/ws", "--key"]).arg(&key).arg("--ca").arg(file).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && told.contains(why), "{told}");
    }
}
