//! The scenario of tasks against a server whose every fault is known: what it reports must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

mod run;
#[path = "stub/tasks/mod.rs"]
mod tasks;

use run::{Run, command, run};
use serde_json::json;
use std::{fs, time::Duration};
use tasks::{Faults, Stub};

/// Forty tasks of four users with two sockets each, in two fifths of a second.
const SMALL: &str = "--users 4 --sockets 2 --rate 100 --for 400ms";
const PLAIN: &str = "--by-rest 0 --watched 0 --look-rate 0";

fn count(run: &Run, name: &str) -> u64 {
    run.report["tasks"][name].as_u64().unwrap()
}

fn with(faults: Faults, arguments: &str) -> Run {
    run("tasks", Stub::start(faults).server(), arguments)
}

/// A run that fails, with these checks broken and no others, and without a fault.
fn fails(faults: Faults, arguments: &str, checks: &[&str]) -> Run {
    let run = with(faults, &format!("{SMALL} {arguments}"));
    run.assert_failed();
    assert_eq!((run.broken_checks(), run.faults()), (checks.to_vec(), &json!({})), "{}", run.summary);
    run
}

const PENDING: &str = "pending at all who listen";
const ENDS: &str = "ends at all who listen";
const AT_USERS: &str = "messages at users, of those that any socket of theirs heard";
const AT_ADMINS: &str = "messages at admins, of those that users heard";
const UNHEARD: &str = "messages that a socket did not hear";
const AGAIN: &str = "messages that a socket heard again";
const LESS: &str = "messages that tell of less than before";
const ENDED_AGAIN: &str = "ends behind the end of a task";
const LATE: &str = "updates behind the end of a task";
const MISDIRECTED: &str = "messages to users whose task it is not";
const FAILED: &str = "tasks that failed by themselves";
const KEPT: &str = "tasks that REST has";
const STATES: &str = "states told to those who watch one task";
const ROWS: &str = "rows of REST that are not what was told";

#[test]
fn a_good_server_passes_and_every_count_is_right() {
    let stub = Stub::start(Faults::default());
    let arguments = "--admins 1 --workers 2 --by-rest 0.2 --watched 0.5 --executions 0.1 --workflow review --look-rate 20";
    let run = run("tasks", stub.server(), &format!("{SMALL} {arguments}"));
    run.assert_clean();
    let asked = ["asked_by_socket", "asked_by_rest", "executions_asked"].map(|name| count(&run, name));
    assert_eq!((asked.iter().sum::<u64>(), asked[1], asked[2]), (40, 8, 4), "{}", run.summary);
    let tasks = 36;
    assert_eq!(["kept", "completed", "cancelled", "failed"].map(|name| count(&run, name)), [tasks, tasks, 0, 0]);
    // Two sockets of the user and two of the admin; pending, four steps and the end.
    let heard = ["pendings_heard", "updates_heard", "ends_heard", "users_heard", "admins_heard"].map(|name| count(&run, name));
    assert_eq!(heard, [tasks * 4, tasks * 16, tasks * 4, tasks * 12, tasks * 12], "{}", run.summary);
    assert_eq!(["executions_kept", "executions_completed", "executions_ended"].map(|name| count(&run, name)), [4; 3]);
    let states = ["states_owed", "states_heard"].map(|name| count(&run, name));
    assert!(states[0] == states[1] && (14..=22).contains(&states[0]), "half of them are watched: {states:?}");
    assert_eq!(["listening", "closed", "lost", "looks_answered"].map(|name| count(&run, name)), [10, 10, 0, 8]);
    let (_, pongs) = stub.said();
    assert_eq!((pongs, stub.users().into_values().sum::<u64>()), (10, tasks));
    let counts = [("pending", tasks), ("begun", tasks), ("ended", tasks), ("execution", 4), ("fan_out", tasks * 6)];
    for (measure, values) in counts {
        assert_eq!(run.report["latencies"][measure]["count"], values, "{measure}");
    }
    assert_eq!(run.report["checks"].as_array().unwrap().len(), 24, "{}", run.summary);
}

#[test]
fn admins_of_one_worker_are_behind_its_users() {
    let run = with(Faults::default(), &format!("--users 4 --sockets 1 --rate 100 --for 400ms {PLAIN} --admins 2"));
    run.assert_clean();
    // Six messages of forty tasks at two sockets.
    assert_eq!((count(&run, "admins_heard"), run.report["latencies"]["at_admins"]["count"].as_u64()), (480, Some(480)));
}

#[test]
fn cancelled_tasks_fail_and_late_cancellations_are_told_apart() {
    let late = Faults { late: Duration::from_millis(200), ..Faults::default() };
    let run = with(late, &format!("{SMALL} --cancel-every 2 --cancel-after 100ms"));
    run.assert_clean();
    assert_eq!(["cancels_sent", "cancels_done", "cancelled", "completed"].map(|name| count(&run, name)), [20, 20, 20, 20]);
    assert_eq!(run.report["latencies"]["cancel"]["count"], 20, "{}", run.summary);
    let run = with(Faults::default(), &format!("{SMALL} --cancel-every 2 --cancel-after 3s"));
    run.assert_clean();
    assert_eq!(["cancels_sent", "cancels_late", "cancelled", "completed"].map(|name| count(&run, name)), [20, 20, 0, 40]);
}

#[test]
fn a_rate_is_kept_and_latencies_begin_where_they_were_meant_to() {
    let late = Faults { late: Duration::from_millis(50), ..Faults::default() };
    let run = with(late, SMALL);
    run.assert_clean();
    assert!(run.ms("ended", "min") >= 5.0 * 54.0 && run.ms("begun", "min") >= 54.0, "{}", run.summary);
    assert!(run.ms("pending", "min") < 250.0 && run.ms("ended", "min") < 2_000.0, "{}", run.summary);
    let took = run.report["rates"]["working_s"].as_f64().unwrap();
    assert!((0.66..20.0).contains(&took), "the last one begins after 390 ms: {took} s");
}

#[test]
fn a_lost_message_fails_a_run() {
    // Six messages of forty tasks at two sockets: 480.
    let run = fails(Faults { lose_every: 479, ..Faults::default() }, PLAIN, &[ENDS, AT_USERS, UNHEARD]);
    assert_eq!(["users_heard", "users_owed", "unheard"].map(|name| count(&run, name)), [479, 480, 1]);
}

#[test]
fn a_message_that_is_lost_in_the_middle_is_found_from_either_socket() {
    let run = with(Faults { lose_every: 41, ..Faults::default() }, &format!("{SMALL} {PLAIN}"));
    run.assert_failed();
    assert_eq!(["users_heard", "users_owed", "unheard"].map(|name| count(&run, name)), [469, 480, 11], "{}", run.summary);
    assert!([AT_USERS, UNHEARD].iter().all(|check| run.broken_checks().contains(check)), "{}", run.summary);
    assert_eq!((count(&run, "doubled"), count(&run, "disordered")), (0, 0));
}

#[test]
fn a_doubled_message_fails_a_run() {
    let run = with(Faults { double_every: 200, ..Faults::default() }, &format!("{SMALL} {PLAIN}"));
    run.assert_failed();
    assert_eq!(count(&run, "doubled") + count(&run, "ended_again"), 2, "{}", run.summary);
    assert_eq!(count(&run, "users_heard"), 480);
}

#[test]
fn who_watches_one_task_is_told_once_more_and_not_always_twice() {
    let twice = Faults { doubled_watch: true, ..Faults::default() };
    let run = with(twice, &format!("{SMALL} --by-rest 0 --watched 1"));
    run.assert_failed();
    assert!(run.broken_checks().contains(&AGAIN) && count(&run, "doubled") >= 40, "{}", run.summary);
    let run = fails(Faults { no_states: true, ..Faults::default() }, "--by-rest 0 --watched 1", &[STATES]);
    assert_eq!(["states_owed", "states_heard"].map(|name| count(&run, name)), [40, 0]);
}

#[test]
fn a_task_that_is_completed_twice_fails_a_run() {
    let run = fails(Faults { complete_twice_every: 20, ..Faults::default() }, PLAIN, &[ENDED_AGAIN]);
    assert_eq!(count(&run, "ended_again"), 4, "two tasks at two sockets");
}

#[test]
fn a_task_that_goes_on_behind_its_end_fails_a_run() {
    let run = fails(Faults { go_on_every: 20, ..Faults::default() }, PLAIN, &[LATE]);
    assert_eq!(count(&run, "late"), 4);
}

#[test]
fn progress_that_falls_fails_a_run() {
    let run = fails(Faults { fall_every: 20, ..Faults::default() }, PLAIN, &[LESS]);
    assert_eq!(count(&run, "disordered"), 4);
}

#[test]
fn a_message_to_another_user_fails_a_run() {
    let run = with(Faults { stray_every: 7, ..Faults::default() }, &format!("{SMALL} {PLAIN}"));
    run.assert_failed();
    assert!(count(&run, "misdirected") >= 68 && run.broken_checks().contains(&MISDIRECTED), "{}", run.summary);
    // A worker that does not have the rightful owner finds it when REST shows no such task to the other.
    let run = with(Faults { stray_every: 7, ..Faults::default() }, &format!("{SMALL} {PLAIN} --workers 4"));
    run.assert_failed();
    assert!(run.broken_checks().contains(&MISDIRECTED), "{}", run.summary);
}

#[test]
fn a_task_that_rest_does_not_have_fails_a_run() {
    let run = fails(Faults { forget_every: 20, ..Faults::default() }, PLAIN, &[KEPT]);
    assert_eq!(count(&run, "kept"), 38);
}

#[test]
fn rest_must_say_what_sockets_were_told() {
    let run = fails(Faults { wrong_cost_every: 20, ..Faults::default() }, PLAIN, &[ROWS]);
    assert_eq!((count(&run, "row_faults"), count(&run, "kept")), (2, 40));
    let run = fails(Faults { fail_every: 20, ..Faults::default() }, PLAIN, &[FAILED]);
    assert_eq!((count(&run, "failed"), count(&run, "completed")), (2, 38));
}

#[test]
fn a_task_that_is_not_announced_fails_a_run() {
    let run = fails(Faults { unannounced_every: 20, ..Faults::default() }, PLAIN, &[PENDING]);
    assert_eq!(count(&run, "pendings_heard"), 76);
}

#[test]
fn admins_must_hear_of_everything() {
    let run = with(Faults { hide_every: 20, ..Faults::default() }, &format!("{SMALL} {PLAIN} --admins 1 --workers 2"));
    run.assert_failed();
    assert!([PENDING, ENDS, AT_ADMINS].iter().all(|check| run.broken_checks().contains(check)), "{}", run.summary);
    assert_eq!(["admins_heard", "admins_owed"].map(|name| count(&run, name)), [456, 480]);
}

#[test]
fn executions_go_forwards() {
    let run = with(
        Faults { skip_back: true, ..Faults::default() },
        &format!("{SMALL} --executions 1 --by-rest 0 --workflow review --watched 0"),
    );
    run.assert_failed();
    assert!(run.broken_checks().contains(&LESS), "{}", run.summary);
    assert_eq!(["executions_kept", "executions_ended"].map(|name| count(&run, name)), [40, 40]);
}

#[test]
fn refusals_and_silence_are_counted_by_their_name() {
    let refused = with(Faults { refuse_every: 20, ..Faults::default() }, &format!("{SMALL} --by-rest 0.5 --watched 0"));
    refused.assert_failed();
    assert_eq!((count(&refused, "refused"), count(&refused, "kept")), (2, 38), "{}", refused.summary);
    let hung = with(Faults { hang_every: 20, ..Faults::default() }, &format!("{SMALL} {PLAIN} --timeout 5s"));
    hung.assert_failed();
    assert_eq!((hung.faults(), count(&hung, "ends_heard")), (&json!({"working": {"timeout at end": 2}}), 76));
    assert!(hung.broken_checks().contains(&ENDS), "{}", hung.summary);
    let deaf =
        with(Faults { deaf: true, ..Faults::default() }, &format!("{SMALL} --cancel-every 2 --cancel-after 0ms --timeout 5s"));
    deaf.assert_failed();
    assert!(deaf.broken_checks().contains(&"cancellations answered"), "{}", deaf.summary);
}

#[test]
fn sockets_that_are_cut_are_told() {
    let run = with(Faults { cut_at: 20, ..Faults::default() }, &format!("{SMALL} --timeout 5s"));
    run.assert_failed();
    assert_eq!((&run.faults()["listening"]["closed 1011"], count(&run, "lost")), (&json!(8), 8), "{}", run.summary);
}

#[test]
fn tokens_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    fs::write(&path, "one\ntwo\n").unwrap();
    let output = command("tasks", "--users 2 --admins 1 --tokens").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("2 tokens for 2 users and 1 admins"));
}

#[test]
fn what_the_contract_does_not_allow_is_refused_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, run::KEY).unwrap();
    for (arguments, why) in [
        ("--sockets 11", "11 is not in 1..=10"),
        ("--users 1 --sockets 1 --rate 10 --for 10s --by-rest 0", "messages in a minute"),
        ("--users 1 --sockets 1 --rate 0.5 --for 120s --watched 1", "subscriptions"),
        ("--by-rest 0.6 --executions 0.5", "more than everything"),
        ("--rate 1 --for 100ms", "nothing would be asked for"),
        ("--url http://127.0.0.1:1/ws", "must begin with ws://"),
        ("--workers 3 --users 2", "as many --users"),
    ] {
        let output = command("tasks", arguments).arg("--key").arg(&key).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.contains(why)), (Some(2), true), "{arguments}: {said}");
    }
}

#[test]
fn a_stubs_sockets_keep_to_the_limits() {
    let stub = Stub::start(Faults::default());
    // 96 messages and one subscription on each of two sockets.
    let run = run("tasks", stub.server(), &format!("--users 1 --sockets 2 --rate 200 --for 960ms {PLAIN}"));
    run.assert_clean();
    assert_eq!(stub.said().0, 97, "{}", run.summary);
}
