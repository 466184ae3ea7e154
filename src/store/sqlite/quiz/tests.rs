//! Records of quizzes on a broken disk, over restarts, from an old file; and what lists cost.

use super::{
    super::{
        super::{
            Library, Outcome, Settings, Store,
            tests::{
                PATIENCE,
                quiz::{ADA, answered, closed, id, kept, new_quiz, start, started},
                row, ticket,
            },
        },
        schema,
        tests::{Bench, beside, folder},
    },
    results,
};
use crate::{
    protocols::quiz::{
        model::QuizId,
        record::{AttemptFilter, Kept, LoadedAttempt, Page, Record},
    },
    realtime::{StoreFault, UnixMicros},
};
use rusqlite::Connection;
use std::{
    sync::{atomic::Ordering::Relaxed, mpsc},
    thread,
    time::{Duration, Instant},
};

fn keep(it: &Bench, record: Record) -> Result<Kept, StoreFault> {
    it.store.keep(ticket(0), record).expect("room");
    kept(it.answers.recv_timeout(PATIENCE).expect("an answer"))
}

fn done(it: &Bench, records: impl IntoIterator<Item = Record>) {
    for record in records {
        assert!(matches!(keep(it, record), Ok(Kept::Done | Kept::Quiz(_))));
    }
}

fn loaded(it: &Bench) -> Vec<LoadedAttempt> {
    it.store.quiz(QuizId(1)).expect("readable").expect("is there").attempts
}

fn at(micros: i64) -> Option<UnixMicros> {
    Some(UnixMicros(micros))
}

#[test]
fn a_file_of_version_1_keeps_its_rows_and_takes_records() {
    let folder = folder();
    {
        let old = Connection::open(folder.path().join("homeroom.db")).expect("a file");
        old.execute_batch(schema::STEPS[0]).expect("the first tables");
        old.execute_batch(
            "INSERT INTO replica VALUES (1, 'homeroom', NULL, 500, 7);
             INSERT INTO classroom VALUES (1, unhex('000000000000000000000000000C1A55'));
             INSERT INTO agent VALUES (1, 'web.ada'), (2, 'web.bob');
             INSERT INTO agent_session VALUES (7, 1, 1, 1, 400, 0);
             INSERT INTO agent_session_history VALUES (0, 1, 2, 100, 200, 6);
             PRAGMA user_version = 1;",
        )
        .expect("rows");
    }
    let it = Bench::open(&folder);
    assert_eq!(it.told(), [row("web.ada", 400, 500), row("web.bob", 100, 200)]);
    assert_eq!(it.enter("web.zoe", 600), Ok(8));
    done(&it, [new_quiz(ADA, "one"), start(started(1, 1, ADA)), answered(1, 11, 1, 20)]);
    assert_eq!(loaded(&it)[0].answers.len(), 1);
    drop(it);
    let version: i64 = beside(&folder).pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    assert_eq!(version, schema::STEPS.len() as i64);
}

#[test]
fn attempts_go_on_after_a_restart() {
    let folder = folder();
    {
        let it = Bench::open(&folder);
        done(&it, [new_quiz(ADA, "one"), start(started(1, 1, ADA)), start(started(2, 1, ADA)), start(started(3, 1, ADA))]);
        // Four shelves.
        done(&it, (0..10).map(|question| answered(1, question, 1, 20 + question as i64)));
        done(&it, [answered(2, 1, 1, 90), answered(2, 1, 3, 91)]);
    }
    let it = Bench::open(&folder);
    assert_eq!(it.store.running(), Ok(vec![QuizId(1)]));
    done(
        &it,
        [answered(1, 4, 3, 95), Record::Closed(closed(1, 9.0, 100)), Record::Closed(closed(2, 9.0, 100)), answered(3, 1, 1, 101)],
    );
    let attempts = loaded(&it);
    let last: Vec<_> = attempts.iter().map(|attempt| attempt.last_answer).collect();
    assert_eq!(last, [at(95), at(91), at(101)], "of the second only its answers tell");
    let (_, answers) = it.store.attempt(ADA, id(1)).expect("readable").expect("is there");
    assert_eq!(answers.len(), 10);
    assert_eq!(answers.iter().map(|answer| answer.id.as_u128()).max(), Some(95), "the later answer counts");
    assert_eq!(
        answers.iter().filter(|answer| answer.question == id(4)).map(|answer| answer.at).collect::<Vec<_>>(),
        [UnixMicros(95)]
    );
}

#[test]
fn a_record_that_waited_too_long_leaves_nothing() {
    let folder = folder();
    let it = Bench::with(Settings { acquire_timeout: Duration::ZERO, ..Settings::new(folder.path()) });
    assert_eq!(keep(&it, new_quiz(ADA, "late")), Err(StoreFault::Busy));
    assert_eq!(it.store.quizzes(ADA, None, Page { offset: 0, limit: 9 }).map(|listed| listed.total), Ok(0));
    assert_eq!(it.store.health().expired.load(Relaxed), 1);
    assert_eq!(it.store.health().queued.load(Relaxed), 0);
}

#[test]
fn a_full_queue_refuses_records() {
    let folder = folder();
    let it = Bench::with(Settings { queue: 2, ..Settings::new(folder.path()) });
    let (open, gate) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel::<()>();
    it.store.running.queue.push(super::super::super::queue::Request::Chore(Box::new(move |_| {
        let _ = begin.send(());
        let _ = gate.recv();
    })));
    assert_eq!(begun.recv_timeout(PATIENCE), Ok(()), "the store's thread is held");
    assert_eq!(it.store.keep(ticket(0), new_quiz(ADA, "one")), Ok(()));
    assert_eq!(it.store.enter(ticket(1), super::super::super::tests::entering("web.ada", 5)), Ok(()));
    assert_eq!(it.store.keep(ticket(2), new_quiz(ADA, "two")), Err(StoreFault::Busy));
    assert_eq!(it.store.health().queued.load(Relaxed), 2);
    drop(open);
    assert_eq!(it.store.flush(PATIENCE), Ok(()));
    assert_eq!(it.store.health().batch_size.load(Relaxed), 2, "both in one batch");
    assert_eq!(it.store.keep(ticket(2), new_quiz(ADA, "two")), Ok(()));
}

#[test]
fn records_wait_for_a_foreign_lock_in_their_order() {
    let folder = folder();
    let it = Bench::open(&folder);
    let other = beside(&folder);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let records = [
        new_quiz(ADA, "one"),
        start(started(1, 1, ADA)),
        answered(1, 11, 1, 20),
        Record::Closed(closed(1, 1.0, 30)),
        answered(1, 11, 2, 31),
    ];
    records.into_iter().for_each(|record| it.store.keep(ticket(0), record).expect("room"));
    let begun = Instant::now();
    while it.store.health().failures.load(Relaxed) < 2 && begun.elapsed() < PATIENCE {
        thread::yield_now();
    }
    assert_eq!(it.answers.try_recv().err(), Some(mpsc::TryRecvError::Empty), "their time is not over");
    other.execute_batch("ROLLBACK").expect("given up");
    let answers: Vec<_> = (0..5).map(|_| kept(it.answers.recv_timeout(PATIENCE).expect("an answer"))).collect();
    assert_eq!(answers, [Ok(Kept::Quiz(QuizId(1))), Ok(Kept::Done), Ok(Kept::Done), Ok(Kept::Done), Ok(Kept::Missing)]);
    assert_eq!(loaded(&it)[0].last_answer, at(20));
}

#[test]
fn a_full_disk_fails_records_and_passes() {
    let folder = folder();
    let it = Bench::open(&folder);
    done(&it, [new_quiz(ADA, "one"), start(started(1, 1, ADA))]);
    it.pragma("max_page_count = 1".into()); // SQLite takes the present size for it.
    let failed = (2..2_000).find(|&attempt| keep(&it, start(started(attempt, 1, ADA))) == Err(StoreFault::Failed));
    let failed = failed.expect("the disk is full");
    assert_eq!(it.store.health().outcome(), Outcome::Fault(StoreFault::Failed));
    assert_eq!(it.store.attempt(ADA, id(failed)), Ok(None));
    it.pragma("max_page_count = 1000000".into());
    assert_eq!(keep(&it, answered(failed, 11, 1, 20)), Ok(Kept::Missing), "what was rolled back is not remembered");
    done(&it, [start(started(failed, 1, ADA)), answered(failed, 11, 1, 20), answered(1, 11, 1, 20)]);
    assert_eq!(loaded(&it).len() as u128, failed);
    assert_eq!(it.store.health().outcome(), Outcome::Done);
}

#[test]
fn no_list_of_attempts_looks_at_more_than_it_must() {
    let folder = folder();
    let it = Bench::open(&folder);
    let event =
        crate::protocols::quiz::record::Event { id: id(60), owner: ADA.into(), title: "e".into(), created_at: UnixMicros(1) };
    done(&it, [new_quiz(ADA, "one"), start(started(1, 1, ADA)), Record::Event(event)]);
    let conn = beside(&folder);
    let plan = |statement: &str| -> Vec<String> {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("a statement");
        plan.raw_query().mapped(|row| row.get(3)).map(|line| line.expect("a line")).collect()
    };
    let any = AttemptFilter::default();
    let filters = [
        (any.clone(), "attempt_of_owner"),
        (AttemptFilter { quiz: Some(QuizId(1)), ..any.clone() }, "attempt_of_quiz"),
        (AttemptFilter { event: Some(id(60)), quiz: Some(QuizId(1)), ..any.clone() }, "attempt_of_event"),
        (AttemptFilter { participant: Some(id(1_001)), event: Some(id(60)), ..any.clone() }, "attempt_of_participant"),
        (AttemptFilter { ended: Some(false), flagged: Some(true), ..any }, "attempt_of_owner"),
    ];
    let mut plans: Vec<(String, &str)> = vec![(results::ranked(), "attempt_result")];
    for (filter, index) in filters {
        let narrow = results::narrowed(&conn, 1, &filter).expect("readable").expect("the owner's");
        plans.push((narrow.select(), index));
    }
    for (statement, index) in plans {
        let lines = plan(&statement);
        assert!(lines.iter().any(|line| line.contains(&format!("INDEX {index} "))), "{statement}: {lines:#?}");
        let scans = |line: &&String| line.starts_with("SCAN") && !line.ends_with("part");
        assert_eq!(lines.iter().filter(scans).count(), 0, "{statement}: {lines:#?}");
        // The part is put into its order once more, when it is small.
        assert!(lines.iter().filter(|line| line.contains("TEMP B-TREE")).count() <= 1, "{statement}: {lines:#?}");
    }
}
