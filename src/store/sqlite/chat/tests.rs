//! Records of chat on a broken disk, over restarts, from an old file; and what reads and big files cost.

use super::{
    super::{
        super::{
            ChatLibrary, LabsLibrary, Outcome, Store,
            tests::{
                PATIENCE,
                chat::{approval, change, id, kept, load, message, session},
                entering, labs, ticket,
            },
        },
        Settings,
        fault::blame,
        labs::with_email,
        schema,
        tests::{Bench, beside, folder, held},
    },
    messages, sessions, sweep,
};
use crate::{
    models::talk::Attached,
    protocols::chat::{
        model::{Completeness, Message, Status},
        record::{Change, Sweep},
    },
    realtime::{StoreFault, UnixMicros},
};
use rusqlite::Connection;
use std::time::Duration;

fn keep(it: &Bench, change: Change) -> Result<(), StoreFault> {
    it.store.keep_chat(ticket(0), Box::new(change)).expect("room");
    kept(it.answers.recv_timeout(PATIENCE).expect("an answer"))
}

/// A message with a file of so many bytes.
fn big(session: u128, number: u32, bytes: usize) -> Message {
    let file = Attached { name: "photo.png".into(), media_type: "image/png".into(), bytes: vec![7; bytes].into() };
    Message { attachments: vec![file], ..message(session, number) }
}

#[test]
fn a_file_of_version_3_keeps_its_rows_and_takes_changes() {
    let folder = folder();
    {
        let old = Connection::open(folder.path().join("homeroom.db")).expect("a file");
        schema::STEPS[..3].iter().for_each(|step| old.execute_batch(step).expect("tables"));
        old.execute_batch(
            "INSERT INTO lab_user VALUES (1, zeroblob(16), 'ada', 'Ada@school.local', 'user', 1, 'hash', 5, NULL);
             PRAGMA user_version = 3;",
        )
        .expect("rows");
    }
    let it = Bench::open(&folder);
    assert_eq!(keep(&it, change(session(1), [message(1, 1)], [])), Ok(()));
    assert!(it.store.user(id(0)).expect("readable").is_some());
    let login = it.store.login_by_email("ada@school.local").expect("readable").expect("is there");
    assert_eq!(login.user.username, "ada");
}

#[test]
fn all_goes_on_after_a_restart() {
    let folder = folder();
    let streaming = Message { completeness: Completeness::Streaming, ..message(1, 2) };
    let before = {
        let it = Bench::open(&folder);
        assert_eq!(keep(&it, change(session(1), [big(1, 1, 4 << 20), streaming], [approval(1, 1)])), Ok(()));
        it.store.load_session(load(1)).expect("readable").expect("is there")
    };
    assert_eq!(before.messages[0], big(1, 1, 4 << 20));
    let it = Bench::open(&folder);
    assert_eq!(it.store.load_session(load(1)), Ok(Some(before)));
    assert_eq!(it.store.sweep_chat(Sweep { at: UnixMicros(9) }), Ok(1));
    drop(it);
    let it = Bench::open(&folder);
    let after = it.store.load_session(load(1)).expect("readable").expect("is there");
    assert_eq!((after.messages[1].completeness, after.approvals.len()), (Completeness::Incomplete, 1));
    assert_eq!(it.store.sweep_chat(Sweep { at: UnixMicros(9) }), Ok(0));
}

#[test]
fn a_full_disk_fails_changes_and_passes() {
    let folder = folder();
    let it = Bench::open(&folder);
    assert_eq!(keep(&it, change(session(1), [message(1, 1)], [])), Ok(()));
    it.pragma("max_page_count = 1".into()); // SQLite takes the present size for it.
    let new = |number| change(session(number), [message(number, 1), big(number, 2, 50_000)], [approval(number, number)]);
    let failed = (2..100).find(|&number| keep(&it, new(number)) == Err(StoreFault::Failed)).expect("the disk is full");
    assert_eq!(it.store.health().outcome(), Outcome::Fault(StoreFault::Failed));
    assert_eq!(it.store.load_session(load(failed)), Ok(None), "nothing of it");
    it.pragma("max_page_count = 1000000".into());
    assert_eq!(keep(&it, new(failed)), Ok(()));
    assert_eq!(it.store.load_session(load(failed)).expect("readable").expect("is there").messages.len(), 2);
    assert_eq!(it.store.health().outcome(), Outcome::Done);
}

#[test]
fn a_file_that_another_holds_is_busy() {
    let folder = folder();
    let it = Bench::with(Settings { acquire_timeout: Duration::from_millis(100), ..Settings::new(folder.path()) });
    assert_eq!(keep(&it, change(session(1), [message(1, 1)], [])), Ok(()));
    let other = beside(&folder);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    assert_eq!(keep(&it, change(session(2), [], [])), Err(StoreFault::Busy));
    assert_eq!(it.store.load_session(load(1)).expect("reads go on").expect("is there").messages.len(), 1);
    let fault = schema::write_beside(&it.store.file, Duration::ZERO, |conn| sweep(conn, Sweep { at: UnixMicros(9) }));
    assert_eq!(blame(&fault.expect_err("held")), StoreFault::Busy);
    other.execute_batch("ROLLBACK").expect("given up");
    assert_eq!(it.store.chat_session(id(2)), Ok(None));
    assert_eq!(keep(&it, change(session(2), [], [])), Ok(()));
}

#[test]
fn big_files_are_batches_of_their_own() {
    let folder = folder();
    let (store, posts, open) = held(Settings::new(folder.path()));
    for number in 1..=3 {
        store.keep_chat(ticket(0), Box::new(change(session(number), [big(number, 1, 9 << 20)], []))).expect("room");
    }
    store.keep_labs(ticket(0), labs::of_session(labs::session(1))).expect("room");
    store.enter(ticket(0), entering("web.ada", 2)).expect("room");
    drop(open);
    let sizes: Vec<usize> = (0..2).map(|_| posts.recv_timeout(PATIENCE).expect("a post").len()).collect();
    assert_eq!(sizes, [2, 3], "16 MiB at a time and one more");
    assert_eq!(store.load_session(load(3)).expect("readable").expect("is there").messages, [big(3, 1, 9 << 20)]);
}

#[test]
fn nothing_is_read_without_an_index() {
    let folder = folder();
    let _it = Bench::open(&folder);
    let conn = beside(&folder);
    let plan = |statement: &str| -> Vec<String> {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).expect("a statement");
        plan.raw_query().mapped(|row| row.get(3)).map(|line| line.expect("a line")).collect()
    };
    const OF_OWNER: &str = "SEARCH chat_session USING COVERING INDEX chat_session_of_owner (owner=?)";
    const BETWEEN: &str = "SEARCH chat_message USING INDEX sqlite_autoindex_chat_message_2 (session=? AND number>? AND number<?)";
    // With how often what is found is sorted: parts once more, when they are small.
    let mut plans = vec![
        (messages::newest_first(), BETWEEN, 0),
        (messages::oldest_first(), BETWEEN, 0),
        (messages::DECIDED.into(), "SEARCH chat_approval USING INDEX chat_approval_decided (session=? AND decided_at>?)", 1),
        (sweep::STREAMING.into(), "SCAN chat_message USING INDEX chat_message_streaming", 0),
        (sweep::EXPIRE.into(), "SCAN chat_approval USING INDEX chat_approval_pending", 0),
        (with_email(), "SEARCH lab_user USING INDEX lab_user_of_email (email=?)", 0),
    ];
    for status in [None, Some(Status::Active), Some(Status::Ended)] {
        plans.extend([(sessions::whole(status), OF_OWNER, 0), (sessions::part(status), OF_OWNER, 1)]);
    }
    for (statement, expected, sorts) in plans {
        let lines = plan(&statement);
        assert!(lines.iter().any(|line| line == expected), "{statement}: {lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.contains("TEMP B-TREE")).count(), sorts, "{statement}: {lines:#?}");
        let others = |line: &&String| line.starts_with("SCAN") && *line != "SCAN part" && *line != expected;
        assert_eq!(lines.iter().filter(others).count(), 0, "{statement}: {lines:#?}");
    }
}
