//! Members who do not read, at a server whose every fault is known: what is reported must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

mod run;
mod stub;

use run::{Run, command, run};
use stub::{Faults, Stub};

/// Three of 30 do not read for half a second.
const SMALL: &str = "--students 30 --classrooms 3 --share 0.1 --publish-rate 60 --before 400ms --for 500ms --timeout 8s";

fn with(faults: Faults, arguments: &str) -> Run {
    run("slow", Stub::start(faults).server(), &format!("{SMALL} {arguments}"))
}

#[test]
fn the_others_are_measured_without_and_beside_the_slow_ones() {
    let run = with(Faults::default(), "");
    run.assert_clean();
    let (slow, latencies) = (&run.report["slow"], &run.report["latencies"]);
    assert_eq!((slow["members"].as_u64(), slow["cut_off"].as_u64()), (Some(3), Some(0)), "{}", run.summary);
    assert!(slow["p50_ratio"].as_f64() > Some(0.0) && slow["p99_ratio"].as_f64() > Some(0.0), "{}", run.summary);
    // They read in the end what was kept for them, and no message is missing.
    let measured = latencies["delivery"]["count"].as_u64().unwrap() + latencies["beside"]["count"].as_u64().unwrap();
    assert_eq!(measured + slow["heard"].as_u64().unwrap(), run.count("delivered"), "{}", run.summary);
    assert_eq!(run.report["fates"]["meant"].as_u64(), Some(run.count("delivered")), "{}", run.summary);
    let stages: Vec<_> =
        run.report["series"]["phases"].as_array().unwrap().iter().map(|phase| phase["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["sign_in", "publish", "stall", "calm", "close"]);
}

#[test]
fn who_reads_a_little_at_a_time_hears_everything_too() {
    let run = with(Faults::default(), "--read-rate 500 --workers 3");
    run.assert_clean();
    assert_eq!(run.report["fates"]["meant"].as_u64(), Some(run.count("delivered")), "{}", run.summary);
}

#[test]
fn a_message_that_is_lost_or_doubled_beside_slow_members_fails_a_run() {
    let lost = with(Faults { drop_delivery_every: 41, ..Faults::default() }, "");
    lost.assert_failed();
    assert!(lost.broken_checks().contains(&"messages that a member who was in did not hear"), "{}", lost.summary);

    let doubled = with(Faults { double_delivery_every: 41, ..Faults::default() }, "");
    doubled.assert_failed();
    assert!(doubled.broken_checks().contains(&"messages heard again"), "{}", doubled.summary);
}

#[test]
fn one_who_reads_and_is_closed_all_the_same_fails_a_run() {
    let run = with(Faults { lose_every: 13, ..Faults::default() }, "");
    run.assert_failed();
    assert!(run.broken_checks().contains(&"members who read, lost before they were told to close"), "{}", run.summary);
}

#[test]
fn wrong_usage_is_said_before_anything_starts() {
    let code = |arguments: &str| command("slow", &format!("--tokens /dev/null {arguments}")).output().unwrap().status.code();
    let internal = "--internal http://127.0.0.1:1";
    assert_eq!(code("--students 10"), Some(2), "no --internal");
    assert_eq!(code(&format!("{internal} --students 10 --share 1")), Some(2), "nobody reads");
    assert_eq!(code(&format!("{internal} --share 1.5")), Some(2));
}
