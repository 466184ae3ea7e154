//! What is SQLite's own: batches, the file, the folder, broken disks and killed processes.

use super::{
    super::{
        Answer, ChatLibrary, LabsLibrary, Library, Outcome, TasksLibrary,
        queue::Request,
        tests::{Channel, PATIENCE, chat, entered, entering, everything, labs, leaving, quiz, row, tasks, ticket},
    },
    *,
};
use crate::protocols::{labs::record::Kept as LabsKept, quiz::record::Kept, tasks::model::Status};
use std::{
    collections::BTreeSet,
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{atomic::Ordering::Relaxed, mpsc},
    thread,
    time::Instant,
};
use tempfile::TempDir;
use writer::MASS;

pub(super) struct Bench {
    pub(super) store: SqliteStore,
    pub(super) answers: mpsc::Receiver<Answer>,
}

impl Bench {
    pub(super) fn open(folder: &TempDir) -> Bench {
        Bench::with(Settings::new(folder.path()))
    }

    pub(super) fn with(settings: Settings) -> Bench {
        let (tell, answers) = mpsc::channel();
        Bench { store: SqliteStore::open(settings, Box::new(Channel(tell))).expect("a store"), answers }
    }

    fn ask(&self, agent_id: &str, at: i64) {
        self.store.enter(ticket(0), entering(agent_id, at)).expect("room");
    }

    fn answer(&self) -> Result<i64, StoreFault> {
        entered(self.answers.recv_timeout(PATIENCE).expect("an answer")).result
    }

    pub(super) fn enter(&self, agent_id: &str, at: i64) -> Result<i64, StoreFault> {
        self.ask(agent_id, at);
        self.answer()
    }

    /// On the store's own connection.
    pub(super) fn pragma(&self, pragma: String) {
        let (done, wait) = mpsc::channel();
        self.store.running.queue.push(Request::Chore(Box::new(move |conn| {
            conn.query_row(&format!("PRAGMA {pragma}"), [], |_| Ok(())).expect("a pragma with an answer");
            done.send(()).expect("waited for");
        })));
        wait.recv_timeout(PATIENCE).expect("done");
    }

    fn overdue(&self) -> u64 {
        self.store.health().overdue_leaves.load(Relaxed)
    }

    pub(super) fn told(&self) -> Vec<Attendance> {
        self.store.flush(PATIENCE).expect("on disk");
        everything(&self.store)
    }
}

pub(super) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(super) fn beside(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("homeroom.db")).expect("the file")
}

fn refusal(folder: &TempDir) -> OpenFault {
    let (tell, _) = mpsc::channel();
    SqliteStore::open(Settings::new(folder.path()), Box::new(Channel(tell))).err().expect("refused")
}

/// Lets a test hold the store's thread while it posts.
struct Gate {
    posted: mpsc::Sender<Vec<Answer>>,
    open: mpsc::Receiver<()>,
}

impl Sink for Gate {
    fn post(&self, answers: &mut Vec<Answer>) {
        let _ = self.posted.send(std::mem::take(answers));
        let _ = self.open.recv();
    }
}

/// A store whose thread stands in the post of the answer to `first`.
pub(super) fn held(settings: Settings) -> (SqliteStore, mpsc::Receiver<Vec<Answer>>, mpsc::Sender<()>) {
    let (posted, posts) = mpsc::channel();
    let (open, gate) = mpsc::channel();
    let store = SqliteStore::open(settings, Box::new(Gate { posted, open: gate })).expect("a store");
    store.enter(ticket(0), entering("first", 1)).expect("room");
    assert_eq!(posts.recv_timeout(PATIENCE).expect("a post").len(), 1);
    (store, posts, open)
}

#[test]
fn what_gathers_during_a_commit_is_one_batch() {
    let folder = folder();
    let (store, posts, open) = held(Settings::new(folder.path()));
    let before = store.health().commits.load(Relaxed);
    for token in 0..300 {
        store.enter(ticket(token), entering(&format!("web.{token}"), 2)).expect("room");
    }
    store.leave(leaving(1, 3));
    drop(open);
    let post = posts.recv_timeout(PATIENCE).expect("a post");
    assert_eq!(post.iter().map(|answer| answer.ticket().token).collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
    assert_eq!(store.health().commits.load(Relaxed), before + 1);
    assert_eq!(store.health().batch_size.load(Relaxed), 301);
    assert!(store.health().batch_micros.load(Relaxed) > 0);
    assert_eq!(store.health().outcome(), Outcome::Done);
}

#[test]
fn after_a_mass_the_next_sign_ins_gather_until_something_else_is_asked() {
    let folder = folder();
    let gather = Duration::from_secs(86_400);
    let (store, posts, open) = held(Settings { gather, ..Settings::new(folder.path()) });
    let enter = |n: i64| store.enter(ticket(0), entering(&format!("web.{n}"), 10)).expect("room");
    (0..MASS as i64).for_each(enter);
    open.send(()).expect("held");
    assert_eq!(posts.recv_timeout(PATIENCE).expect("a post").len(), MASS);
    drop(open);
    let before = store.health().commits.load(Relaxed);
    (100..103).for_each(|n| {
        enter(n);
        store.leave(leaving(n - 98, 20));
    });
    store.flush(PATIENCE).expect("who flushes does not wait");
    assert_eq!(posts.recv_timeout(PATIENCE).expect("a post").len(), 3);
    assert_eq!(store.health().commits.load(Relaxed), before + 1, "all in one");
    enter(104);
    assert_eq!(posts.recv_timeout(PATIENCE).expect("few do not wait").len(), 1);
}

#[test]
fn who_comes_for_the_first_time_is_known_the_next_time() {
    let folder = folder();
    let it = Bench::open(&folder);
    for (at, agent_id) in [(1, "web.a"), (2, "web.b"), (3, "web.c"), (4, "web.b"), (5, "web.d"), (6, "web.a")] {
        assert_eq!(it.enter(agent_id, at), Ok(at), "{agent_id}");
    }
    (3..=6).for_each(|session| it.store.leave(leaving(session, 10)));
    assert_eq!(it.told(), [row("web.a", 1, 10), row("web.b", 2, 10), row("web.c", 3, 10), row("web.d", 5, 10)]);
}

/// `sessions` agents are in the room, and all leave at once while the store's thread is held.
fn mass_leave(folder: &TempDir, sessions: i64) -> (SqliteStore, mpsc::Receiver<Vec<Answer>>, mpsc::Sender<()>) {
    let (store, posts, open) = held(Settings::new(folder.path()));
    (1..sessions).for_each(|n| store.enter(ticket(0), entering(&format!("web.{n}"), 10)).expect("room"));
    let mut answered = 1;
    while answered < sessions {
        open.send(()).expect("held");
        answered += posts.recv_timeout(PATIENCE).expect("a post").len() as i64;
    }
    (1..=sessions).for_each(|session| store.leave(leaving(session, 20)));
    (store, posts, open)
}

#[test]
fn an_enter_does_not_wait_for_a_mass_of_leaves() {
    const SESSIONS: i64 = 15_000;
    let folder = folder();
    let (store, posts, open) = mass_leave(&folder, SESSIONS);
    store.enter(ticket(7), entering("late", 30)).expect("room");
    open.send(()).expect("held");
    assert_eq!(posts.recv_timeout(PATIENCE).expect("a post")[0].ticket(), ticket(7));
    let ended = || -> i64 {
        beside(&folder).query_row("SELECT count(*) FROM agent_session_history", [], |row| row.get(0)).expect("a count")
    };
    assert!(ended() < SESSIONS / 10, "{} leaves were written before the enter was answered", ended());
    drop(open);
    assert_eq!(store.flush(PATIENCE), Ok(()));
    assert_eq!(ended(), SESSIONS, "a flush waits for all of them");
    assert_eq!(everything(&store).last(), Some(&row("web.9999", 10, 20)));
}

#[test]
fn who_comes_back_before_the_leave_is_written_has_left_when_he_left() {
    const SESSIONS: i64 = 5_000;
    let folder = folder();
    let (store, _posts, open) = mass_leave(&folder, SESSIONS);
    (1..SESSIONS).for_each(|n| store.enter(ticket(0), entering(&format!("web.{n}"), 30)).expect("room"));
    // Asked after the enter that ends the session, so it is of no session any more.
    store.enter(ticket(0), entering("web.1", 40)).expect("room");
    store.leave(leaving(SESSIONS + 1, 99));
    drop(open);
    assert_eq!(store.flush(PATIENCE), Ok(()));
    let told = everything(&store);
    assert_eq!(told.iter().filter(|it| it.left == Some(UnixMicros(20))).count(), SESSIONS as usize);
    assert_eq!(told.iter().filter(|it| it.left.is_none()).count(), SESSIONS as usize - 1);
    assert!(told.contains(&row("web.1", 30, None)) && told.contains(&row("web.2", 10, 20)));
}

#[test]
fn an_answer_comes_after_the_row_is_on_disk() {
    let folder = folder();
    let (store, _posts, open) = held(Settings::new(folder.path()));
    assert_eq!(everything(&store), [row("first", 1, None)], "read by another connection while the answer is being posted");
    drop(open);
}

#[test]
fn a_full_queue_refuses_enters_and_never_leaves() {
    let folder = folder();
    let (store, _posts, open) = held(Settings { queue: 2, ..Settings::new(folder.path()) });
    assert_eq!(store.enter(ticket(1), entering("a", 2)), Ok(()));
    assert_eq!(store.enter(ticket(2), entering("b", 2)), Ok(()));
    assert_eq!(store.enter(ticket(3), entering("c", 2)), Err(StoreFault::Busy));
    assert_eq!(store.health().queued.load(Relaxed), 2);
    store.leave(leaving(1, 9));
    drop(open);
    assert_eq!(store.flush(PATIENCE), Ok(()));
    assert_eq!(everything(&store), [row("a", 2, None), row("b", 2, None), row("first", 1, 9)]);
    assert_eq!(store.enter(ticket(4), entering("c", 3)), Ok(()));
}

#[test]
fn who_waited_too_long_is_answered_and_has_no_row() {
    let folder = folder();
    let it = Bench::with(Settings { acquire_timeout: Duration::ZERO, ..Settings::new(folder.path()) });
    assert_eq!(it.enter("late", 1), Err(StoreFault::Busy));
    assert_eq!(it.told(), []);
    assert_eq!(it.store.health().expired.load(Relaxed), 1);
    assert_eq!(it.store.health().queued.load(Relaxed), 0);
}

#[test]
fn the_next_start_ends_what_was_left_behind() {
    let folder = folder();
    let before = writer::wall();
    let far = before.0 * 2;
    {
        let it = Bench::open(&folder);
        assert_eq!(it.enter("early", 100), Ok(1));
        assert_eq!(it.enter("in-the-future", far), Ok(2));
        assert_eq!(it.enter("gone", 100), Ok(3));
        it.store.leave(leaving(3, 200));
    }
    let after = writer::wall();
    // Another name for this replica: the folder is served by one process all the same.
    let it = Bench::with(Settings { replica: "renamed".into(), ..Settings::new(folder.path()) });
    let told = it.told();
    assert_eq!(told[1..], [row("gone", 100, 200), row("in-the-future", far, far)]);
    let seen = told[0].left.expect("ended");
    assert!(before <= seen && seen <= after, "ended when this replica was last seen");
    assert_eq!(it.enter("early", 300), Ok(4), "numbers go on, under whatever name");
}

#[test]
fn numbers_are_not_used_again_when_the_last_are_gone() {
    let folder = folder();
    for round in 0..3 {
        let it = Bench::open(&folder);
        let session = it.enter("web.ada", 10).expect("a row");
        assert_eq!(session, round + 1);
        it.store.leave(leaving(session, 20));
        assert_eq!(it.told(), [row("web.ada", 10, 20)], "and the joined interval has the first's number");
    }
}

#[test]
fn a_newer_file_is_refused() {
    let folder = folder();
    drop(Bench::open(&folder));
    beside(&folder).pragma_update(None, "user_version", 99).expect("a version");
    let fault = refusal(&folder);
    assert!(matches!(fault, OpenFault::Newer { found: 99, known, .. } if known == schema::STEPS.len() as i64));
    assert!(fault.to_string().contains("homeroom.db") && fault.to_string().contains("version 99"), "{fault}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = folder();
    std::fs::write(folder.path().join("homeroom.db"), [7_u8; 4096]).expect("a file");
    assert!(matches!(refusal(&folder), OpenFault::Database { .. }));
}

#[test]
fn a_served_folder_is_refused_and_free_afterwards() {
    let folder = folder();
    let it = Bench::open(&folder);
    let fault = refusal(&folder);
    assert!(matches!(fault, OpenFault::Served { pid: Some(pid), .. } if pid == std::process::id()), "{fault}");
    assert!(fault.to_string().contains(&*folder.path().to_string_lossy()), "{fault}");
    drop(it);
    drop(Bench::open(&folder));
}

#[test]
fn enters_wait_for_a_foreign_lock_as_long_as_they_may() {
    let folder = folder();
    let it = Bench::open(&folder);
    let other = beside(&folder);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    it.ask("web.ada", 10);
    it.ask("web.ada", 20);
    it.ask("web.bob", 30);
    let begun = Instant::now();
    while it.store.health().failures.load(Relaxed) < 3 && begun.elapsed() < PATIENCE {
        thread::yield_now();
    }
    assert_eq!(it.answers.try_recv().err(), Some(mpsc::TryRecvError::Empty), "their time is not over");
    assert_eq!(it.store.flush(Duration::from_millis(1)), Err(StoreFault::Busy));
    other.execute_batch("ROLLBACK").expect("given up");
    let sessions: Vec<_> = (0..3).map(|_| it.answer().expect("a row")).collect();
    assert!(sessions.is_sorted(), "in the order in which they were asked: {sessions:?}");
    assert_eq!(it.told(), [row("web.ada", 10, None), row("web.bob", 30, None)], "the first stay and the second are one");
}

#[test]
fn a_stop_does_not_wait_for_a_foreign_lock() {
    let folder = folder();
    let it = Bench::open(&folder);
    let other = beside(&folder);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    it.ask("web.ada", 10);
    // It is held until this ends.
    assert_eq!(it.store.stop(Duration::from_secs(1)), Err(StoreFault::Busy));
    assert_eq!(it.answer(), Err(StoreFault::Busy));
}

#[test]
fn a_foreign_lock_is_busy_and_leaves_wait_it_out() {
    let folder = folder();
    let it = Bench::with(Settings { acquire_timeout: Duration::from_millis(100), ..Settings::new(folder.path()) });
    let session = it.enter("web.ada", 10).expect("a row");
    let other = beside(&folder);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    it.store.leave(leaving(session, 20));
    assert_eq!(it.enter("web.bob", 30), Err(StoreFault::Busy));
    assert_eq!(it.store.health().outcome(), Outcome::Fault(StoreFault::Busy));
    assert_eq!(it.store.flush(Duration::from_millis(1)), Err(StoreFault::Busy));
    assert_eq!(everything(&it.store), [row("web.ada", 10, None)], "reads go on");
    other.execute_batch("ROLLBACK").expect("given up");
    assert_eq!(it.told(), [row("web.ada", 10, 20)]);
    // At the next heartbeat, where this machine stood still in that commit.
    let begun = Instant::now();
    while it.store.health().outcome() != Outcome::Done {
        assert!(begun.elapsed() < PATIENCE, "all is well again");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_full_disk_fails_enters_keeps_leaves_and_passes() {
    const SESSIONS: i64 = 4_000;
    let folder = folder();
    let it = Bench::open(&folder);
    (0..SESSIONS).for_each(|n| it.ask(&format!("web.{n}"), 10));
    assert!((0..SESSIONS).all(|_| it.answer().is_ok()));
    it.pragma("max_page_count = 1".into()); // SQLite takes the present size for it.
    let full = (0..1_000).find_map(|n| it.enter(&format!("{n}.{}", "x".repeat(1_000)), 10).err());
    assert_eq!(full, Some(StoreFault::Failed));
    // Some here and there: their history needs pages, and no page falls free.
    (1..=SESSIONS).step_by(4).for_each(|session| it.store.leave(leaving(session, 20)));
    assert_eq!(it.store.flush(Duration::from_millis(100)), Err(StoreFault::Busy));
    assert_eq!(it.overdue(), SESSIONS as u64 / 4);
    assert_eq!(it.store.health().outcome(), Outcome::Fault(StoreFault::Failed));
    it.pragma("max_page_count = 1000000".into());
    // Its leave has waited, or still does: either way it ended when it did.
    let again = it.enter("web.0", 500).expect("a row");
    let told = it.told();
    assert!(again > SESSIONS);
    assert_eq!(it.overdue(), 0);
    assert_eq!(told.iter().filter(|row| row.left == Some(UnixMicros(20))).count(), SESSIONS as usize / 4);
    assert!(told.contains(&row("web.0", 10, 20)) && told.contains(&row("web.0", 500, None)));
}

/// Tickets of answers in the storm are so much higher than their questions.
const STORM_ANSWERS: u64 = 1 << 32;

/// And those of records of labs.
const STORM_LABS: u64 = 2 << 32;

/// And those of changes of chat.
const STORM_CHAT: u64 = 3 << 32;

/// And those of records of tasks.
const STORM_TASKS: u64 = 4 << 32;

/// Where the storm of the test below rages, in a process of its own. By itself it is no test.
const STORM: &str = "HOMEROOM_TEST_STORM";

#[test]
fn storm() {
    struct Printer(mpsc::Sender<i64>);
    impl Sink for Printer {
        fn post(&self, answers: &mut Vec<Answer>) {
            let mut out = io::stdout().lock();
            for answer in answers.drain(..) {
                writeln!(out, "\nacknowledged {}", answer.ticket().token).expect("a reader");
                match answer {
                    Answer::Entered(entered) => drop(self.0.send(entered.result.expect("a row"))),
                    Answer::Kept { result, .. } => assert_ne!(result, Ok(Kept::Missing)),
                    Answer::LabsKept { result, .. } => assert_eq!(result, Ok(LabsKept::Done)),
                    Answer::ChatKept { result, .. } | Answer::TasksKept { result, .. } => assert_eq!(result, Ok(())),
                }
            }
            out.flush().expect("a reader");
        }
    }
    let Some(folder) = env::var_os(STORM) else { return };
    let (tell, sessions) = mpsc::channel();
    let store = SqliteStore::open(Settings::new(folder), Box::new(Printer(tell))).expect("a store");
    store.keep(ticket(0), quiz::new_quiz(quiz::ADA, "storm")).expect("room");
    store.keep(ticket(0), quiz::start(quiz::started(0, 1, quiz::ADA))).expect("room");
    for token in 0.. {
        // Refused for a moment when the disk is slower than this loop.
        let _ = store.enter(ticket(token), entering(&token.to_string(), token as i64));
        let _ = store.keep(ticket(STORM_ANSWERS + token), quiz::answered(0, token.into(), 1, token as i64));
        let _ = store.keep_labs(ticket(STORM_LABS + token), labs::of_session(labs::session(token.into())));
        let said = chat::change(chat::session(token.into()), [chat::message(token.into(), 1)], []);
        let _ = store.keep_chat(ticket(STORM_CHAT + token), Box::new(said));
        let task = tasks::of_task(tasks::task(token.into(), Status::Pending));
        let _ = store.keep_tasks(ticket(STORM_TASKS + token), task);
        if token % 64 == 0 {
            sessions
                .recv()
                .into_iter()
                .chain(sessions.try_iter())
                .for_each(|session| store.leave(leaving(session, i64::MAX / 2)));
        }
    }
}

fn raise_storm(folder: &TempDir) -> Child {
    let mut child = Command::new(env::current_exe().expect("this binary"));
    child.args(["store::sqlite::tests::storm", "--exact", "--nocapture"]).env(STORM, folder.path());
    child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("a process")
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let folder = folder();
    let mut storm = raise_storm(&folder);
    let lines = BufReader::new(storm.stdout.take().expect("piped")).lines();
    let mut tokens = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
    // What was made before the storm has ticket 0 too: a thousand lines may be fewer tickets.
    let mut acknowledged = BTreeSet::new();
    while acknowledged.len() < 1_000 {
        acknowledged.insert(tokens.next().expect("the storm goes on"));
    }
    let fault = refusal(&folder);
    assert!(matches!(fault, OpenFault::Served { pid: Some(pid), .. } if pid == storm.id()), "{fault}");
    storm.kill().expect("killed");
    storm.wait().expect("ended");
    acknowledged.extend(tokens);
    let it = Bench::open(&folder);
    let told = it.told();
    assert!(told.iter().all(|row| row.left.is_some()), "what was live has ended");
    let mut kept: BTreeSet<u64> = told.iter().filter_map(|row| row.agent_id.parse().ok()).collect();
    let (_, answers) = it.store.attempt(quiz::ADA, quiz::id(0)).expect("readable").expect("is there");
    kept.extend(answers.iter().map(|answer| STORM_ANSWERS + answer.question.as_u128() as u64));
    let sessions = it.store.labs().expect("readable").sessions;
    kept.extend(sessions.iter().map(|session| STORM_LABS + session.id.as_u128() as u64));
    let chats: Vec<u64> = acknowledged.range(STORM_CHAT..STORM_TASKS).map(|token| token - STORM_CHAT).collect();
    for &chat in &chats {
        let loaded = it.store.load_session(chat::load(chat.into())).expect("readable").expect("is there");
        assert_eq!(loaded.messages, [chat::message(chat.into(), 1)]);
        kept.insert(STORM_CHAT + chat);
    }
    let tasks = it.store.load_tasks().expect("readable").tasks;
    kept.extend(tasks.iter().map(|task| STORM_TASKS + task.id.as_u128() as u64));
    assert!(
        acknowledged.len() >= 1_000 && acknowledged.is_subset(&kept),
        "{} acknowledged, {} kept",
        acknowledged.len(),
        kept.len()
    );
    let enters = acknowledged.iter().filter(|token| **token < STORM_ANSWERS).count();
    let bounds = [0, STORM_ANSWERS, STORM_LABS, STORM_CHAT, STORM_TASKS, u64::MAX];
    let all_kinds = bounds.windows(2).all(|bounds| acknowledged.range(bounds[0]..bounds[1]).next().is_some());
    assert!(all_kinds, "all kinds were acknowledged");
    assert!(it.enter("after", 1).expect("a row") > enters as i64);
    let check: String = beside(&folder).query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("readable");
    assert_eq!(check, "ok");
}
