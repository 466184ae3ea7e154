//! Records of labs on a broken disk, over restarts, from an old file; and what lists cost.

use super::{
    super::{
        super::{
            LabsLibrary, Library, Outcome, Store,
            tests::{
                PATIENCE,
                labs::{ALL, command, id, kept, new_user, of_session, session},
                quiz::ADA,
                ticket,
            },
        },
        fault::blame,
        schema,
        tests::{Bench, beside, folder},
    },
    loaded,
    sessions::View,
};
use crate::{
    protocols::labs::{
        model::{Progress, Session, State},
        record::{Change, Kept, Page, Record, SessionFilter, SortBy},
    },
    realtime::{StoreFault, UnixMicros},
};
use rusqlite::Connection;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn keep(it: &Bench, record: Record) -> Result<Kept, StoreFault> {
    it.store.keep_labs(ticket(0), record).expect("room");
    kept(it.answers.recv_timeout(PATIENCE).expect("an answer"))
}

fn done(it: &Bench, records: impl IntoIterator<Item = Record>) {
    for record in records {
        assert_eq!(keep(it, record), Ok(Kept::Done));
    }
}

#[test]
fn a_file_of_version_2_keeps_its_rows_and_takes_records() {
    let folder = folder();
    {
        let old = Connection::open(folder.path().join("homeroom.db")).expect("a file");
        schema::STEPS[..2].iter().for_each(|step| old.execute_batch(step).expect("tables"));
        old.execute_batch(
            "INSERT INTO owner VALUES (1, 'school.local/ada');
             INSERT INTO quiz VALUES (7, 1, 'draft', 'code', 'old', 'public', 'always', NULL, NULL, 0, 0, 'immediate', 0, 0, 5, 5);
             PRAGMA user_version = 2;",
        )
        .expect("rows");
    }
    let it = Bench::open(&folder);
    done(&it, [new_user(1, "ada"), of_session(session(1))]);
    let quizzes = it.store.quizzes(ADA, None, crate::protocols::quiz::record::Page { offset: 0, limit: 9 }).expect("readable");
    assert_eq!(quizzes.items[0].quiz.rules.title, "old");
    drop(it);
    let version: i64 = beside(&folder).pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    assert_eq!(version, schema::STEPS.len() as i64);
}

#[test]
fn all_goes_on_after_a_restart_but_what_has_expired() {
    let folder = folder();
    let change = Change { session: Some(session(1)), command: Some(command(9, 1, Progress::Sent)), agent: None };
    let revoked = |number, expires_at| Record::Revoked { token: id(number), expires_at: UnixMicros(expires_at) };
    let before = {
        let it = Bench::open(&folder);
        done(&it, [Record::Change(Box::new(change)), new_user(3, "ada"), revoked(1, 5), revoked(2, i64::MAX)]);
        assert_eq!(it.store.revoked(UnixMicros(0)).map(|all| all.len()), Ok(2));
        it.store.labs()
    };
    let it = Bench::open(&folder);
    assert_eq!(it.store.labs(), before);
    assert!(it.store.login("ada").expect("readable").is_some());
    assert_eq!(it.store.revoked(UnixMicros(0)), Ok(vec![(id(2), UnixMicros(i64::MAX))]));
}

#[test]
fn a_full_disk_fails_changes_and_passes() {
    let folder = folder();
    let it = Bench::open(&folder);
    done(&it, [of_session(session(1))]);
    it.pragma("max_page_count = 1".into()); // SQLite takes the present size for it.
    let change = |number| {
        let (session, command) = (Some(session(number)), Some(command(10_000 + number, number, Progress::Pending)));
        Record::Change(Box::new(Change { agent: None, session, command }))
    };
    let failed = (2..2_000).find(|&number| keep(&it, change(number)) == Err(StoreFault::Failed)).expect("the disk is full");
    assert_eq!(it.store.health().outcome(), Outcome::Fault(StoreFault::Failed));
    assert_eq!(it.store.session(id(failed)), Ok(None));
    let loaded = it.store.labs().expect("readable");
    assert_eq!(loaded.sessions.len() as u128, failed - 1, "none but those that were answered");
    assert_eq!(loaded.commands.len() as u128, failed - 2);
    it.pragma("max_page_count = 1000000".into());
    done(&it, [change(failed), of_session(Session { state: State::Running, ..session(1) })]);
    assert_eq!(it.store.health().outcome(), Outcome::Done);
}

#[test]
fn a_seed_is_nothing_while_another_holds_the_file() {
    let folder = folder();
    let it = Bench::open(&folder);
    let other = beside(&folder);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let fault = schema::write_beside(&it.store.file, Duration::ZERO, |conn| super::seed(conn, &[], None)).expect_err("held");
    assert_eq!(blame(&fault), StoreFault::Busy);
    other.execute_batch("ROLLBACK").expect("given up");
    assert_eq!(it.store.seed(Vec::new(), None), Ok(false));
}

/// A file with so many sessions, of 100 users: one has half of them, as one tag is everywhere.
fn crowd(folder: &TempDir, sessions: u32) {
    beside(folder)
        .execute_batch(&format!(
            "BEGIN;
             WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {sessions} - 1)
             INSERT INTO lab_session SELECT n + 1, unhex(printf('%032x', n * 7919)), 'student-firefox-browser-' || n,
                'student-' || CASE n % 2 WHEN 0 THEN 0 ELSE n % 100 END, 'firefox-browser', 'kubernetes', 'k8s-prod-us-east-' || (n % 7),
                CASE n % 10 WHEN 0 THEN 'running' ELSE 'terminated' END, CASE n % 10 WHEN 0 THEN 'running' ELSE 'terminated' END,
                1790000000000000 + n, 1790000000000000 + n * 7919 % 1000000, NULL, '[\"all\"]', '{{\"memory\":\"2Gi\",\"cpu\":\"1\"}}', 1,
                '30m', 'Session is over', '{{\"pod_ip\":\"10.0.0.1\",\"pod_name\":\"student-firefox-browser\",\"vnc_port\":5900}}' FROM n;
             INSERT INTO lab_session_tag SELECT 'all', id FROM lab_session;
             INSERT INTO lab_session_tag SELECT 'few', id FROM lab_session WHERE id % 1000 = 0;
             COMMIT;"
        ))
        .expect("rows");
}

/// Each with how its list is found, and whether what is found has to be sorted.
fn filters() -> Vec<(SessionFilter, &'static str, bool)> {
    let any = SessionFilter { descending: true, ..SessionFilter::default() };
    let sorted = |sort| SessionFilter { sort, ..any.clone() };
    let over = vec![State::Terminated, State::Failed];
    vec![
        (sorted(SortBy::Created), "SCAN lab_session USING COVERING INDEX lab_session_created", false),
        (sorted(SortBy::Updated), "SCAN lab_session USING COVERING INDEX lab_session_updated", false),
        (sorted(SortBy::User), "SCAN lab_session USING COVERING INDEX lab_session_list", false),
        (sorted(SortBy::State), "SCAN lab_session USING COVERING INDEX lab_session_shown", false),
        (SessionFilter { states: over, ..sorted(SortBy::State) }, "SCAN lab_session USING COVERING INDEX lab_session_list", true),
        (
            SessionFilter { user: Some("student-0".into()), ..sorted(SortBy::Updated) },
            "SEARCH lab_session USING COVERING INDEX lab_session_list (user=?)",
            true,
        ),
        (
            SessionFilter { agent: Some("k8s-prod-us-east-1".into()), ..sorted(SortBy::User) },
            "SCAN lab_session USING COVERING INDEX lab_session_list",
            false,
        ),
        (
            SessionFilter { tags: vec!["all".into()], states: vec![State::Running], ..sorted(SortBy::User) },
            "SEARCH tagged USING PRIMARY KEY (tag=?)",
            true,
        ),
        (SessionFilter { tags: vec!["all".into(), "few".into()], ..any }, "SEARCH tagged USING PRIMARY KEY (tag=?)", true),
    ]
}

#[test]
fn no_list_of_sessions_looks_at_more_than_it_must() {
    let folder = folder();
    let _it = Bench::open(&folder);
    let conn = beside(&folder);
    let plan = |statement: &str| -> Vec<String> {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("a statement");
        plan.raw_query().mapped(|row| row.get(3)).map(|line| line.expect("a line")).collect()
    };
    for (filter, expected, sorted) in filters() {
        let select = View::new(&filter).select();
        let lines = plan(&select);
        assert!(lines.iter().any(|line| line == expected), "{select}: {lines:#?}");
        let sorts = lines.iter().filter(|line| line.contains("TEMP B-TREE")).count();
        // The part is put into its order once more, when it is small.
        assert_eq!(sorts, 1 + usize::from(sorted), "{select}: {lines:#?}");
        let others = |line: &&String| line.starts_with("SCAN") && *line != "SCAN part" && *line != expected;
        assert_eq!(lines.iter().filter(others).count(), 0, "{select}: {lines:#?}");
    }
    for (statement, index) in [(loaded::sessions(), "lab_session_left"), (loaded::COMMANDS.to_owned(), "lab_command_open")] {
        let lines = plan(&statement);
        assert!(lines[0].ends_with(&format!("INDEX {index}")), "{statement}: {lines:#?}");
    }
}

#[test]
fn a_page_of_many_sessions_is_soon_there() {
    const SESSIONS: u32 = 100_000;
    // Some fifty times what it takes where nothing is optimised and nobody else is busy.
    const LONG: Duration = Duration::from_secs(25);
    let folder = folder();
    let it = Bench::open(&folder);
    crowd(&folder, SESSIONS);
    for (filter, ..) in filters() {
        for page in [1, 400] {
            let begun = Instant::now();
            let listed = it.store.sessions(&filter, Page { page, ..ALL }).expect("readable");
            assert_eq!(listed.items.is_empty(), listed.total <= u64::from((page - 1) * ALL.limit));
            assert!(begun.elapsed() < LONG, "{:?} for {filter:?}", begun.elapsed());
        }
    }
    let begun = Instant::now();
    assert_eq!(it.store.labs().expect("readable").sessions.len() as u32, SESSIONS / 10);
    assert!(begun.elapsed() < LONG);
}
