//! What only a shared database has: several nodes, connections that end at the worst moment, tables of other versions.

use super::{Migrate, OpenFault, PostgresStore, Settings, migrate, migrations::STEPS};
use crate::{
    realtime::StoreFault,
    store::{
        Answer, Buried, Lease, LeaseFault, Library, Outcome, Roster, Store,
        tests::{
            PATIENCE, Subject, entered, entering, everything, leaving,
            quiz::{ADA, new_quiz},
            row,
            server::{InPostgres, Server, server},
            tasks, ticket,
        },
    },
};
use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

fn node(server: &Server, database: &str, name: &str) -> Settings {
    Settings { node: name.into(), lease: Duration::from_secs(1), ..server.settings(database) }
}

fn open(server: &Server, database: &str, name: &str) -> InPostgres {
    InPostgres::with(node(server, database, name), database.into()).expect("a store")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Makes a lease look as if its node had been silent for long, and this one settled.
fn silence(server: &Server, database: &str, dead: &str) {
    server.ask(database, &format!("UPDATE node SET lease_until = now() - interval '1 hour' WHERE name = '{dead}'"));
    server.ask(database, &format!("UPDATE node SET held_since = now() - interval '1 hour' WHERE name <> '{dead}'"));
}

#[test]
fn the_second_sign_in_ends_the_first_on_whichever_node() {
    let Some(server) = server() else { return };
    let database = server.database();
    let (one, other) = (open(server, &database, "one"), open(server, &database, "other"));
    let first = one.session("web.ada", 100);
    let second = other.session("web.ada", 300);
    assert!(second > first);
    one.store.leave(leaving(first, 999));
    one.store.flush(PATIENCE).expect("done");
    assert_eq!(everything(&one.store), [row("web.ada", 100, None)], "it ended as the next began");
    other.store.leave(leaving(second, 400));
    assert_eq!(other.told(), [row("web.ada", 100, 400)]);
}

#[test]
fn a_buried_node_writes_nothing_and_is_told() {
    let Some(server) = server() else { return };
    let database = server.database();
    // The second renews nothing by itself in this time.
    let one = InPostgres::with(Settings { lease: Duration::from_secs(600), ..node(server, &database, "one") }, database.clone());
    let other =
        InPostgres::with(Settings { lease: Duration::from_secs(600), ..node(server, &database, "other") }, database.clone());
    let (one, other) = (one.expect("a store"), other.expect("a store"));
    other.session("web.bob", 50);
    let dead = other.store.tenure().expect("held");
    assert_eq!(one.store.bury(dead), Err(LeaseFault::Alive));
    server.ask(&database, "UPDATE node SET lease_until = now() - interval '1 hour' WHERE name = 'other'");
    assert_eq!(one.store.bury(dead), Err(LeaseFault::Alive), "who has just come does not know who is dead");
    silence(server, &database, "other");
    let members = one.store.members().expect("readable");
    let alive: Vec<_> = members.iter().map(|member| (member.name.as_str(), member.is_alive)).collect();
    assert_eq!(alive, [("one", true), ("other", false)]);
    let Ok(Buried::Here(ended)) = one.store.bury(dead) else { panic!("its lease has run out") };
    assert_eq!(ended.iter().map(|ended| &*ended.agent_id).collect::<Vec<_>>(), ["web.bob"]);
    assert_eq!(one.store.bury(dead), Ok(Buried::Before));
    assert_eq!(other.enter(entering("web.ada", 100)), Err(StoreFault::Failed));
    assert_eq!(other.store.tenure(), None);
    assert_eq!(other.store.renew(), Err(LeaseFault::Lost));
    assert_eq!(other.store.health().outcome(), Outcome::Fault(StoreFault::Failed));
    assert!(everything(&one.store).iter().all(|row| row.agent_id == "web.bob" && row.left.is_some()));
    assert!(other.store.take().expect("a slot").epoch > dead.epoch);
    other.session("web.ada", 200);
}

#[test]
fn who_looks_seldom_reads_all_that_was_between() {
    let Some(server) = server() else { return };
    let database = server.database();
    let one = open(server, &database, "one");
    let before = one.store.roster().expect("readable");
    let other = open(server, &database, "other");
    let gone = other.store.tenure().expect("held");
    other.store.stop(PATIENCE).expect("all there");
    let _third = open(server, &database, "third");
    let now = one.store.roster().expect("readable");
    assert_eq!(now.number, before.number + 3);
    let tenures = |roster: &Roster| roster.seats.iter().map(|seat| seat.tenure).collect::<Vec<_>>();
    let between = one.store.rosters_between(before.number, now.number).expect("readable");
    let told: Vec<_> = between.iter().map(|roster| (roster.number - before.number, tenures(roster))).collect();
    let own = one.store.tenure().expect("held");
    assert_eq!(told, [(1, vec![own, gone]), (2, vec![own])]);
    assert_eq!(tenures(&now).len(), 2);
    assert_eq!(one.store.rosters_between(now.number - 1, now.number), Ok(Vec::new()), "nothing is between");
}

#[test]
fn a_start_ends_what_the_last_run_of_its_name_left() {
    let Some(server) = server() else { return };
    let database = server.database();
    let proxy = Proxy::new(server);
    let reached = Settings { node: "one".into(), lease: Duration::from_secs(1), ..proxy.settings(&database) };
    let one = InPostgres::with(reached, database.clone()).expect("a store");
    let other = open(server, &database, "other");
    one.session("web.ada", 100);
    other.session("web.bob", 100);
    let alive = PostgresStore::open(node(server, &database, "one"), Box::new(Deaf));
    assert!(matches!(alive, Err(OpenFault::Lease { fault: LeaseFault::Alive, .. })), "another of this name is alive");
    // As a process that dies: its connections end, without a word.
    let stale = one.store.tenure().expect("held");
    proxy.die();
    let again = PostgresStore::open(node(server, &database, "one"), Box::new(Deaf)).expect("the other is gone");
    assert!(again.tenure().expect("held").epoch > stale.epoch);
    let left: Vec<_> = everything(&again).into_iter().map(|row| (row.agent_id, row.left.is_some())).collect();
    assert_eq!(left, [("web.ada".to_owned(), true), ("web.bob".to_owned(), false)], "of this node only");
}

#[test]
fn the_next_process_of_a_node_goes_on_with_the_sessions_that_it_is_told_of() {
    let Some(server) = server() else { return };
    let database = server.database();
    // Long enough to show that nobody waits for its end.
    let settings = || Settings { lease: Duration::from_secs(600), ..node(server, &database, "one") };
    let former = InPostgres::with(settings(), database.clone()).expect("a store");
    let (stays, goes) = (former.session("web.ada", 100), former.session("web.bob", 100));
    let before = former.store.tenure().expect("held");
    former.store.leave_to_heir();
    former.store.stop(PATIENCE).expect("all there");
    assert_eq!(former.store.tenure(), None);
    let heir = |sessions: &[i64]| Settings { sessions: sessions.iter().copied().collect(), ..settings() };
    let next = InPostgres::with(heir(&[stays]), database.clone()).expect("a store");
    let tenure = next.store.tenure().expect("held");
    assert!(tenure.epoch > before.epoch, "what the former one may still write does not count");
    assert_eq!(next.store.members().expect("readable").len(), 1);
    let live = || next.store.live().expect("readable").iter().map(|live| live.session).collect::<Vec<_>>();
    assert_eq!(live(), [stays], "not {goes}");
    next.store.leave(leaving(stays, 400));
    assert!(next.told().contains(&row("web.ada", 100, 400)));
}

#[test]
fn whoever_wants_to_be_alone_waits_for_the_dead_and_is_told_of_the_living() {
    let Some(server) = server() else { return };
    let database = server.database();
    let proxy = Proxy::new(server);
    let reached = Settings { node: "dead".into(), lease: Duration::from_secs(1), ..proxy.settings(&database) };
    let dead = InPostgres::with(reached, database.clone()).expect("a store");
    let alone = || Settings { alone: true, ..node(server, &database, "alone") };
    let served = |node: &str| match PostgresStore::open(alone(), Box::new(Deaf)).err().expect("refused") {
        OpenFault::Served { node: alive, .. } => alive == node,
        fault => panic!("{fault}"),
    };
    assert!(served("dead"), "it lives");
    proxy.die();
    let it = PostgresStore::open(alone(), Box::new(Deaf)).expect("its lease runs out");
    drop(it);
    assert_eq!(server.ask(&database, "SELECT name FROM node"), ["dead"], "nobody else stays");
    let living = open(server, &database, "living");
    assert!(served("living"));
    drop((living, dead));
}

struct Deaf;

impl crate::store::Sink for Deaf {
    fn post(&self, _: &mut Vec<Answer>) {}
}

/// Stands between a store and the database. Ends the connection at the next commit, before or after the database has heard of it.
struct Proxy {
    folder: tempfile::TempDir,
    cut: Arc<AtomicBool>,
    passes: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<UnixStream>>>,
}

impl Proxy {
    fn new(server: &Server) -> Proxy {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let (cut, passes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let (dead, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let hangs = Arc::new(AtomicBool::new(false));
        let target = server.socket();
        let shared = (Arc::clone(&cut), Arc::clone(&passes), Arc::clone(&hangs));
        let (is_dead, known) = (Arc::clone(&dead), Arc::clone(&open));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok).take_while(|_| !is_dead.load(SeqCst)) {
                let Ok(server) = UnixStream::connect(&target) else { continue };
                let mut known = known.lock().unwrap();
                known.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let shared = shared.clone();
                thread::spawn(move || carry(client, server, (&shared.0, &shared.1, &shared.2)));
            }
        });
        Proxy { folder, cut, passes, dead, hangs, open }
    }

    /// All connections end, and none is made any more.
    fn die(&self) {
        self.dead.store(true, SeqCst);
        self.open.lock().unwrap().iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// All connections end, and the database does not notice; others can be made.
    fn hang(&self) {
        self.hangs.store(true, SeqCst);
        let open = self.open.lock().unwrap();
        // Each client stands before its server.
        open.iter().step_by(2).for_each(|client| drop(client.shutdown(Shutdown::Both)));
    }

    fn settings(&self, database: &str) -> Settings {
        let url = format!("postgres:///{database}?host={}&user=postgres", self.folder.path().display());
        Settings::new(&url, None).expect("an address")
    }

    /// The next commit is the connection's end; whether the database hears of it.
    fn cut(&self, passes: bool) {
        self.passes.store(passes, SeqCst);
        self.cut.store(true, SeqCst);
    }
}

fn carry(mut client: UnixStream, mut server: UnixStream, (cut, passes, hangs): (&AtomicBool, &AtomicBool, &AtomicBool)) {
    let (Ok(mut from), Ok(mut to)) = (server.try_clone(), client.try_clone()) else { return };
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut bytes = [0; 65_536];
    while let Ok(read) = client.read(&mut bytes)
        && read > 0
    {
        let is_commit = bytes[..read].windows(6).any(|word| word == b"COMMIT");
        if is_commit && cut.swap(false, SeqCst) {
            // Nothing comes back, so the client never hears of it.
            let _ = client.shutdown(Shutdown::Both);
            if passes.load(SeqCst) {
                let _ = server.write_all(&bytes[..read]);
            }
            break;
        }
        if server.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    if !hangs.load(SeqCst) {
        let _ = server.shutdown(Shutdown::Write);
    }
}

#[test]
fn a_commit_without_an_answer_is_found_out() {
    let Some(server) = server() else { return };
    let proxy = Proxy::new(server);
    let database = server.database();
    let it = InPostgres::with(proxy.settings(&database), database.clone()).expect("a store");
    it.session("web.first", 10);
    for (passes, agent_id) in [(true, "web.ada"), (false, "web.bob")] {
        proxy.cut(passes);
        it.session(agent_id, 100);
        let rows = server.ask(&database, &format!("SELECT count(*) FROM agent_session WHERE agent_id = '{agent_id}'"));
        assert_eq!(rows, ["1"], "told once, there once");
        let past = server.ask(&database, "SELECT count(*) FROM agent_session_history");
        assert_eq!(past, ["0"], "it was not begun twice");
    }
    assert_eq!(it.told().len(), 3);
}

#[test]
fn a_connection_that_ends_costs_no_answer() {
    let Some(server) = server() else { return };
    let database = server.database();
    let it = InPostgres::with(server.settings(&database), database.clone()).expect("a store");
    it.session("web.first", 10);
    it.store.quizzes(ADA, None, crate::protocols::quiz::record::Page { offset: 0, limit: 9 }).expect("readable");
    for round in 0..3 {
        let ours = format!("application_name LIKE 'homeroom%' AND datname = '{database}'");
        server.ask(&database, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"));
        it.session(&format!("web.{round}"), 100);
        assert_eq!(everything(&it.store).len(), round + 2, "a reader's connection that ended is made anew");
    }
    until("all is well again", || it.store.health().outcome() == Outcome::Done);
}

/// Who shows that this node is alive: the numbers of backends.
fn marked_by(server: &Server, database: &str, epoch: i64) -> Vec<String> {
    server.ask(database, &format!("SELECT pid FROM pg_locks WHERE granted AND {}", mark_of(epoch)))
}

/// The mark by which others see that a node lives, among all locks of the server.
fn mark_of(epoch: i64) -> String {
    let here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    format!("locktype = 'advisory' AND classid = {} AND objid = {epoch} AND {here}", super::keeper::ALIVE)
}

#[test]
fn a_node_that_connects_anew_is_seen_to_live_though_its_former_backend_has_noticed_nothing() {
    let Some(server) = server() else { return };
    let database = server.database();
    let proxy = Proxy::new(server);
    let it = InPostgres::with(proxy.settings(&database), database.clone()).expect("a store");
    it.session("web.first", 10);
    let epoch = it.store.tenure().expect("held").epoch;
    let former = marked_by(server, &database, epoch);
    assert_eq!(former.len(), 1);
    proxy.hang();
    it.session("web.second", 20);
    until("the next connection stands for it", || {
        let now = marked_by(server, &database, epoch);
        now.len() == 1 && now != former
    });
    until("it says so", || !it.store.health().unmarked.load(SeqCst));
    let rest = server.ask(&database, &format!("SELECT 1 FROM pg_stat_activity WHERE pid = {}", former[0]));
    assert_eq!(rest, [] as [&str; 0], "the former one is ended");
}

#[test]
fn a_node_for_which_another_connection_stands_says_so_until_it_has_its_mark_again() {
    let Some(server) = server() else { return };
    let database = server.database();
    let it = InPostgres::with(server.settings(&database), database.clone()).expect("a store");
    it.session("web.first", 10);
    let epoch = it.store.tenure().expect("held").epoch;
    let former = marked_by(server, &database, epoch);
    let alive = super::keeper::ALIVE;
    let other = format!("SELECT pg_advisory_lock({alive}, {epoch}); SELECT pg_sleep(600)");
    thread::scope(|scope| {
        // It has the mark as soon as the writer's connection ends, and as long as it is let.
        scope.spawn(|| server.try_ask(&database, &other).map_or_else(drop, drop));
        let waits = format!("SELECT 1 FROM pg_locks WHERE NOT granted AND {}", mark_of(epoch));
        until("it waits", || !server.ask(&database, &waits).is_empty());
        server.ask(&database, &format!("SELECT pg_terminate_backend({})", former[0]));
        until("the node says so", || it.store.health().unmarked.load(SeqCst));
        it.session("web.second", 20);
        assert!(it.store.health().unmarked.load(SeqCst), "what it writes holds all the same");
        let holder = marked_by(server, &database, epoch);
        server.ask(&database, &format!("SELECT pg_terminate_backend({})", holder[0]));
    });
    until("it stands for itself", || !it.store.health().unmarked.load(SeqCst));
    assert_eq!(marked_by(server, &database, epoch).len(), 1);
}

#[test]
fn without_a_database_questions_wait_out_their_time() {
    let Some(server) = server() else { return };
    let database = server.database();
    let settings = Settings { acquire_timeout: Duration::from_millis(300), ..server.settings(&database) };
    let it = InPostgres::with(settings, database.clone()).expect("a store");
    let first = it.session("web.first", 10);
    server.ask("postgres", &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false"));
    server.ask("postgres", &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"));
    it.store.leave(leaving(first, 20));
    assert_eq!(it.enter(entering("web.ada", 100)), Err(StoreFault::Busy));
    assert!(matches!(it.store.health().outcome(), Outcome::Fault(_)));
    assert!(it.store.quizzes(ADA, None, crate::protocols::quiz::record::Page { offset: 0, limit: 9 }).is_err());
    server.ask("postgres", &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true"));
    until("it is back", || it.store.health().outcome() == Outcome::Done);
    assert_eq!(it.told(), [row("web.first", 10, 20)], "the leave was kept");
}

#[test]
fn a_text_with_any_character_is_kept() {
    let Some(server) = server() else { return };
    let it = InPostgres::with(server.settings(&server.database()), String::new()).expect("a store");
    let owner = "school.local/a\0b\u{10FFFE}";
    it.store.keep(ticket(1), new_quiz(owner, "t\0t")).expect("room");
    it.answers(1);
    let listed = it.store.quizzes(owner, None, crate::protocols::quiz::record::Page { offset: 0, limit: 9 }).expect("readable");
    assert_eq!((listed.total, &*listed.items[0].quiz.rules.title), (1, "t\0t"));
}

#[test]
fn tables_of_another_version() {
    let Some(server) = server() else { return };
    let database = server.empty_database();
    let settings = || Settings { migrate: Migrate::Manual, ..server.settings(&database) };
    assert_eq!(migrate(&settings(), false).expect("readable").found, 0);
    drop(PostgresStore::open(settings(), Box::new(Deaf)).expect("without tables they are made"));
    assert_eq!(migrate(&settings(), true).expect("readable").found, STEPS.len() as i32);
    server.ask(&database, "INSERT INTO homeroom_version (version, reads_from, program) VALUES (900, 1, 'newer')");
    drop(PostgresStore::open(settings(), Box::new(Deaf)).expect("a newer program that this one can live with"));
    server.ask(&database, "UPDATE homeroom_version SET reads_from = 900 WHERE version = 900");
    let newer = PostgresStore::open(settings(), Box::new(Deaf)).err().expect("refused");
    assert!(matches!(newer, OpenFault::Newer { needed: 900, .. }), "{newer}");
    server.ask(&database, &format!("DELETE FROM homeroom_version WHERE version >= {}", STEPS.len()));
    let older = PostgresStore::open(settings(), Box::new(Deaf)).err().expect("refused");
    assert!(older.to_string().contains("homeroom migrate --apply"), "{older}");
}

#[test]
fn nothing_told_holds_a_password() {
    let Some(server) = server() else { return };
    let url = server.url("nowhere").replace("postgres:///", "postgres://:kR7hunter2@/");
    let Ok(settings) = Settings::new(&url, None) else { return };
    let fault = PostgresStore::open(settings, Box::new(Deaf)).err().expect("there is no such database");
    assert!(!format!("{fault} {fault:?}").contains("hunter2"), "{fault}");
}

#[test]
fn what_a_node_left_of_tasks_is_found_when_it_is_no_more() {
    let Some(server) = server() else { return };
    let database = server.database();
    let [one, other] = ["one", "other"].map(|name| open(server, &database, name));
    tasks::what_a_node_left_is_found_when_it_is_no_more(&one.store, &other.store, || other.store.release().expect("given back"));
}

/// Batches of answers and the like find their answers by tickets: of a session too.
#[test]
fn a_batch_of_many_is_answered_in_order() {
    let Some(server) = server() else { return };
    let it = InPostgres::with(server.settings(&server.database()), String::new()).expect("a store");
    for token in 0..3_000 {
        it.store.enter(ticket(token), entering(&format!("web.{}", token % 1_000), 5 + token as i64)).expect("room");
    }
    let answers = it.answers(3_000);
    let numbers: Vec<i64> = answers.iter().map(|&answer| entered(answer).result.expect("a row")).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    it.store.flush(PATIENCE).expect("done");
    assert_eq!(everything(&it.store).len(), 1_000);
}
