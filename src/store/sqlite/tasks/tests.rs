//! Records of tasks on a broken disk and over restarts; and what lists cost.

use super::{
    super::{
        super::{
            Outcome, Store, TasksLibrary,
            tests::{
                PATIENCE,
                tasks::{execution, id, kept, of_execution, of_task, task},
                ticket,
            },
        },
        Settings,
        tests::{Bench, beside, folder},
    },
    lists::{EXECUTIONS, TASKS, Table},
};
use crate::{
    protocols::tasks::{
        model::{Status, Task, UserName},
        record::Record,
    },
    realtime::StoreFault,
};
use rusqlite::Connection;
use std::time::Duration;

fn keep(it: &Bench, record: Record) -> Result<(), StoreFault> {
    it.store.keep_tasks(ticket(0), record).expect("room");
    kept(it.answers.recv_timeout(PATIENCE).expect("an answer"))
}

#[test]
fn all_goes_on_after_a_restart() {
    let folder = folder();
    let before = {
        let it = Bench::open(&folder);
        let records = [
            of_task(task(1, Status::Pending)),
            of_task(task(2, Status::Completed)),
            of_execution(execution(3, Status::InProgress)),
            of_execution(execution(4, Status::Failed)),
        ];
        records.into_iter().for_each(|record| assert_eq!(keep(&it, record), Ok(())));
        it.store.load_tasks()
    };
    let it = Bench::open(&folder);
    assert_eq!(it.store.load_tasks(), before);
    assert_eq!(it.store.task(id(2)), Ok(Some(task(2, Status::Completed))));
    assert_eq!(it.store.execution(id(4)), Ok(Some(execution(4, Status::Failed))));
}

#[test]
fn a_full_disk_fails_records_and_passes() {
    let folder = folder();
    let it = Bench::open(&folder);
    assert_eq!(keep(&it, of_task(task(1, Status::Pending))), Ok(()));
    it.pragma("max_page_count = 1".into()); // SQLite takes the present size for it.
    let long = |number| of_task(Task { task: "x".repeat(9_000).into(), ..task(number, Status::Pending) });
    let failed = (2..100).find(|&number| keep(&it, long(number)) == Err(StoreFault::Failed)).expect("the disk is full");
    assert_eq!(it.store.health().outcome(), Outcome::Fault(StoreFault::Failed));
    assert_eq!(it.store.load_tasks().expect("readable").tasks.len() as u128, failed - 1, "none but those that were answered");
    it.pragma("max_page_count = 1000000".into());
    assert_eq!(keep(&it, long(failed)), Ok(()));
    assert_eq!(it.store.health().outcome(), Outcome::Done);
}

#[test]
fn a_file_that_another_holds_is_busy() {
    let folder = folder();
    let it = Bench::with(Settings { acquire_timeout: Duration::from_millis(100), ..Settings::new(folder.path()) });
    let other = beside(&folder);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    assert_eq!(keep(&it, of_task(task(1, Status::Pending))), Err(StoreFault::Busy));
    other.execute_batch("ROLLBACK").expect("given up");
    assert_eq!(it.store.task(id(1)), Ok(None));
    assert_eq!(keep(&it, of_task(task(1, Status::Pending))), Ok(()));
}

fn has_its_indexes<T>(conn: &Connection, name: &str, table: &Table<T>) {
    let plan = |statement: &str| -> Vec<String> {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("a statement");
        plan.raw_query().mapped(|row| row.get(3)).map(|line| line.expect("a line")).collect()
    };
    let ada = UserName::from("ada");
    let wanted = [
        (None, None, format!("SCAN {name} USING COVERING INDEX {name}_made")),
        (None, Some(Status::Pending), format!("SEARCH {name} USING COVERING INDEX {name}_of_status (status=?)")),
        (Some(&ada), None, format!("SEARCH {name} USING COVERING INDEX {name}_of_owner (owner=?)")),
        (Some(&ada), Some(Status::Pending), format!("SEARCH {name} USING COVERING INDEX {name}_of_owner (owner=?)")),
    ];
    // With how often what is found is sorted: parts once more, when they are small.
    let mut plans = vec![(table.left(), format!("SCAN {name} USING INDEX {name}_left"), 0)];
    for (owner, status, expected) in wanted {
        plans.push((table.whole(owner, status), expected.clone(), 0));
        plans.push((table.part(owner, status), expected, 1));
    }
    for (statement, expected, sorts) in plans {
        let lines = plan(&statement);
        assert!(lines.contains(&expected), "{statement}: {lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.contains("TEMP B-TREE")).count(), sorts, "{statement}: {lines:#?}");
        let others = |line: &&String| line.starts_with("SCAN") && *line != "SCAN part" && **line != expected;
        assert_eq!(lines.iter().filter(others).count(), 0, "{statement}: {lines:#?}");
    }
}

#[test]
fn nothing_is_listed_without_an_index() {
    let folder = folder();
    let _it = Bench::open(&folder);
    let conn = beside(&folder);
    has_its_indexes(&conn, "task", &TASKS);
    has_its_indexes(&conn, "execution", &EXECUTIONS);
}
