//! Nodes restart one after the other, at nodes whose every fault is known: what is reported must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

mod run;
#[path = "stub/nodes.rs"]
mod nodes;

use nodes::{Nodes, Wrongs};
use run::{Run, Server, command, read, start_with};

/// Six in each of four rooms, two on each of three nodes.
const SMALL: &str = "--students 24 --classrooms 4 --calm 300ms --publish-rate 100";

fn with(wrongs: Wrongs, arguments: &str) -> Run {
    // What is missing is waited for as long.
    let timeout = if wrongs.loses_next || wrongs.breaks_first { "2s" } else { "20s" };
    let (nodes, folder) = (Nodes::start(3, wrongs), tempfile::tempdir().unwrap());
    let first = Server { public: nodes.nodes[0].public, internal: nodes.nodes[0].internal };
    let more = [nodes.others(), vec!["--restart".to_owned(), nodes.restart()]].concat();
    let child = start_with(&folder, "rolling", first, &format!("{SMALL} --timeout {timeout} {arguments}"), &more);
    read(&folder, &child.wait_with_output().unwrap())
}

fn count(run: &Run, name: &str) -> u64 {
    run.report["rolling"][name].as_u64().unwrap()
}

#[test]
fn everybody_moves_before_he_leaves_and_every_message_is_heard_once() {
    let run = with(Wrongs::default(), "--rounds 2 --workers 2");
    run.assert_clean();
    // Each node has eight at least when it goes, and nobody stays on it.
    let [told, moved, replaced, bare] = ["told", "moved", "replaced", "bare"].map(|name| count(&run, name));
    assert!(told >= 24, "{}", run.summary);
    assert_eq!((moved, replaced, bare), (told, told, 0), "{}", run.summary);
    assert_eq!((run.count("signed_in"), run.count("closed"), run.count("undelivered")), (24, 24, 0));
    let fates = &run.report["fates"];
    assert!(fates["meant"].as_u64() > Some(500) && fates["meant"] == fates["delivered"], "{}", run.summary);
    assert_eq!(run.report["latencies"]["return"]["count"].as_u64(), Some(told));
}

#[test]
fn what_is_lost_or_doubled_between_two_connections_fails_a_run() {
    let lost = with(Wrongs { loses_next: true, ..Wrongs::default() }, "");
    lost.assert_failed();
    assert!(lost.broken_checks().contains(&"messages that a student who was in did not hear"), "{}", lost.summary);

    let doubled = with(Wrongs { replays: true, ..Wrongs::default() }, "");
    doubled.assert_failed();
    assert!(doubled.broken_checks().contains(&"messages heard again"), "{}", doubled.summary);
    assert_eq!((count(&doubled, "bare"), doubled.count("undelivered")), (0, 0), "{}", doubled.summary);

    let both = with(Wrongs { keeps_both: true, ..Wrongs::default() }, "");
    both.assert_failed();
    assert!(both.broken_checks().contains(&"messages heard again"), "{}", both.summary);
}

#[test]
fn a_student_without_a_connection_fails_a_run() {
    let silent = with(Wrongs { silent: true, ..Wrongs::default() }, "");
    silent.assert_failed();
    assert!(silent.broken_checks().contains(&"times that a student had no connection"), "{}", silent.summary);
    // He was in all the same as far as he could be: what was said while he was not is missed.
    assert!(count(&silent, "bare") >= 8 && count(&silent, "told") == 0, "{}", silent.summary);

    let broken = with(Wrongs { breaks_first: true, ..Wrongs::default() }, "");
    broken.assert_failed();
    assert!(broken.broken_checks().contains(&"times that a student had no connection"), "{}", broken.summary);
}

#[test]
fn a_publish_without_an_answer_may_be_heard_and_is_told_of() {
    let run = with(Wrongs { swallows_answers: true, ..Wrongs::default() }, "");
    assert!(count(&run, "unsure") > 0, "{}", run.summary);
    assert_eq!((run.faults(), run.broken_checks()), (&serde_json::json!({}), vec![]), "{}", run.summary);
    assert!(count(&run, "unsure_heard") > 0, "{}", run.summary);
    assert_eq!(run.count("published"), run.count("answered") + count(&run, "unsure"));
}

#[test]
fn a_restart_that_is_none_or_fails_is_no_rolling_restart() {
    let (nodes, folder) = (Nodes::start(2, Wrongs::default()), tempfile::tempdir().unwrap());
    let first = || Server { public: nodes.nodes[0].public, internal: nodes.nodes[0].internal };
    let run = |restart: &str| {
        let more = [nodes.others(), vec!["--restart".to_owned(), restart.to_owned()]].concat();
        start_with(&folder, "rolling", first(), SMALL, &more).wait_with_output().unwrap()
    };
    let nothing = read(&folder, &run("true"));
    nothing.assert_failed();
    assert_eq!(nothing.broken_checks(), ["restarts that were noticed"], "{}", nothing.summary);
    let failed = run("exit 7");
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(failed.status.code() == Some(1) && said.contains("the command that restarts node 0"), "{said}");
}

#[test]
fn wrong_usage_is_said_before_anything_starts() {
    let code = |arguments: &str| command("rolling", &format!("--tokens /dev/null {arguments}")).output().unwrap().status.code();
    let internal = "--internal http://127.0.0.1:1";
    assert_eq!(code(internal), Some(2), "one node");
    assert_eq!(code("--also ws://127.0.0.1:1/ws,http://127.0.0.1:1"), Some(2), "no --internal");
    assert_eq!(code(&format!("{internal} --also ws://127.0.0.1:1/ws")), Some(2), "half a node");
}
