//! An agent works at a task: from its first record to its last.

use super::*;
use crate::models::{Fault, Utterance};

#[test]
fn a_task_is_on_disk_before_anybody_hears_of_it() {
    let mut bench = Bench::new();
    let made = bench.make(1);
    assert_eq!((made.len(), is_pending(kept_task(&made))), (1, true));
    assert_eq!(bench.see(1, "alice"), [seen(1, Err(Refused::NotFound))], "not yet");
    let taken = bench.store(ticket(&made));
    assert_eq!(taken[0], Outcome::Tell(conn(2), FromHome::Taken { task: id(1) }));
    assert_eq!(told(&taken), one("task_update", "pending", 0.0));
    let turn = kept_task(&taken).clone();
    assert_eq!((turn.status, turn.progress), (Status::InProgress, 0.05));
    assert!(asked(&taken).is_empty(), "its beginning is not on disk");
    let begun = bench.store(ticket(&taken));
    assert_eq!(told(&begun), one("task_update", "in_progress", 0.05));
    let Some(Outcome::Model { piece, prompt }) = begun.get(1) else { panic!("{begun:?}") };
    assert_eq!((*piece, &*prompt.model.name), (super::piece(1), "gpt-4o"));
    assert!(matches!(&*prompt.utterances[0], Utterance::Instructions(text) if &**text == "Write code."));
    assert!(matches!(&*prompt.utterances[1], Utterance::User { content, .. } if &**content == "do it"));
}

fn seen(n: u128, state: Result<Task, Refused>) -> Outcome {
    Outcome::Tell(conn(2), FromHome::Seen { task: id(n), state: state.map(Box::new) })
}

#[test]
fn progress_rises_and_is_told_now_and_then() {
    let mut bench = Bench::new();
    bench.begun(1);
    assert_eq!(bench.delta(1, 50), [], "the beginning was told just now");
    assert_eq!(bench.delta(1, 150), []);
    assert_eq!(bench.pass(Duration::from_millis(150)), []);
    let later = bench.pass(Duration::from_millis(60));
    assert_eq!(told(&later), one("task_update", "in_progress", 0.47));
    assert_eq!(told(&bench.pass(SECOND)), [], "nothing came");
    assert_eq!(told(&bench.delta(1, 1)), [], "less than a hundredth");
    assert_eq!(told(&bench.delta(1, 200)), one("task_update", "in_progress", 0.61));
    assert_eq!(bench.homes.timers(), 1, "the run's");
}

#[test]
fn the_end_is_on_disk_before_it_is_told_and_nothing_comes_after() {
    let mut bench = Bench::new();
    bench.begun(1);
    bench.delta(1, 50);
    bench.word(piece(1), Word::Delta("\n```js\nf()\n```".into()));
    let over = bench.ended(piece(1), Stop::Done);
    assert!(news(&over).is_empty());
    let done = kept_task(&over).clone();
    assert_eq!((done.status, done.progress, done.completed_at), (Status::Completed, 1.0, Some(bench.now.wall)));
    assert!((done.cost - 0.05).abs() < 1e-9, "5,000 tokens at 2 and 5,000 at 8 for a million");
    let result: Value = serde_json::from_str(done.result.as_deref().unwrap()).unwrap();
    assert_eq!((&result["code"], &result["language"]), (&"f()".into(), &"js".into()));
    let end = bench.store(ticket(&over));
    assert_eq!(told(&end), one("task_completion", "completed", 1.0));
    assert!(news(&end)[0].is_last);
    assert_eq!(bench.delta(1, 50), []);
    assert_eq!(bench.pass(SECOND), []);
    assert!(bench.is_empty());
}

#[test]
fn a_task_that_goes_on_where_the_clock_is_behind_does_not_end_before_it_began() {
    let mut bench = Bench::new();
    bench.begun(1);
    let began = bench.now.wall;
    bench.now.wall.0 -= 300_000_000;
    let over = bench.ended(piece(1), Stop::Done);
    let done = kept_task(&over);
    assert_eq!((done.status, done.updated_at, done.completed_at), (Status::Completed, began, Some(began)));
}

#[test]
fn what_fails_says_why() {
    for (word, why) in [
        (Word::Failed(Fault::Unreachable), "The model is not available"),
        (Word::Failed(Fault::Malformed), "The model did not answer as it should"),
        (Word::Delta("x".repeat((256 << 10) + 1).into()), "The agent gave more than may be kept"),
    ] {
        let mut bench = Bench::new();
        bench.begun(1);
        let over = bench.word(piece(1), word);
        assert_eq!(kept_task(&over).error.as_deref(), Some(why));
        assert_eq!(told(&bench.store(ticket(&over))), one("task_error", "failed", -1.0));
        assert!(bench.is_empty());
    }
    let mut bench = Bench::new();
    bench.begun(1);
    let late = bench.pass(61 * SECOND);
    assert_eq!(kept_task(&late).error.as_deref(), Some("The agent took too long"));
    assert!(late.contains(&Outcome::StopModel(piece(1))));
}

#[test]
fn tools_are_called_and_nobody_can_be_asked_for_leave() {
    let mut bench = Bench::new();
    bench.begun(1);
    for name in ["calculator", "look", "send"] {
        bench.call(1, name);
    }
    let called = bench.ended(piece(1), Stop::Calls);
    assert!(matches!(&called[..], [Outcome::Tool { call: 1, .. }]), "{called:?}");
    bench.homes.tool(piece(1), 1, crate::models::ToolOutcome::Done("7".into()), bench.now, &mut bench.out);
    let again = bench.take();
    let Some(Outcome::Model { prompt, .. }) = again.first() else { panic!("{again:?}") };
    let said: Vec<&str> = prompt
        .utterances
        .iter()
        .filter_map(|said| match &**said {
            Utterance::Tool { content, .. } => Some(&**content),
            _ => None,
        })
        .collect();
    assert_eq!(said[..2], [r#"{"value":4}"#, "7"]);
    assert!(said[2].contains("nobody is there who could allow it"), "{said:?}");
    let shares: Vec<f64> = told(&bench.pass(SECOND)).into_iter().map(|told| told.2).collect();
    assert_eq!(shares, [0.68], "three calls count as 600 bytes");
}

#[test]
fn the_urgent_run_first_and_too_many_are_refused() {
    let mut bench = Bench::with(Settings { max_running: 1, max_waiting: 2, ..Settings::default() });
    bench.begun(1);
    for (n, priority) in [(2, crate::protocols::tasks::model::Priority::Low), (3, Default::default())] {
        let made = bench.letter(ToTask::Create { conn: conn(2), task: Box::new(Task { priority, ..task(n) }) });
        assert_eq!(told(&bench.store(ticket(&made))), one("task_update", "pending", 0.0));
    }
    let why = Refused::Crowded;
    assert_eq!(bench.make(4), [Outcome::Tell(conn(2), FromHome::NotTaken { task: id(4), why })]);
    let over = bench.says(piece(1), "done");
    let next = bench.store(ticket(&over));
    assert_eq!(kept_task(&next).id, id(3));
    assert_eq!(bench.homes.levels(), Levels { tasks: 2, running: 1, waiting: 1, writing: 1, ..Levels::default() });
}

#[test]
fn one_user_does_not_fill_the_queue() {
    let mut bench = Bench::with(Settings { max_running: 1, max_waiting_of_user: 1, ..Settings::default() });
    bench.begun(1);
    let waits = bench.make(2);
    let not_taken = |n| Outcome::Tell(conn(2), FromHome::NotTaken { task: id(n), why: Refused::TooMany });
    assert_eq!(bench.make(3), [not_taken(3)], "what is on its way to disk waits already");
    bench.store(ticket(&waits));
    assert_eq!(bench.make(4), [not_taken(4)]);
    assert_eq!(refused(&bench.ask(Ask::Create(Box::new(task(5))))), Some(Refused::TooMany));
    assert_eq!(refused(&bench.ask_execution(Ask::Execute(Box::new(execution(6))))), Some(Refused::TooMany));
    let idle = bench.ask(Ask::Create(Box::new(Task { agent: None, ..task(7) })));
    assert_eq!(kept_task(&idle).id, id(7), "what no agent is to do waits for none");
    let other = bench.letter(ToTask::Create { conn: conn(2), task: Box::new(Task { owner: "bob".into(), ..task(8) }) });
    assert_eq!(kept_task(&other).id, id(8));
    bench.cancel(2, "alice");
    assert_eq!(kept_task(&bench.make(9)).id, id(9), "one that was cancelled waits no more");
}

#[test]
fn a_cancelled_task_fails_for_all_and_once() {
    let mut bench = Bench::new();
    bench.begun(1);
    bench.delta(1, 100);
    let cancelled = bench.cancel(1, "alice");
    assert_eq!(cancelled[0], Outcome::StopModel(piece(1)));
    assert_eq!(kept_task(&cancelled).error.as_deref(), Some("Cancelled by user"));
    assert_eq!(bench.cancel(1, "admin"), [], "it hears when the first has");
    assert_eq!(bench.delta(1, 100), []);
    let end = bench.store(ticket(&cancelled));
    assert!(
        matches!(&end[0], Outcome::Tell(conn, FromHome::Cancelled(task)) if *conn == super::conn(3) && task.status == Status::Failed)
    );
    assert_eq!(told(&end), one("task_error", "failed", -1.0));
    assert_eq!(end[2], not_cancelled(1, Refused::Over));
    assert!(bench.is_empty());
    let ended = Task { status: Status::Failed, ..task(1) };
    assert_eq!(bench.cancel(1, "alice"), [Outcome::LoadTask(id(1))]);
    assert_eq!(bench.read(Some(ended), 1), [not_cancelled(1, Refused::Over)]);
}

#[test]
fn one_that_waits_or_begins_is_cancelled_too() {
    let mut bench = Bench::with(Settings { max_running: 1, ..Settings::default() });
    bench.begun(1);
    let made = bench.make(2);
    bench.store(ticket(&made));
    let cancelled = bench.cancel(2, "alice");
    assert_eq!(told(&bench.store(ticket(&cancelled))), one("task_error", "failed", -1.0));
    let over = bench.says(piece(1), "done");
    bench.store(ticket(&over));
    let made = bench.make(3);
    let turn = bench.store(ticket(&made));
    assert_eq!(bench.cancel(3, "alice"), [], "its beginning is being written");
    let begun = bench.store(ticket(&turn));
    assert_eq!((told(&begun), asked(&begun)), (one("task_update", "in_progress", 0.05), vec![]));
    assert_eq!(told(&bench.store(ticket(&begun))), one("task_error", "failed", -1.0));
    assert!(bench.is_empty());
}

#[test]
fn a_foreign_task_is_none() {
    let mut bench = Bench::new();
    bench.begun(1);
    assert_eq!(bench.see(1, "bob"), [seen(1, Err(Refused::NotFound))]);
    assert_eq!(bench.cancel(1, "bob"), [not_cancelled(1, Refused::NotFound)]);
    assert_eq!(refused(&bench.ask(look("bob", 1))), Some(Refused::NotFound));
    assert!(matches!(&bench.see(1, "admin")[..], [Outcome::Tell(_, FromHome::Seen { state: Ok(_), .. })]));
    let before = bench.ask(look("alice", 1));
    assert!(matches!(replies(&before)[..], [Reply::Task(task)] if task.progress == 0.05));
    assert_eq!(bench.see(9, "alice"), [Outcome::LoadTask(id(9))]);
    assert_eq!(bench.see(9, "bob"), [], "it is being read");
    let read = bench.read(Some(Task { status: Status::Completed, ..task(9) }), 9);
    assert!(matches!(&read[0], Outcome::Tell(_, FromHome::Seen { state: Ok(_), .. })));
    assert_eq!(read[1], seen(9, Err(Refused::NotFound)));
    bench.see(8, "alice");
    assert_eq!(bench.read(None, 8), [seen(8, Err(Refused::NotFound))]);
    bench.see(8, "alice");
    bench.homes.loaded_task(id(8), Err(StoreFault::Busy), bench.now, &mut bench.out);
    assert_eq!(bench.take(), [seen(8, Err(Refused::Store(StoreFault::Busy)))]);
    assert_eq!(bench.homes.levels().tasks, 1);
}

#[test]
fn what_cannot_be_written_is_refused_or_tried_again() {
    let mut bench = Bench::new();
    let made = bench.make(1);
    let why = Refused::Store(StoreFault::Failed);
    assert_eq!(bench.fail(ticket(&made)), [Outcome::Tell(conn(2), FromHome::NotTaken { task: id(1), why })]);
    assert!(bench.is_empty());
    let made = bench.make(2);
    let turn = bench.store(ticket(&made));
    assert_eq!(bench.fail(ticket(&turn)), []);
    let again = bench.pass(2 * SECOND);
    let begun = bench.store(ticket(&again));
    assert_eq!(asked(&begun), [piece(2)]);
    let over = bench.says(piece(2), "done");
    assert_eq!(bench.fail(ticket(&over)), [], "nobody hears of an end that is not on disk");
    let again = bench.pass(2 * SECOND);
    assert_eq!(told(&bench.store(ticket(&again))), one("task_completion", "completed", 1.0));
    assert!(bench.is_empty());
}

#[test]
fn a_request_does_not_wait_for_ever_and_what_it_began_goes_on() {
    let mut bench = Bench::new();
    let made = bench.ask(Ask::Create(Box::new(task(1))));
    assert_eq!(bench.homes.next_deadline(), Some(bench.now.moment + 5 * SECOND));
    assert_eq!(bench.pass(4 * SECOND), []);
    let busy = Refused::Store(StoreFault::Busy);
    assert_eq!(refused(&bench.pass(SECOND)), Some(busy));
    assert_eq!(bench.homes.next_deadline(), None);
    let taken = bench.store(ticket(&made));
    assert_eq!((replies(&taken).len(), told(&taken)), (0, one("task_update", "pending", 0.0)));
    let begun = bench.store(ticket(&taken));
    let caller = || caller("alice");
    assert_eq!(asked(&begun), [piece(1)]);
    assert_eq!(bench.ask(Ask::Cancel { task: id(1), caller: caller() }).len(), 2, "the model is stopped, and that is written");
    assert_eq!(refused(&bench.ask(Ask::Remove { task: id(7), caller: caller() })), None, "it is read");
    let late = bench.pass(5 * SECOND);
    assert_eq!(replies(&late), [&Reply::Refused(busy); 2]);
    assert_eq!(replies(&bench.read(None, 7)), [&Reply::Refused(Refused::NotFound); 0]);
}

#[test]
fn a_stop_fails_what_runs_and_leaves_what_waits() {
    let mut bench = Bench::with(Settings { max_running: 1, ..Settings::default() });
    bench.begun(1);
    let made = bench.make(2);
    bench.store(ticket(&made));
    let stopped = bench.stop();
    assert_eq!(kept_task(&stopped).error.as_deref(), Some("The server was stopped"));
    let why = Refused::Stopping;
    assert_eq!(bench.make(3), [Outcome::Tell(conn(2), FromHome::NotTaken { task: id(3), why })]);
    bench.store(ticket(&stopped));
    assert!(bench.is_empty());
}

#[test]
fn a_start_goes_on_with_what_was_unfinished() {
    let mut bench = Bench::new();
    let was = |n, status| Task { status, ..task(n) };
    let by_hand = Task { agent: None, ..was(3, Status::InProgress) };
    let gone = Task { agent: Some("x".into()), ..was(4, Status::Pending) };
    let loaded = unfinished(vec![was(1, Status::Pending), was(2, Status::InProgress), by_hand, gone], Vec::new());
    bench.homes.begin(loaded, bench.now, &mut bench.out);
    assert!(bench.out.contains(&Outcome::Counts(crate::protocols::tasks::Counts { active: 2, pending: 2 })));
    let begun = bench.take();
    let tickets: Vec<(u64, Task)> = begun
        .iter()
        .map(|outcome| match outcome {
            Outcome::Keep { ticket, record: Record::Task(task) } => (*ticket, (**task).clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let of = |n: u128| tickets.iter().find(|(_, task)| task.id == id(n)).unwrap();
    assert_eq!((tickets.len(), of(1).1.status), (3, Status::InProgress));
    assert_eq!(of(2).1.error.as_deref(), Some("The server was restarted"));
    assert_eq!(asked(&bench.store(of(1).0)), [piece(1)]);
    assert_eq!(told(&bench.store(of(2).0)), one("task_error", "failed", -1.0));
    let turn = bench.store(of(4).0);
    assert_eq!(kept_task(&turn).error.as_deref(), Some("There is no such agent or model any more"));
}
