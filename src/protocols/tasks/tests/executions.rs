//! Workflows: one step after the other, side by side, broken off, and after a restart.

use super::*;
use crate::{
    models::{Fault, Utterance},
    protocols::tasks::model::StepResult,
};

fn step_piece(n: u128, place: u16) -> Piece {
    Piece::Step(id(n), place)
}

fn steps(outcomes: &[Outcome]) -> Vec<(String, String)> {
    let texts = news(outcomes).into_iter().map(|news| text(&news.frame)["data"].clone());
    let word = |value: &Value| value.as_str().unwrap_or("").to_owned();
    texts.map(|data| (word(&data["status"]), word(&data["current_step_id"]))).collect()
}

fn at(status: &str, step: &str) -> Vec<(String, String)> {
    vec![(status.into(), step.into())]
}

fn begun(bench: &mut Bench, workflow: &str) -> Vec<Outcome> {
    let execution = Execution { workflow: workflow.into(), ..execution(1) };
    let made = bench.ask_execution(Ask::Execute(Box::new(execution)));
    assert_eq!(made.len(), 1, "nobody hears of it yet");
    bench.store(ticket(&made))
}

fn cancel(bench: &mut Bench, user: &str) -> Vec<Outcome> {
    bench.ask_execution(Ask::CancelExecution { execution: id(1), caller: caller(user) })
}

#[test]
fn a_workflow_goes_step_by_step() {
    let mut bench = Bench::new();
    let first = begun(&mut bench, "review");
    assert!(matches!(replies(&first)[..], [Reply::Execution(execution)] if execution.status == Status::InProgress));
    assert_eq!(steps(&first), at("in_progress", "step1"));
    assert_eq!(asked(&first), [step_piece(1, 0)]);
    let Some(Outcome::Model { prompt, .. }) = first.last() else { panic!("{first:?}") };
    assert!(matches!(&*prompt.utterances[1], Utterance::User { content, .. } if &**content == r#"{"a":1}"#));
    let over = bench.says(step_piece(1, 0), "one");
    assert_eq!(&*kept_execution(&over).results[0].output, "one");
    assert!(asked(&over).is_empty(), "its result is not on disk");
    let second = bench.store(ticket(&over));
    assert_eq!((steps(&second), asked(&second)), (at("in_progress", "step2"), vec![step_piece(1, 1)]));
    let over = bench.says(step_piece(1, 1), "two");
    let third = bench.store(ticket(&over));
    assert_eq!(steps(&third), at("in_progress", "step3"));
    let over = bench.says(step_piece(1, 2), "three");
    let done = bench.store(ticket(&over));
    assert_eq!(steps(&done), at("completed", "step3"));
    assert!(news(&done)[0].is_last && (kept_execution(&over).cost - 0.15).abs() < 1e-9);
    assert!(bench.is_empty());
}

#[test]
fn steps_that_are_ready_run_side_by_side() {
    let mut bench = Bench::new();
    assert_eq!(asked(&begun(&mut bench, "wide")), [step_piece(1, 0), step_piece(1, 1)]);
    let b = bench.says(step_piece(1, 1), "b");
    assert_eq!(bench.says(step_piece(1, 0), "a"), [], "one record at a time");
    let next = bench.store(ticket(&b));
    assert_eq!((steps(&next), asked(&next)), (at("in_progress", "a"), vec![]));
    let last = bench.store(ticket(&next));
    assert_eq!((steps(&last), asked(&last)), (at("in_progress", "c"), vec![step_piece(1, 2)]));
}

#[test]
fn steps_wait_for_their_turn_like_tasks() {
    let mut bench = Bench::with(Settings { max_running: 1, max_waiting: 1, ..Settings::default() });
    assert_eq!(asked(&begun(&mut bench, "wide")), [step_piece(1, 0)]);
    let other = Execution { id: id(2), ..execution(2) };
    assert_eq!(refused(&bench.ask_execution(Ask::Execute(Box::new(other)))), Some(Refused::Crowded));
    let over = bench.says(step_piece(1, 0), "a");
    assert_eq!(asked(&over), [step_piece(1, 1)], "its turn does not wait for the other's record");
}

#[test]
fn a_step_that_fails_ends_it() {
    let mut bench = Bench::new();
    begun(&mut bench, "wide");
    let failed = bench.word(step_piece(1, 1), Word::Failed(Fault::Unreachable));
    assert!(failed.contains(&Outcome::StopModel(step_piece(1, 0))));
    let execution = kept_execution(&failed);
    assert_eq!((execution.status, execution.error.as_deref()), (Status::Failed, Some("b: The model is not available")));
    assert_eq!(steps(&bench.store(ticket(&failed))), at("failed", "a"));
    assert!(bench.is_empty());
}

#[test]
fn a_cancelled_execution_fails_and_only_once() {
    let mut bench = Bench::new();
    begun(&mut bench, "review");
    assert_eq!(refused(&cancel(&mut bench, "bob")), Some(Refused::NotFound));
    let cancelled = cancel(&mut bench, "alice");
    assert_eq!(cancelled[0], Outcome::StopModel(step_piece(1, 0)));
    assert_eq!(cancel(&mut bench, "admin"), []);
    let failed = bench.store(ticket(&cancelled));
    assert!(matches!(replies(&failed)[..], [Reply::Execution(execution), Reply::Refused(Refused::Over)]
        if execution.error.as_deref() == Some("Cancelled by user")));
    assert_eq!(steps(&failed), at("failed", "step1"));
    assert!(bench.is_empty());
    assert_eq!(cancel(&mut bench, "alice"), [Outcome::LoadExecution(id(1))]);
    let over = Box::new(Execution { status: Status::Failed, ..execution(1) });
    bench.homes.loaded_execution(id(1), Ok(Some(over)), bench.now, &mut bench.out);
    assert_eq!(refused(&bench.take()), Some(Refused::Over));
    assert!(bench.is_empty());
}

#[test]
fn one_whose_last_step_is_done_is_not_cancelled() {
    let mut bench = Bench::new();
    begun(&mut bench, "review");
    for place in 0..2 {
        let over = bench.says(step_piece(1, place), "x");
        bench.store(ticket(&over));
    }
    let over = bench.says(step_piece(1, 2), "x");
    assert_eq!(cancel(&mut bench, "alice"), []);
    let done = bench.store(ticket(&over));
    assert_eq!((steps(&done), refused(&done)), (at("completed", "step3"), Some(Refused::Over)));
    assert!(bench.is_empty());
}

#[test]
fn a_restart_goes_on_behind_the_last_step_that_is_on_disk() {
    let mut bench = Bench::new();
    let result = StepResult { step: "step1".into(), output: "one".into(), cost: 0.5 };
    let was = Execution { status: Status::InProgress, results: vec![result], cost: 0.5, ..execution(1) };
    let unknown = Execution { workflow: "gone".into(), ..execution(2) };
    bench.homes.begin(unfinished(Vec::new(), vec![was, unknown]), bench.now, &mut bench.out);
    let kept: Vec<(u64, Execution)> = bench
        .take()
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Keep { ticket, record: Record::Execution(execution) } => (ticket, *execution),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((kept[0].1.current_step.as_deref(), kept[1].1.status), (Some("step2"), Status::Failed));
    assert_eq!(asked(&bench.store(kept[0].0)), [step_piece(1, 1)]);
    assert_eq!(steps(&bench.store(kept[1].0)), at("failed", ""));
    let stopped = bench.stop();
    assert_eq!(stopped, [Outcome::StopModel(step_piece(1, 1))], "it goes on after the next start");
    assert!(bench.is_empty());
}

#[test]
fn what_cannot_be_written_is_refused_or_tried_again() {
    let mut bench = Bench::new();
    let unknown = Execution { workflow: "x".into(), ..execution(1) };
    assert_eq!(refused(&bench.ask_execution(Ask::Execute(Box::new(unknown)))), Some(Refused::NotFound));
    let made = bench.ask_execution(Ask::Execute(Box::new(execution(1))));
    assert_eq!(refused(&bench.fail(ticket(&made))), Some(Refused::Store(StoreFault::Failed)));
    assert!(bench.is_empty());
    begun(&mut bench, "review");
    let over = bench.says(step_piece(1, 0), "one");
    assert_eq!(bench.fail(ticket(&over)), []);
    let again = bench.pass(2 * SECOND);
    assert_eq!(asked(&bench.store(ticket(&again))), [step_piece(1, 1)]);
    let cancelled = bench.ask_execution(Ask::CancelExecution { execution: id(1), caller: caller("alice") });
    assert_eq!(refused(&bench.fail(ticket(&cancelled))), Some(Refused::Store(StoreFault::Failed)), "nobody waits for it");
    let again = bench.pass(2 * SECOND);
    assert_eq!(replies(&bench.store(ticket(&again))), Vec::<&Reply>::new());
    let loaded = bench.ask_execution(Ask::LookExecution { execution: id(1), caller: caller("alice") });
    assert_eq!(refused(&loaded), Some(Refused::NotHere), "it is over");
    begun(&mut bench, "review");
    let over = bench.says(step_piece(1, 0), "one");
    bench.store(ticket(&over));
    let look = Ask::LookExecution { execution: id(1), caller: caller("alice") };
    assert!(matches!(replies(&bench.ask_execution(look))[..], [Reply::Execution(execution)] if execution.results.len() == 1));
}
