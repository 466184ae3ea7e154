//! The scenarios of quizzes against a server whose every fault is known: what they report must be exactly that.

#![allow(clippy::unwrap_used, reason = "a test may end where it finds something wrong")]

#[path = "stub/quiz/mod.rs"]
mod quiz;
mod run;

use quiz::{Faults, Stub};
use run::{Run, command, run};
use serde_json::json;
use std::time::Duration;

/// Twelve participants of three quizzes answer five questions each.
const SMALL: &str = "--participants 12 --quizzes 3 --questions 5 --saturate --in-flight 4 --watch quiz,leaderboard,attempts";

fn count(run: &Run, name: &str) -> u64 {
    run.report["quiz"][name].as_u64().unwrap()
}

fn with(faults: Faults, arguments: &str) -> Run {
    run("quiz", Stub::start(faults).server(), arguments)
}

#[test]
fn a_good_server_passes_and_every_count_is_right() {
    let stub = Stub::start(Faults::default());
    let run = run("quiz", stub.server(), &format!("{SMALL} --workers 2 --screens 2 --sockets --correct 0.5"));
    run.assert_clean();
    let counts = [
        "started",
        "listening",
        "answered",
        "submitted",
        "watching",
        "begins_heard",
        "updates_heard",
        "ends_heard",
        "closes_heard",
    ];
    assert_eq!(counts.map(|name| count(&run, name)), [12, 12, 60, 12, 6, 24, 120, 24, 12], "{}", run.summary);
    assert_eq!(["boards", "results", "details", "lost"].map(|name| count(&run, name)), [12, 12, 60, 0]);
    // Six screens, and the participants' sockets, which the server closes.
    assert_eq!((count(&run, "closed"), stub.answers().1), (18, 60));
    assert!((15..=45).contains(&stub.answers().0), "half of them are right: {:?}", stub.answers());
    assert_eq!(stub.owners().into_values().collect::<Vec<_>>(), [1, 1, 1]);
    for (measure, values) in [("start", 12), ("answer", 60), ("screen", 120), ("behind", 120), ("submit", 12), ("ending", 12)] {
        assert_eq!(run.report["latencies"][measure]["count"], values, "{measure}");
    }
    assert_eq!(run.report["checks"].as_array().unwrap().len(), 27, "{}", run.summary);
}

#[test]
fn owners_have_their_quizzes_and_participants_are_spread() {
    let stub = Stub::start(Faults::default());
    let run = run("quiz", stub.server(), "--participants 10 --quizzes 7 --owners 3 --questions 1 --saturate --sample 3");
    run.assert_clean();
    let mut owners: Vec<u64> = stub.owners().into_values().collect();
    owners.sort_unstable();
    assert_eq!((owners, count(&run, "updates_heard"), count(&run, "boards")), (vec![2, 2, 3], 10, 7));
    assert!((2..=4).contains(&count(&run, "details")), "{}", run.summary);
}

#[test]
fn people_think_before_they_answer() {
    let run = with(Faults::default(), "--participants 20 --quizzes 2 --questions 3 --think 500ms");
    run.assert_clean();
    // Three thoughts before the answers, of 500 ms each at the median: half a second is far out for twenty people's sums, and so is half a
    // minute.
    let took = run.report["rates"]["answering_s"].as_f64().unwrap();
    assert!((1.75..30.0).contains(&took), "{took} s\n{}", run.summary);
    assert!(run.ms("answer", "p50") < 500.0 && run.ms("screen", "p50") < 500.0, "thinking is not latency\n{}", run.summary);
    assert_eq!(count(&run, "submitted"), 20);
}

#[test]
fn a_rate_is_kept_whatever_the_server_does() {
    let run = with(Faults::default(), "--participants 20 --quizzes 2 --questions 5 --answer-rate 100");
    run.assert_clean();
    let took = run.report["rates"]["answering_s"].as_f64().unwrap();
    assert!((0.98..10.0).contains(&took), "100 answers at 100 a second took {took} s");
    // 10 ms an answer and one participant: fifty answers are due in half a second and take 2.5 s.
    let late = Faults { late: Duration::from_millis(50), ..Faults::default() };
    let late = with(late, "--participants 1 --quizzes 1 --questions 50 --answer-rate 100");
    late.assert_clean();
    assert!(late.ms("answer", "max") >= 1_900.0 && late.ms("screen", "max") >= 1_900.0, "{}", late.summary);
    assert!(count(&late, "held_back") >= 30, "{}", late.summary);
}

#[test]
fn a_late_answer_shows() {
    let late = with(Faults { late: Duration::from_millis(50), ..Faults::default() }, SMALL);
    late.assert_clean();
    assert!(late.ms("answer", "min") >= 49.9 && late.ms("screen", "min") >= 49.9, "{}", late.summary);
    assert!(late.ms("start", "min") < 49.0 && late.ms("submit", "min") < 49.0, "{}", late.summary);
}

#[test]
fn a_lost_event_fails_a_run() {
    let run = with(Faults { lose_every: 60, ..Faults::default() }, SMALL);
    run.assert_failed();
    assert_eq!((count(&run, "updates_heard"), count(&run, "unheard")), (59, 1), "{}", run.summary);
    assert!(run.broken_checks().contains(&"accepted answers that a screen did not hear"), "{}", run.summary);
}

#[test]
fn a_doubled_event_fails_a_run() {
    let run = with(Faults { double_every: 60, ..Faults::default() }, SMALL);
    run.assert_failed();
    assert_eq!((count(&run, "updates_heard"), count(&run, "doubled"), count(&run, "unheard")), (61, 1, 0), "{}", run.summary);
}

#[test]
fn events_that_change_places_fail_a_run() {
    let run = with(Faults { swap_every: 7, ..Faults::default() }, "--participants 4 --quizzes 1 --questions 20 --saturate");
    run.assert_failed();
    assert!(count(&run, "disordered") >= 2, "{}", run.summary);
    assert!(run.broken_checks().contains(&"events out of their attempt's order"), "{}", run.summary);
}

#[test]
fn an_event_that_is_not_true_fails_a_run() {
    let run = with(Faults { lie_every: 30, ..Faults::default() }, SMALL);
    run.assert_failed();
    assert_eq!((run.broken_checks(), count(&run, "untrue")), (vec!["words of the server that are not what was done"], 2));
}

#[test]
fn refusals_and_silence_are_counted_by_their_name() {
    let refused = with(Faults { refuse_every: 20, ..Faults::default() }, SMALL);
    refused.assert_failed();
    assert_eq!((refused.faults(), count(&refused, "answered")), (&json!({"answering": {"http 503, SRV-001": 3}}), 57));
    assert!(!refused.broken_checks().contains(&"results that are not what was done"), "{}", refused.summary);

    let silent = with(Faults { silent_every: 30, ..Faults::default() }, &format!("{SMALL} --timeout 5s"));
    silent.assert_failed();
    assert_eq!(silent.faults(), &json!({"answering": {"timeout at answer": 2}}), "{}", silent.summary);
}

#[test]
fn what_is_kept_must_be_what_was_done() {
    let broken = |faults: Faults| {
        let run = with(faults, SMALL);
        run.assert_failed();
        run.broken_checks().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(broken(Faults { wrong_result: true, ..Faults::default() }), ["results that are not what was done"]);
    assert_eq!(broken(Faults { wrong_detail: true, ..Faults::default() }), ["answers by REST that are not what was done"]);
    let board = ["rows of the last snapshots that are not what was done"];
    assert_eq!(broken(Faults { wrong_board: true, ..Faults::default() }), board);
    assert_eq!(broken(Faults { stale_board: true, ..Faults::default() }), board);
    let miscounted = broken(Faults { miscount: true, ..Faults::default() });
    assert_eq!(miscounted, ["the server's count of answers"]);
    let forgotten = broken(Faults { forget_every: 60, ..Faults::default() });
    assert!(forgotten.contains(&"results that are not what was done".to_owned()), "{forgotten:?}");
}

#[test]
fn snapshots_come_no_more_than_five_times_a_second() {
    let run = with(Faults { hurried: true, ..Faults::default() }, SMALL);
    run.assert_failed();
    assert_eq!(run.broken_checks(), ["snapshots beyond five a second"], "{}", run.summary);
}

#[test]
fn participants_hear_exactly_once_that_their_attempt_is_over() {
    let lost = with(Faults { lose_closed: true, ..Faults::default() }, &format!("{SMALL} --sockets"));
    lost.assert_failed();
    assert!(lost.broken_checks().contains(&"attempt_closed at participants"), "{}", lost.summary);
    assert_eq!(lost.faults(), &json!({"listening": {"closed 1000": 12}}));

    let twice = with(Faults { closed_twice: true, ..Faults::default() }, &format!("{SMALL} --sockets"));
    twice.assert_failed();
    assert_eq!((count(&twice, "closes_heard"), count(&twice, "untrue")), (24, 12), "{}", twice.summary);
}

#[test]
fn a_screen_that_is_cut_fails_a_run() {
    let run = with(Faults { cut_at: 50, ..Faults::default() }, "--participants 12 --quizzes 1 --questions 5 --saturate");
    run.assert_failed();
    assert_eq!((run.faults(), count(&run, "lost")), (&json!({"watching": {"closed 1011": 1}}), 1));
    assert!(count(&run, "unheard") >= 1, "{}", run.summary);
}

/// Fifty participants, who are pinged once a second.
const HOLD: &str = "--participants 50 --quizzes 2 --questions 1 --settle 200ms --hold 6s";

#[test]
fn held_sockets_answer_pings_and_tell_how_evenly_they_come() {
    let even = Stub::start(Faults::default());
    let even_run = run("hold", even.server(), HOLD);
    even_run.assert_clean();
    assert_eq!((count(&even_run, "listening"), count(&even_run, "closed"), count(&even_run, "answers_asked")), (50, 50, 0));
    let uneven = Stub::start(Faults { pings_at_once: true, ..Faults::default() });
    let uneven_run = run("hold", uneven.server(), HOLD);
    uneven_run.assert_clean();
    let (windows, ticks) = (&uneven_run.report["pings"]["windows"], &uneven_run.report["pings"]["ticks"]);
    let most = windows["most"].as_u64().unwrap();
    assert!(most >= 50 && windows["above_twice"].as_u64().unwrap() >= 1, "{windows}");
    assert!(ticks["above_twice"].as_u64().unwrap() >= 1, "{ticks}");

    // Of pings that come evenly there are five in a window of 100 ms. When a busy machine lets them come is not for us to say: it would have
    // to hold half a second of them back, and only them, to make as many of them one heap.
    let windows = &even_run.report["pings"]["windows"];
    assert!(
        windows["mean"].as_f64().unwrap() > 0.5 && windows["most"].as_u64().unwrap() * 2 < most,
        "{windows} {}",
        even_run.summary
    );
}

#[test]
fn wrong_usage_is_said_before_anything_starts() {
    let code = |arguments: &str| command("quiz", arguments).output().unwrap().status.code();
    assert_eq!(code("--participants 5"), Some(2));
    assert_eq!(code("--key /nonexistent"), Some(2));
    assert_eq!(code("--key /dev/null"), Some(2));
    assert_eq!(code("--tokens /dev/null"), Some(2));
    assert_eq!(code("--tokens /dev/null --owners 2"), Some(2));
    assert_eq!(code("--key /dev/null --think 1s --answer-rate 5"), Some(2));
    assert_eq!(code("--key /dev/null --saturate --answer-rate 5"), Some(2));
    assert_eq!(code("--key /dev/null --watch quiz,board"), Some(2));
    assert_eq!(code("--key /dev/null --correct 1.5"), Some(2));
    assert_eq!(code("--key /dev/null --options 1"), Some(2));
}
