//! A school that moves from a folder into PostgreSQL: all of it is there, and it goes on as if nothing had been.

use super::{
    Channel, OnDisk, PATIENCE, Subject, chat, entering, everything, labs, leaving, quiz, row,
    server::{InPostgres, Server, server},
    tasks, ticket, where_postgres_is,
};
use crate::{
    models::talk::Attached,
    protocols::{
        chat::{model, record::SessionFilter},
        labs::{model::Progress, record::Change},
        quiz::{model::QuizId, record::Record},
        tasks::model::Status,
    },
    store::{Answer, CopyFault, Settings, SqliteStore, Store, copy, sqlite},
};
use std::{path::Path, sync::mpsc};

/// Keeps some of everything, and ends all but one session of a classroom.
fn furnish(it: &impl Subject) {
    let store = it.store();
    let done = |asked: Result<(), _>| {
        asked.expect("room");
        let answer = &it.answers(1)[0];
        let is_good = match answer {
            Answer::Entered(entered) => entered.result.is_ok(),
            Answer::Kept { result, .. } => result.is_ok(),
            Answer::LabsKept { result, .. } => result.is_ok(),
            Answer::ChatKept { result, .. } | Answer::TasksKept { result, .. } => result.is_ok(),
        };
        assert!(is_good, "{answer:?}");
    };
    it.visit("web.ada", 100, 200);
    it.visit("web.bob", 150, 250);
    it.session("web.zoe", 300);
    for owner in [quiz::ADA, "school.local/bob"] {
        done(store.keep(ticket(1), quiz::new_quiz(owner, "a\0b\u{1A}")));
    }
    for number in [1, 2] {
        done(store.keep(ticket(1), quiz::start(quiz::started(number, 1, quiz::ADA))));
        done(store.keep(ticket(1), quiz::answered(number, 10, 0, 5)));
        done(store.keep(ticket(1), quiz::answered(number, 10, 1, 7)));
        done(store.keep(ticket(1), quiz::answered(number, 11, 1, 6)));
    }
    done(store.keep(ticket(1), Record::Closed(quiz::closed(1, 0.5, 9))));
    done(store.keep(ticket(1), Record::Key(quiz::key(5, quiz::ADA))));
    done(store.keep_labs(ticket(1), labs::new_user(3, "ada")));
    let session = crate::protocols::labs::model::Session { tags: vec!["a".into(), "b".into()], ..labs::session(1) };
    let change = Change { agent: None, session: Some(session), command: Some(labs::command(9, 1, Progress::Sent)) };
    done(store.keep_labs(ticket(1), crate::protocols::labs::record::Record::Change(Box::new(change))));
    let file = Attached { name: "photo.png".into(), media_type: "image/png".into(), bytes: vec![0, 7, 255].into() };
    let said = model::Message { content: "nothing: \0".into(), attachments: vec![file], ..chat::message(1, 1) };
    done(store.keep_chat(ticket(1), Box::new(chat::change(chat::session(1), [said], [chat::approval(1, 4)]))));
    done(store.keep_tasks(ticket(1), tasks::of_task(tasks::task(1, Status::Completed))));
    done(store.keep_tasks(ticket(1), tasks::of_execution(tasks::execution(2, Status::InProgress))));
    store.flush(PATIENCE).expect("all on disk");
}

/// What every library tells.
fn told(store: &dyn Store) -> String {
    let page = crate::protocols::quiz::record::Page { offset: 0, limit: 50 };
    let mine = SessionFilter { owner: chat::id(7), ..SessionFilter::default() };
    let one = crate::protocols::chat::record::Page { page: 1, size: 9 };
    let of =
        |attempt| format!("{:?}{:?}", store.attempt(quiz::ADA, quiz::id(attempt)), store.flags(quiz::ADA, quiz::id(attempt)));
    format!(
        "{:?}\n{:?}\n{:?}{:?}\n{}{}\n{:?}{:?}\n{:?}{:?}\n{:?}{:?}",
        store.quiz(QuizId(1)),
        store.quizzes(quiz::ADA, None, page),
        store.keys(),
        store.results(quiz::ADA, QuizId(1), page),
        of(1),
        of(2),
        store.labs(),
        store.users(None, labs::ALL),
        store.load_session(chat::load(1)),
        store.chat_sessions(&mine, one),
        store.load_tasks(),
        store.task(tasks::id(1)),
    )
}

/// A folder with a school whose server was stopped, and what it told before.
fn school() -> (tempfile::TempDir, String) {
    let it = OnDisk::fresh(64);
    furnish(&it);
    let told = told(it.store());
    assert_eq!(it.store().stop(PATIENCE), Ok(()));
    (it.folder, told)
}

fn moved(server: &Server, folder: &Path, database: &str, rehearsal: bool) -> Result<u64, CopyFault> {
    copy(folder, &server.settings(database), rehearsal).map(|tables| tables.iter().map(|table| table.rows).sum())
}

fn rows(server: &Server, database: &str) -> Vec<String> {
    server.ask(database, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace")
}

#[test]
fn a_school_moves_with_everything_and_goes_on() {
    where_postgres_is(|| {
        let (server, (folder, before)) = (server().expect("asked before"), school());
        let database = server.empty_database();
        let counted = moved(server, folder.path(), &database, true).expect("a rehearsal");
        assert_eq!(rows(server, &database), ["0"], "all of it is undone");
        assert_eq!(moved(server, folder.path(), &database, false).expect("moved"), counted);
        let it = InPostgres::with(server.settings(&database), database.clone()).expect("a store");
        assert_eq!(told(&it.store), before);
        let present = everything(&it.store);
        assert_eq!(present[..2], [row("web.ada", 100, 200), row("web.bob", 150, 250)]);
        assert_eq!((present[2].agent_id.as_ref(), present[2].left.is_some(), present.len()), ("web.zoe", true, 3));
        // Numbers go on behind the highest, and every row is there to be changed.
        assert_eq!(it.session("web.eve", 900), 4);
        it.store.keep(ticket(1), quiz::new_quiz(quiz::ADA, "next")).expect("room");
        assert_eq!(it.answers(1).len(), 1);
        assert!(it.store().quiz(QuizId(3)).expect("readable").is_some(), "the third");
        let changes = [chat::message(1, 1), chat::message(1, 2)];
        it.store.keep_chat(ticket(1), Box::new(chat::change(None, changes, []))).expect("room");
        assert_eq!(chat::kept(it.answers(1)[0]), Ok(()));
        it.store.leave(leaving(4, 950));
        assert!(matches!(moved(server, folder.path(), &database, false), Err(CopyFault::Served { .. })));
        it.store.stop(PATIENCE).expect("all there");
        assert!(matches!(moved(server, folder.path(), &database, false), Err(CopyFault::Occupied { .. })));
    });
}

#[test]
fn a_school_that_is_served_or_not_there_does_not_move() {
    where_postgres_is(|| {
        let server = server().expect("asked before");
        let (database, it) = (server.empty_database(), OnDisk::fresh(8));
        let refused = moved(server, it.folder.path(), &database, false);
        assert!(matches!(refused, Err(CopyFault::Folder(sqlite::OpenFault::Served { .. }))), "{refused:?}");
        let nothing = tempfile::tempdir().expect("a folder");
        let refused = moved(server, nothing.path(), &database, false);
        assert!(matches!(refused, Err(CopyFault::Folder(sqlite::OpenFault::Missing { .. }))), "{refused:?}");
        assert_eq!(rows(server, &database), ["0"]);
    });
}

#[test]
fn a_folder_that_was_left_in_the_middle_moves_as_it_is() {
    where_postgres_is(|| {
        let server = server().expect("asked before");
        let (database, folder) = (server.empty_database(), tempfile::tempdir().expect("a folder"));
        {
            let (tell, answers) = mpsc::channel();
            let store = SqliteStore::open(Settings::new(folder.path()), Box::new(Channel(tell))).expect("a store");
            store.enter(ticket(1), entering("web.ada", 100)).expect("room");
            answers.recv_timeout(PATIENCE).expect("an answer");
            store.stop(PATIENCE).expect("on disk");
        }
        // Its server was last seen then, and what it wrote last is in the log.
        let file = rusqlite::Connection::open(folder.path().join("homeroom.db")).expect("the file");
        file.execute_batch("UPDATE replica SET seen_at = 700").expect("a row");
        assert!(moved(server, folder.path(), &database, false).expect("moved") > 0);
        let it = InPostgres::with(server.settings(&database), database.clone()).expect("a store");
        assert_eq!(everything(&it.store), [row("web.ada", 100, 700)]);
        let kept: u32 = file.query_row("SELECT count(*) FROM agent_session", [], |row| row.get(0)).expect("a count");
        assert_eq!(kept, 1, "the folder is only read");
    });
}
