//! The harness against a server whose every fault is known: what it reports must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

mod run;
mod stub;

use run::{Reserved, command, read, run, start};
use std::{collections::HashSet, fs, time::Duration};
use stub::{Faults, Stub};

#[test]
fn a_good_server_passes_and_every_count_is_right() {
    let stub = Stub::start(Faults::default());
    let run = run("bell", stub.server(), "--students 60 --classrooms 5 --workers 2 --hold 1s --source-ips 127.0.0.1-127.0.0.3");
    run.assert_clean();
    assert_eq!((run.count("attempted"), run.count("signed_in"), run.count("closed"), run.count("pings")), (60, 60, 60, 60));
    assert_eq!(stub.room_sizes(), [12; 5]);
    assert_eq!(stub.tokens().into_iter().collect::<HashSet<_>>().len(), 60);
    assert_eq!(run.report["latencies"]["sign_in"]["count"], 60);
    assert_eq!(run.report["checks"].as_array().unwrap().len(), 8, "{}", run.summary);
    assert_eq!(run.report["server"]["pid"], std::process::id());
}

#[test]
fn tokens_from_a_file_are_used_once_each() {
    let (stub, folder) = (Stub::start(Faults::default()), tempfile::tempdir().unwrap());
    let (tokens, json) = (folder.path().join("tokens"), folder.path().join("report.json"));
    let given: Vec<String> = (0..20).map(|i| format!("token-{i}")).collect();
    fs::write(&tokens, given.join("\n")).unwrap();
    let mut command = command("bell", "--students 20 --classrooms 4 --workers 3 --hold 0ms --tokens");
    let output =
        command.arg(&tokens).args(["--url", &format!("ws://{}/ws", stub.address), "--json"]).arg(&json).output().unwrap();
    read(&folder, &output).assert_clean();
    assert_eq!(stub.tokens().into_iter().collect::<HashSet<_>>(), given.into_iter().collect());
}

#[test]
fn a_slow_answer_shows_in_its_own_stage() {
    let stub = Stub::start(Faults { delay: Duration::from_millis(50), ..Faults::default() });
    // One after the other: not all of them can meet a moment at which a busy machine stands still.
    let run = run("bell", stub.server(), "--students 40 --classrooms 4 --hold 0ms --rate 20");
    run.assert_clean();
    assert!(run.ms("sign_in", "min") >= 49.9 && run.ms("admission", "min") >= 49.9, "{}", run.summary);
    assert!(
        run.ms("sign_in", "p50") >= 50.0 && run.ms("connect", "min") < 50.0 && run.ms("upgrade", "min") < 50.0,
        "{}",
        run.summary
    );
}

#[test]
fn waiting_for_a_slow_server_counts_from_the_intended_moment() {
    let stub = Stub::start(Faults { delay: Duration::from_millis(50), ..Faults::default() });
    // 20 in 0.2 s are meant, but one at a time they take a second: the last has waited for at least 0.8 s.
    let run = run("bell", stub.server(), "--students 20 --classrooms 4 --hold 0ms --rate 100 --in-flight 1");
    run.assert_clean();
    assert!(run.ms("sign_in", "max") >= 800.0, "{}", run.summary);
    assert!(run.ms("admission", "min") < 400.0, "{}", run.summary);
    assert!(run.count("held_back") >= 15, "{}", run.summary);
}

#[test]
fn refusals_are_counted_by_their_name() {
    let stub = Stub::start(Faults { refuse_every: 10, ..Faults::default() });
    let run = run("bell", stub.server(), "--students 100 --classrooms 4 --hold 100ms --workers 2");
    run.assert_failed();
    assert_eq!(run.faults(), &serde_json::json!({"sign_in": {"unauthenticated": 10}}));
    assert_eq!((run.count("signed_in"), run.count("closed")), (90, 90));
    assert!(run.summary.contains("10 signing in: unauthenticated"), "{}", run.summary);
}

#[test]
fn silence_is_a_timeout() {
    let stub = Stub::start(Faults { silent_every: 4, ..Faults::default() });
    let run = run("bell", stub.server(), "--students 20 --classrooms 4 --hold 0ms --timeout 5s");
    run.assert_failed();
    assert_eq!(run.faults(), &serde_json::json!({"sign_in": {"timeout at sign-in": 5}}));
}

#[test]
fn a_server_that_is_not_there_or_not_available_is_told_apart() {
    let stub = Stub::start(Faults { unavailable: true, ..Faults::default() });
    let unavailable = run("bell", stub.server(), "--students 7 --hold 0ms");
    unavailable.assert_failed();
    assert_eq!(unavailable.faults(), &serde_json::json!({"sign_in": {"http 503": 7}}));

    let gone = Reserved::new();
    let mut stub = Stub::start(Faults::default());
    stub.address = gone.address;
    let refused = run("bell", stub.server(), "--students 7 --hold 0ms");
    refused.assert_failed();
    assert_eq!(refused.faults(), &serde_json::json!({"sign_in": {"connection refused": 7}}));
}

#[test]
fn members_lost_while_held_are_counted_with_their_code() {
    let stub = Stub::start(Faults { lose_every: 8, ..Faults::default() });
    let run = run("bell", stub.server(), "--students 16 --classrooms 4 --hold 2s");
    run.assert_failed();
    assert_eq!(run.faults(), &serde_json::json!({"member": {"closed 1011": 2}}));
    assert!(run.broken_checks().contains(&"members lost before they were told to close"), "{}", run.summary);
    assert_eq!((run.count("lost"), run.count("closed")), (2, 14));
}

#[test]
fn what_the_contract_forbids_fails_a_run() {
    let twice = Stub::start(Faults { success_twice: true, ..Faults::default() });
    let twice = run("bell", twice.server(), "--students 5 --hold 1s");
    twice.assert_failed();
    assert_eq!(twice.broken_checks(), ["connect_success heard twice"], "{}", twice.summary);

    let early = Stub::start(Faults { event_first: true, ..Faults::default() });
    let early = run("bell", early.server(), "--students 5 --hold 1s");
    early.assert_failed();
    assert_eq!((early.broken_checks(), early.count("early")), (vec!["events heard before connect_success"], 5));
}

#[test]
fn every_delivery_of_a_broadcast_is_accounted_for() {
    let stub = Stub::start(Faults::default());
    let run = run("broadcast", stub.server(), "--students 30 --classrooms 3 --workers 2 --publish-rate 60 --for 500ms");
    run.assert_clean();
    assert_eq!((run.count("published"), run.count("owed"), run.count("delivered")), (30, 300, 300));
    assert_eq!(run.report["latencies"]["delivery"]["count"], 300);
    assert_eq!(run.report["latencies"]["publish"]["count"], 30);
}

#[test]
fn a_saturating_broadcast_publishes_as_fast_as_it_is_heard() {
    let stub = Stub::start(Faults::default());
    let run =
        run("broadcast", stub.server(), "--students 20 --classrooms 1 --saturate --publish-in-flight 4 --for 2s --bytes 512");
    run.assert_clean();
    assert!(run.count("published") > 10, "{}", run.summary);
    assert_eq!(run.count("delivered"), 20 * run.count("published"));
}

/// 512 publishes to 20 members each.
const MANY: &str = "--students 40 --classrooms 2 --publish-rate 256 --for 2s --timeout 8s";
const MANY_DELIVERIES: u64 = 10_240;

#[test]
fn one_lost_delivery_of_ten_thousand_fails_a_broadcast() {
    let stub = Stub::start(Faults { drop_delivery_every: 10_000, ..Faults::default() });
    let run = run("broadcast", stub.server(), MANY);
    run.assert_failed();
    assert_eq!((run.count("owed"), run.count("delivered")), (MANY_DELIVERIES, MANY_DELIVERIES - 1), "{}", run.summary);
    assert!(run.broken_checks().contains(&"deliveries and what the server says it dropped"), "{}", run.summary);
}

#[test]
fn one_delivery_of_ten_thousand_that_comes_twice_fails_a_broadcast() {
    let stub = Stub::start(Faults { double_delivery_every: 10_000, ..Faults::default() });
    let run = run("broadcast", stub.server(), MANY);
    run.assert_failed();
    assert_eq!((run.count("delivered"), run.count("disordered")), (MANY_DELIVERIES + 1, 1), "{}", run.summary);
    let broken = ["deliveries and what the server says it dropped", "deliveries out of order"];
    assert_eq!(run.broken_checks(), broken, "{}", run.summary);
}

#[test]
fn one_delivery_of_ten_thousand_that_comes_behind_the_next_fails_a_broadcast() {
    let stub = Stub::start(Faults { swap_delivery_every: 10_000, ..Faults::default() });
    let run = run("broadcast", stub.server(), MANY);
    run.assert_failed();
    assert_eq!((run.count("delivered"), run.count("disordered")), (MANY_DELIVERIES, 1), "{}", run.summary);
    assert_eq!(run.broken_checks(), ["deliveries out of order"], "{}", run.summary);
}

/// What is lost is not made up for by what comes twice.
#[test]
fn losses_and_doubles_do_not_cancel_out() {
    let faults = Faults { drop_delivery_every: 5_000, double_delivery_every: 4_999, ..Faults::default() };
    let stub = Stub::start(faults);
    let run = run("broadcast", stub.server(), MANY);
    run.assert_failed();
    assert_eq!((run.count("delivered"), run.count("disordered")), (MANY_DELIVERIES, 2), "{}", run.summary);
    assert!(run.broken_checks().contains(&"deliveries out of order"), "{}", run.summary);
}

#[test]
fn churn_uses_its_places_again_and_leaves_nothing_behind() {
    let stub = Stub::start(Faults::default());
    let run = run("churn", stub.server(), "--students 200 --classrooms 7 --in-flight 8 --workers 2");
    run.assert_clean();
    assert_eq!((run.count("signed_in"), run.count("closed")), (200, 200));
    assert_eq!(run.report["latencies"]["close"]["count"], 200);
    assert_eq!((stub.clashes(), stub.tokens().len()), (0, 200));
}

/// Stops the one worker of a run for a while.
fn stop_for(boss: &std::process::Child, time: Duration) {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", boss.id())).unwrap();
    let worker = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(worker, rustix::process::Signal::STOP).unwrap();
    std::thread::sleep(time);
    rustix::process::kill_process(worker, rustix::process::Signal::CONT).unwrap();
}

#[test]
fn a_generator_that_is_stopped_is_not_believed() {
    let stub = Stub::start(Faults::default());
    let folder = tempfile::tempdir().unwrap();
    let boss = start(&folder, "bell", stub.server(), "--students 100 --classrooms 4 --hold 0ms --rate 30");
    while stub.tokens().len() < 5 {
        std::thread::yield_now();
    }
    stop_for(&boss, Duration::from_millis(300));
    let run = read(&folder, &boss.wait_with_output().unwrap());
    assert_eq!((run.code, &run.report["verdict"]["outcome"]), (3, &"not_believed".into()), "{}", run.summary);
    assert!(run.ms("lag", "max") >= 250.0, "{}", run.summary);
    assert!(run.summary.contains("NOT TO BE BELIEVED"), "{}", run.summary);
}

#[test]
fn what_is_meant_to_be_published_is_however_late() {
    let (stub, folder) = (Stub::start(Faults::default()), tempfile::tempdir().unwrap());
    let boss = start(&folder, "broadcast", stub.server(), "--students 4 --classrooms 2 --publish-rate 60 --for 500ms");
    while stub.published() < 3 {
        std::thread::yield_now();
    }
    stop_for(&boss, Duration::from_millis(700));
    let run = read(&folder, &boss.wait_with_output().unwrap());
    assert_eq!((run.count("published"), stub.published(), run.count("delivered")), (30, 30, 60), "{}", run.summary);
}

#[test]
fn wrong_usage_is_said_before_anything_starts() {
    let code = |arguments: &str| command("bell", arguments).output().unwrap().status.code();
    assert_eq!(code("--students 5"), Some(2));
    assert_eq!(code("--students 5 --tokens /nonexistent"), Some(2));
    assert_eq!(code("--students 0 --tokens /dev/null"), Some(2));
    assert_eq!(code("--students 5 --tokens /dev/null"), Some(2));
    assert_eq!(code("--students 5 --tokens /dev/null --url http://127.0.0.1/"), Some(2));
    assert_eq!(code("--students 5 --key /dev/null --issuer i --aud a"), Some(2));
    assert_eq!(code("--students 30000 --tokens /dev/null --source-ips 127.0.0.1"), Some(2));
    assert_eq!(code("--students 30000 --tokens /dev/null --workers 1"), Some(2));
}

#[test]
fn the_course_of_a_run_adds_up_to_the_whole_of_it() {
    let stub = Stub::start(Faults::default());
    let asked = "--students 40 --classrooms 4 --workers 2 --publish-rate 40 --for 1500ms";
    let run = run("broadcast", stub.server(), asked);
    run.assert_clean();
    let series = &run.report["series"];
    let slices = series["slices"].as_array().unwrap();
    let sum = |measure: &str| slices.iter().filter_map(|slice| slice["measures"][measure]["count"].as_u64()).sum::<u64>();
    for (measure, figures) in run.report["latencies"].as_object().unwrap() {
        assert_eq!(figures["count"], sum(measure), "{measure}");
        let most = slices.iter().filter_map(|slice| slice["measures"][measure]["max"].as_f64()).fold(0.0, f64::max);
        let whole = figures["max"].as_f64().unwrap();
        assert!((most - whole).abs() <= whole * 0.01 + 1.0, "{measure}: {most} is not {whole}");
    }
    assert!(slices.iter().any(|slice| slice["connections"] == 40), "{slices:?}");
    let stages: Vec<_> = series["phases"].as_array().unwrap().iter().map(|phase| phase["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["sign_in", "publish", "close"]);
    assert!(!series["server"].as_array().unwrap().is_empty() && slices.iter().any(|slice| slice["generator_bytes"] != 0));
}

#[test]
fn what_is_required_decides_and_is_told() {
    let stub = Stub::start(Faults { delay: Duration::from_millis(50), ..Faults::default() });
    let asked = "--students 20 --classrooms 4 --hold 0ms --require sign_in.p50>=50ms --require counts.lost=0";
    let reached = run("bell", stub.server(), asked);
    reached.assert_clean();
    assert_eq!(reached.report["thresholds"].as_array().unwrap().len(), 2);
    assert!(reached.summary.contains("counts.lost=0 holds: 0"), "{}", reached.summary);

    let missed = run("bell", stub.server(), &format!("{asked} --require sign_in.p99<10ms --require delivery.p99<20ms"));
    missed.assert_failed();
    let (late, none) = (&missed.report["thresholds"][2], &missed.report["thresholds"][3]);
    assert!(late["met"] == false && late["found"].as_f64().unwrap() >= 5e7 && none["found"].is_null(), "{}", missed.summary);
    assert!(missed.summary.contains("sign_in.p99<10ms is not met"), "{}", missed.summary);
}

#[test]
fn a_run_becomes_a_page_and_two_are_laid_side_by_side() {
    let (stub, folder) = (Stub::start(Faults { refuse_every: 10, ..Faults::default() }), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).display().to_string();
    for name in ["one", "two"] {
        let asked = format!("--students 20 --classrooms 4 --hold 600ms --html {}", path(&format!("{name}.html")));
        read(&folder, &start(&folder, "bell", stub.server(), &asked).wait_with_output().unwrap()).assert_failed();
        fs::rename(path("report.json"), path(&format!("{name}.json"))).unwrap();
    }
    let page = fs::read_to_string(path("one.html")).unwrap();
    for part in ["Over time", "Open WebSockets", "unauthenticated", "Conservation", "<svg", "id=\"raw0\""] {
        assert!(page.contains(part), "{part}");
    }
    let asked = format!("{} {} --html {}", path("one.json"), path("two.json"), path("both.html"));
    let output = command("compare", &asked).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    // On a busy machine it may be said first that the generator had no CPU.
    let is_doubted = ["failed", "not believed"].iter().any(|why| said.contains(&format!("two.json is {why}")));
    assert!(said.contains("sign_in.p50") && is_doubted, "{said}");
    let picture = format!("{} {} --svg {}", path("one.json"), path("two.json"), path("both.svg"));
    assert_eq!(command("plot", &picture).output().unwrap().status.code(), Some(0));
    let svg = fs::read_to_string(path("both.svg")).unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.contains("prefers-color-scheme:dark") && svg.contains(">two<"), "{svg}");
    assert!(fs::read_to_string(path("both.html")).unwrap().contains("id=\"raw1\""));
    assert_eq!(command("compare", &format!("{0} {0}", path("key"))).output().unwrap().status.code(), Some(2));
    assert_eq!(command("compare", &path("one.json")).output().unwrap().status.code(), Some(2));
}

#[test]
fn what_cannot_be_required_is_said_with_the_nearest_names() {
    let output = command("bell", "--students 5 --tokens /dev/null --require sign_inn.p99<1s").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("sign_in.p99"), "{said}");
}

#[test]
fn pings_that_come_off_their_moment_show() {
    let off = |every: &str, figure: &str| {
        let stub = Stub::start(Faults { ping_every: Duration::from_millis(100), ..Faults::default() });
        let run = run("bell", stub.server(), &format!("--students 10 --classrooms 1 --hold 2s --pings-every {every}"));
        run.assert_clean();
        run.ms("jitter", figure)
    };
    // They come every 100 ms, and later on a busy machine, but not all of them; and hardly any come sooner.
    let (even, uneven) = (off("100ms", "min"), off("40ms", "p50"));
    assert!(even < 30.0 && uneven >= 55.0, "{even} ms, {uneven} ms");
}
