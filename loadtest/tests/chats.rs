//! The scenario of chat against a server whose every fault is known: what it reports must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

#[path = "stub/chat/mod.rs"]
mod chat;
mod run;

use chat::{Faults, Stub};
use run::{Reserved, Run, command, read};
use std::{fs, net::TcpListener};

/// Two answers in each session, of ten words in 0.2 s.
const SMALL: &str = "--messages 2 --every 300ms --words 10 --pace 20ms --think 10ms --settle 500ms";

/// Answers so long that a cancel in their middle comes before their end, on whatever machine: what is left then takes 2.5 s.
const LONG: &str = "--messages 2 --every 300ms --words 100 --pace 50ms --think 10ms --settle 1s --cancel-every 2";
/// Who waits in vain for an answer's end waits so much longer than it takes.
const IN_VAIN: &str = "--timeout 6s";

fn run_at(stub: &Stub, arguments: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "a secret of a test, long enough for HS256\n").unwrap();
    let mut command = command("chat", arguments);
    command.args(["--url", &format!("http://{}", stub.address), "--json"]).arg(folder.path().join("report.json"));
    if !arguments.contains("--logins") {
        command.arg("--key").arg(&key);
    }
    read(&folder, &command.output().unwrap())
}

/// Eight answers of four sessions.
fn with(faults: Faults, arguments: &str) -> Run {
    of(SMALL, faults, arguments)
}

/// The same with other answers.
fn of(answers: &str, faults: Faults, arguments: &str) -> Run {
    let model = Reserved::new();
    let arguments = format!("{answers} --sessions 4 {arguments} --model-listen {}", model.address);
    run_at(&Stub::start(faults, model.address), &arguments)
}

fn count(run: &Run, name: &str) -> u64 {
    run.report["chat"][name].as_u64().unwrap()
}

fn latencies(run: &Run, measure: &str) -> u64 {
    run.report["latencies"][measure]["count"].as_u64().unwrap_or(0)
}

#[test]
fn a_good_server_passes_and_every_count_is_right() {
    let model = Reserved::new();
    let stub = Stub::start(Faults::default(), model.address);
    let arguments = format!("{SMALL} --sessions 6 --sse 2 --sockets 2 --workers 2 --model-listen {}", model.address);
    let run = run_at(&stub, &arguments);
    run.assert_clean();
    assert_eq!(stub.sessions(), 6);
    // Two of the sessions hear on one connection, four on two.
    let counts =
        ["made", "opened", "asked", "requests", "given", "starts_heard", "ends_heard", "words_heard", "proved", "closed"];
    assert_eq!(counts.map(|name| count(&run, name)), [6, 10, 12, 12, 12, 20, 20, 200, 12, 8], "{}", run.summary);
    let measured = [("word", 180), ("first_word", 20), ("reply", 20), ("gap", 180), ("cancel_end", 0)];
    assert_eq!(measured.map(|(measure, _)| latencies(&run, measure)), measured.map(|(_, values)| values), "{}", run.summary);
    assert!(run.ms("reply", "min") >= 10.0 && run.ms("word", "min") < 1_000.0, "{}", run.summary);
}

#[test]
fn cancels_end_their_answers_and_the_requests_for_them() {
    let run = of(LONG, Faults::default(), "--sockets 2");
    run.assert_clean();
    let counts = ["cancels", "cut_short", "cut", "given", "unproved"];
    assert_eq!(counts.map(|name| count(&run, name)), [4, 4, 4, 4, 0], "{}", run.summary);
    assert_eq!(["cancel_word", "cancel_end", "cancel_gone"].map(|measure| latencies(&run, measure)), [4; 3]);
}

#[test]
fn the_built_in_agent_is_held_against_its_pace() {
    let nobody = Reserved::new();
    let stub = Stub::start(Faults::default(), nobody.address);
    let run = run_at(&stub, &format!("{SMALL} --sessions 4 --agent tutor --unmeasured 1"));
    run.assert_clean();
    assert_eq!(["requests", "words_heard", "ends_heard"].map(|name| count(&run, name)), [0, 80, 8], "{}", run.summary);
    assert_eq!((latencies(&run, "gap"), latencies(&run, "reply"), latencies(&run, "word")), (36, 4, 0));
}

#[test]
fn a_word_that_is_lost_doubled_or_swapped_fails_a_run() {
    let lost = with(Faults { lose_every: 40, ..Faults::default() }, "");
    lost.assert_failed();
    assert_eq!(80 - count(&lost, "words_heard") - count(&lost, "broken"), 2, "{}", lost.summary);
    assert!(lost.broken_checks().contains(&"words of answers"), "{}", lost.summary);

    let doubled = with(Faults { double_every: 40, ..Faults::default() }, "");
    doubled.assert_failed();
    let expected = ["words that are not the next of their answer", "answers that are not kept as they were heard"];
    assert_eq!((doubled.broken_checks(), count(&doubled, "broken")), (expected.to_vec(), 2), "{}", doubled.summary);

    // The last word of an answer cannot change places with one behind it, and is lost then.
    let swapped = with(Faults { swap_every: 37, ..Faults::default() }, "");
    swapped.assert_failed();
    assert!(swapped.broken_checks().contains(&"words of answers"), "{}", swapped.summary);
}

#[test]
fn answers_that_begin_or_end_twice_or_never_fail_a_run() {
    let begun = with(Faults { begin_twice_every: 8, ..Faults::default() }, "");
    begun.assert_failed();
    let misplaced = "beginnings within an answer, and ends outside one";
    assert!(begun.broken_checks().contains(&"beginnings of answers") && begun.broken_checks().contains(&misplaced));

    let ended = with(Faults { end_twice_every: 8, ..Faults::default() }, "");
    ended.assert_failed();
    assert_eq!((ended.broken_checks(), count(&ended, "misplaced")), (vec![misplaced], 1), "{}", ended.summary);

    let endless = with(Faults { endless_every: 8, ..Faults::default() }, IN_VAIN);
    endless.assert_failed();
    assert!(endless.broken_checks().contains(&"ends of answers"), "{}", endless.summary);
}

#[test]
fn a_word_after_a_cancel_fails_a_run() {
    let late = of(LONG, Faults { word_after_cancel: true, ..Faults::default() }, "");
    late.assert_failed();
    assert_eq!((late.broken_checks(), count(&late, "stray")), (vec!["words outside an answer"], 4), "{}", late.summary);
}

#[test]
fn a_cancel_that_nobody_hears_fails_a_run() {
    let deaf = with(Faults { deaf: true, ..Faults::default() }, "--cancel-every 2");
    deaf.assert_failed();
    assert!(deaf.broken_checks().contains(&"answers that ended by their cancel"), "{}", deaf.summary);
}

#[test]
fn a_request_that_outlives_its_cancel_fails_a_run() {
    let clinging = of(LONG, Faults { clinging: true, ..Faults::default() }, "");
    clinging.assert_failed();
    let expected = ["answers that the model gave whole", "requests to the model that went with their cancel"];
    assert_eq!((clinging.broken_checks(), latencies(&clinging, "cancel_gone")), (expected.to_vec(), 0), "{}", clinging.summary);
}

#[test]
fn a_socket_that_hears_nothing_and_an_answer_that_is_kept_wrong_fail_a_run() {
    let mute = with(Faults { mute_every: 8, ..Faults::default() }, &format!("--sockets 2 {IN_VAIN}"));
    mute.assert_failed();
    assert_eq!((count(&mute, "ends_heard"), count(&mute, "words_heard")), (14, 140), "{}", mute.summary);

    let forgotten = with(Faults { forget_every: 8, ..Faults::default() }, "");
    forgotten.assert_failed();
    assert_eq!(forgotten.broken_checks(), ["answers that are not kept as they were heard"], "{}", forgotten.summary);
}

#[test]
fn people_sign_in_and_limits_are_waited_for() {
    let (model, folder) = (Reserved::new(), tempfile::tempdir().unwrap());
    let logins = folder.path().join("logins");
    let stub = Stub::start(Faults { crowded_every: 4, ..Faults::default() }, model.address);
    let arguments = format!("{SMALL} --sessions 4 --model-listen {} --logins {}", model.address, logins.display());
    fs::write(&logins, "a@school.example open sesame\n".repeat(4)).unwrap();
    run_at(&stub, &arguments).assert_clean();
    fs::write(&logins, "a@school.example wrong\n".repeat(4)).unwrap();
    let refused = command("chat", &arguments).args(["--url", &format!("http://{}", stub.address)]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("INVALID_CREDENTIALS"));
}

#[test]
fn wrong_usage_is_said_before_anything_starts() {
    let code = |arguments: &str| command("chat", arguments).output().unwrap().status.code();
    assert_eq!(code("--sessions 5"), Some(2), "no credential");
    assert_eq!(code("--key /nonexistent"), Some(2));
    for wrong in ["--sessions 3 --sse 4", "--every 1s --spread 2s", "--messages 2 --unmeasured 2", "--pace 0ms", "--words 1"] {
        let output = command("chat", &format!("--key /nonexistent {wrong}")).output().unwrap();
        let is_named = !String::from_utf8_lossy(&output.stderr).contains("/nonexistent");
        assert_eq!((output.status.code(), is_named), (Some(2), true), "{wrong}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let stub = Stub::start(Faults::default(), taken.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "a secret of a test, long enough for HS256\n").unwrap();
    let mut command = command("chat", &format!("{SMALL} --sessions 4 --model-listen {}", taken.local_addr().unwrap()));
    let busy =
        command.args(["--url", &format!("http://{}", stub.address), "--key"]).arg(folder.path().join("key")).output().unwrap();
    assert_eq!(busy.status.code(), Some(1), "an address that somebody has");
}
