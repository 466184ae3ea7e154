//! Tasks that are made, changed and removed by REST.

use super::*;
use crate::protocols::tasks::{asks::Edit, model::Priority};

fn by_hand(n: u128) -> Task {
    Task { agent: None, ..task(n) }
}

fn edit(n: u128, user: &str, edit: Edit) -> Ask {
    Ask::Edit { task: id(n), caller: caller(user), edit }
}

fn to(status: Status) -> Edit {
    Edit { status: Some(status), ..Edit::default() }
}

fn remove(n: u128) -> Ask {
    Ask::Remove { task: id(n), caller: caller("alice") }
}

#[test]
fn a_task_that_nobody_works_at_is_changed_by_hand() {
    let mut bench = Bench::new();
    let made = bench.ask(Ask::Create(Box::new(by_hand(1))));
    let taken = bench.store(ticket(&made));
    assert!(matches!(replies(&taken)[..], [Reply::Task(task)] if task.status == Status::Pending));
    assert_eq!(told(&taken), one("task_update", "pending", 0.0));
    assert_eq!(bench.homes.levels(), Levels::default(), "nobody has to care for it");
    assert_eq!(refused(&bench.ask(look("alice", 1))), Some(Refused::NotHere));
    assert_eq!(bench.ask(edit(1, "alice", to(Status::Verifying))), [Outcome::LoadTask(id(1))]);
    let read = bench.read(Some(by_hand(1)), 1);
    let changed = bench.store(ticket(&read));
    assert_eq!(told(&changed), one("task_update", "verifying", 0.0));
    assert!(matches!(replies(&changed)[..], [Reply::Task(task)] if task.status == Status::Verifying));
    bench.ask(edit(1, "alice", Edit { result: Some(r#"{"a":1}"#.into()), ..to(Status::Completed) }));
    let read = bench.read(Some(Task { status: Status::Verifying, ..by_hand(1) }), 1);
    let done = bench.store(ticket(&read));
    assert_eq!(told(&done), one("task_completion", "completed", 1.0));
    assert_eq!(text(&news(&done)[0].frame)["data"]["result"]["a"], 1);
    assert!(bench.is_empty());
}

#[test]
fn what_may_not_be_changed_is_not_written() {
    let mut bench = Bench::new();
    bench.begun(1);
    assert_eq!(refused(&bench.ask(edit(1, "alice", to(Status::Completed)))), Some(Refused::AtWork));
    assert_eq!(refused(&bench.ask(edit(1, "bob", Edit::default()))), Some(Refused::NotFound));
    let titled = bench.ask(edit(1, "alice", Edit { title: Some("new".into()), ..Edit::default() }));
    bench.delta(1, 200);
    assert_eq!(told(&bench.pass(SECOND)).len(), 1, "the agent goes on");
    let done = bench.store(ticket(&titled));
    assert!(news(&done).is_empty(), "nothing that sockets hear has changed");
    assert!(matches!(replies(&done)[..], [Reply::Task(task)] if &*task.title == "new" && task.progress == 0.47));
    let failed = bench.ask(edit(1, "alice", Edit { title: Some("newer".into()), ..Edit::default() }));
    assert_eq!(refused(&bench.fail(ticket(&failed))), Some(Refused::Store(StoreFault::Failed)));
}

#[test]
fn nobody_waits_for_an_end_that_cannot_be_written() {
    let mut bench = Bench::new();
    bench.begun(1);
    let why = Refused::Store(StoreFault::Failed);
    let cancelled = bench.cancel(1, "alice");
    assert_eq!(bench.ask(edit(1, "alice", Edit { title: Some("new".into()), ..Edit::default() })), []);
    let failed = bench.fail(ticket(&cancelled));
    assert_eq!(refused(&failed), Some(why));
    assert!(failed.contains(&Outcome::Tell(conn(3), FromHome::NotCancelled { task: id(1), why })), "{failed:?}");
    let again = bench.pass(2 * SECOND);
    assert_eq!(told(&bench.store(ticket(&again))), one("task_error", "failed", -1.0), "it ends all the same");
    assert!(bench.is_empty());
}

#[test]
fn a_priority_changes_whose_turn_it_is() {
    let mut bench = Bench::with(Settings { max_running: 1, ..Settings::default() });
    bench.begun(1);
    for n in 2..4 {
        let made = bench.make(n);
        bench.store(ticket(&made));
    }
    let urgent = bench.ask(edit(3, "alice", Edit { priority: Some(Priority::High), ..Edit::default() }));
    bench.store(ticket(&urgent));
    let over = bench.says(piece(1), "done");
    assert_eq!(kept_task(&bench.store(ticket(&over))).id, id(3));
}

#[test]
fn what_is_removed_has_ended_before() {
    let mut bench = Bench::new();
    bench.begun(1);
    let removed = bench.ask(remove(1));
    assert_eq!(removed[0], Outcome::StopModel(piece(1)));
    let ended = bench.store(ticket(&removed));
    assert_eq!(told(&ended), one("task_error", "failed", -1.0));
    assert_eq!(*kept(&ended).1, Record::NoTask(id(1)));
    assert_eq!(refused(&bench.ask(edit(1, "alice", Edit::default()))), None, "it waits for what is being written");
    let gone = bench.store(ticket(&ended));
    assert!(matches!(replies(&gone)[..], [Reply::Task(_), Reply::Refused(Refused::NotFound)]), "{gone:?}");
    assert!(bench.is_empty());
    bench.ask(remove(2));
    let read = bench.read(Some(Task { status: Status::Completed, ..task(2) }), 2);
    assert_eq!(*kept(&read).1, Record::NoTask(id(2)));
    assert_eq!(refused(&bench.fail(ticket(&read))), Some(Refused::Store(StoreFault::Failed)));
    assert!(bench.is_empty());
}

#[test]
fn what_was_ended_by_hand_is_not_cancelled() {
    let mut bench = Bench::new();
    bench.ask(edit(1, "alice", to(Status::Completed)));
    let read = bench.read(Some(by_hand(1)), 1);
    assert_eq!(bench.cancel(1, "alice"), []);
    let done = bench.store(ticket(&read));
    assert_eq!(told(&done), one("task_completion", "completed", 1.0));
    assert_eq!(done.last(), Some(&not_cancelled(1, Refused::Over)));
    assert!(bench.is_empty());
    bench.ask(Ask::Cancel { task: id(2), caller: caller("alice") });
    let read = bench.read(Some(by_hand(2)), 2);
    let cancelled = bench.store(ticket(&read));
    assert!(matches!(replies(&cancelled)[..], [Reply::Task(task)] if task.error.as_deref() == Some("Cancelled by user")));
    assert!(bench.is_empty());
}

#[test]
fn what_is_gone_is_not_removed_again_when_somebody_cancelled_it_before() {
    let mut bench = Bench::new();
    bench.ask(edit(1, "alice", to(Status::Completed)));
    bench.ask(remove(1));
    bench.cancel(1, "alice");
    bench.ask(remove(1));
    let read = bench.read(Some(by_hand(1)), 1);
    let completed = bench.store(ticket(&read));
    assert_eq!(*kept(&completed).1, Record::NoTask(id(1)));
    let gone = bench.store(ticket(&completed));
    assert!(matches!(replies(&gone)[..], [Reply::Task(_), Reply::Refused(Refused::NotFound)]), "{gone:?}");
    assert!(gone.contains(&not_cancelled(1, Refused::Over)), "{gone:?}");
    assert!(bench.is_empty());
}
