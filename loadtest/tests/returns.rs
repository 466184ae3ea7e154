//! Everybody drops and comes back, at a server whose every fault is known: what is reported must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

mod run;
mod stub;

use run::{Run, command, run};
use stub::{Faults, Stub};

/// Twenty of 24 drop twice, four stay.
const SMALL: &str = "--students 24 --classrooms 4 --within 600ms --calm 300ms --publish-rate 60";

fn with(faults: Faults, arguments: &str) -> Run {
    run("reconnect", Stub::start(faults).server(), &format!("{SMALL} {arguments}"))
}

fn count(run: &Run, name: &str) -> u64 {
    run.report["reconnect"][name].as_u64().unwrap()
}

fn fates(run: &Run) -> u64 {
    let fates = run.report["fates"].as_object().unwrap();
    fates.iter().filter(|(name, _)| *name != "meant").map(|(_, count)| count.as_u64().unwrap()).sum()
}

#[test]
fn everybody_comes_back_and_every_message_is_accounted_for() {
    let run = with(Faults::default(), "--rounds 2 --workers 2");
    run.assert_clean();
    assert_eq!(["left", "reset", "begun", "returned"].map(|name| count(&run, name)), [40, 0, 40, 40], "{}", run.summary);
    assert_eq!(
        (run.count("signed_in"), run.count("closed"), run.report["latencies"]["return"]["count"].as_u64()),
        (64, 64, Some(40))
    );
    assert_eq!(["leavings_heard", "comings_heard"].map(|name| count(&run, name)), [40, 40], "{}", run.summary);
    assert!(run.report["fates"]["away"].as_u64() > Some(0), "{}", run.summary);
    assert_eq!((run.report["fates"]["meant"].as_u64(), run.report["fates"]["cut_off"].as_u64()), (Some(fates(&run)), Some(0)));
    let stages: Vec<_> =
        run.report["series"]["phases"].as_array().unwrap().iter().map(|phase| phase["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["sign_in", "publish", "storm", "hold", "storm", "hold", "calm", "close"]);
}

#[test]
fn whoever_is_reset_comes_back_too() {
    for returns in ["even", "soon", "at-once"] {
        let run = with(Faults::default(), &format!("--rounds 1 --drop reset --stay 0 --returns {returns}"));
        run.assert_clean();
        assert_eq!((count(&run, "reset"), count(&run, "returned"), run.count("closed")), (24, 24, 24), "{}", run.summary);
        assert_eq!(run.report["fates"]["meant"].as_u64(), Some(fates(&run)), "{}", run.summary);
    }
}

#[test]
fn a_message_that_is_lost_or_doubled_fails_a_run() {
    let lost = with(Faults { drop_delivery_every: 41, ..Faults::default() }, "--rounds 2 --timeout 5s");
    lost.assert_failed();
    let conserved = "messages of members, delivered, dropped or cut off";
    assert!(lost.broken_checks().contains(&conserved) && lost.count("undelivered") > 0, "{}", lost.summary);

    let doubled = with(Faults { double_delivery_every: 41, ..Faults::default() }, "--rounds 2");
    doubled.assert_failed();
    assert!(
        doubled.broken_checks().contains(&"messages heard again") && doubled.count("undelivered") == 0,
        "{}",
        doubled.summary
    );
}

#[test]
fn what_was_published_while_somebody_was_away_may_not_come() {
    let run = with(Faults { replay: true, ..Faults::default() }, "--rounds 2");
    run.assert_failed();
    assert!(run.broken_checks().contains(&"messages heard of the time away"), "{}", run.summary);
}

#[test]
fn leavings_and_comings_are_told_once_each() {
    // More than may have been back too soon for anybody to notice.
    let hidden = with(Faults { hide_leaving_every: 2, ..Faults::default() }, "--rounds 2 --timeout 3s");
    hidden.assert_failed();
    assert!(hidden.broken_checks().contains(&"leavings told to those who stayed"), "{}", hidden.summary);

    let twice = with(Faults { enter_twice_every: 7, ..Faults::default() }, "--rounds 2");
    twice.assert_failed();
    assert_eq!(twice.broken_checks(), ["leavings and comings told twice or out of turn"], "{}", twice.summary);
}

#[test]
fn a_return_that_is_refused_is_told_by_its_code() {
    let run = with(Faults { refuse_every: 40, ..Faults::default() }, "--rounds 2");
    run.assert_failed();
    assert_eq!(run.faults(), &serde_json::json!({"sign_in": {"unauthenticated": 1}}));
    assert_eq!((count(&run, "begun"), count(&run, "returned")), (40, 39), "{}", run.summary);
}

#[test]
fn wrong_usage_is_said_before_anything_starts() {
    let code = |arguments: &str| command("reconnect", &format!("--tokens /dev/null {arguments}")).output().unwrap().status.code();
    let internal = "--internal http://127.0.0.1:1";
    assert_eq!(code("--students 10"), Some(2), "no --internal");
    assert_eq!(code(&format!("{internal} --students 10 --classrooms 10")), Some(2), "nobody drops");
    assert_eq!(code(&format!("{internal} --students 10 --classrooms 3 --workers 2 --stay 0")), Some(2), "rooms are torn");
    assert_eq!(code(&format!("{internal} --rounds 0")), Some(2));
}
