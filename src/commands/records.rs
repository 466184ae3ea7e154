//! The records, for commands that look into them or change them: asked of the server that runs, or opened here where none does.

use super::{Failure, flags::SettingFlags, server::Server};
use crate::{
    config::{Database, DatabaseUrl, Settings},
    house,
    protocols::{labs, quiz},
    realtime::{ShardId, StoreFault},
    services::passwords,
    store::{Answer, PostgresStore, Sink, SqliteStore, Store, Ticket, postgres, sqlite},
};
use std::{fs, path::Path, sync::mpsc, time::Duration};

/// For one record to reach the disk, and for the store to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is said where there were no records: the settings may be another server's than the one that is meant.
const OTHERS: &str = "a server with other settings has others (--config, --data-dir, --database, --internal)";
/// Where nobody but operators may.
pub(super) const OPERATORS_ONLY: &str =
    "the server lets operators alone do this: show a token (--token-file; `homeroom token labs` makes one of an admin)";
/// The one who asks.
const HERE: Ticket = Ticket { shard: ShardId(0), token: 0 };

/// Who has the records.
pub(super) enum Holder {
    /// Asked over its internal listener.
    Server(Server),
    /// Opened by this process.
    Here(Box<Records>),
}

/// The store, with the way on which its answers come.
pub(super) struct Records {
    pub(super) store: Box<dyn Store>,
    answers: mpsc::Receiver<Answer>,
}

struct ToHere(mpsc::Sender<Answer>);

impl Sink for ToHere {
    fn post(&self, answers: &mut Vec<Answer>) {
        for answer in answers.drain(..) {
            // One who no longer listens has been told that it took too long.
            let _ = self.0.send(answer);
        }
    }
}

impl Holder {
    /// Where `internal` says, or where the settings say. Where no records are and none are to be made (`makes`), that is a failure.
    pub(super) fn of(internal: Option<&str>, flags: &SettingFlags, makes: bool) -> Result<Holder, Failure> {
        match internal {
            Some(url) => Ok(Holder::Server(Server::at(url))),
            None => Holder::configured(&flags.load_process()?.settings, makes),
        }
    }

    /// The same, who is shown the token in this file where he is a server that asks for one.
    pub(super) fn shown(self, token_file: Option<&Path>) -> Result<Holder, Failure> {
        match (self, token_file) {
            (Holder::Server(server), Some(file)) => {
                let text = fs::read_to_string(file);
                let text = text.map_err(|error| Failure::Usage(format!("--token-file: {}: {error}", file.display())))?;
                server.with_token(text.trim()).map(Holder::Server)
            }
            (holder, _) => Ok(holder),
        }
    }

    /// Where the settings say.
    pub(super) fn configured(settings: &Settings, makes: bool) -> Result<Holder, Failure> {
        match &settings.database {
            Database::Sqlite => Holder::of_folder(settings, makes),
            Database::Postgres(url) => Holder::of_database(settings, url, makes),
        }
    }

    fn of_folder(settings: &Settings, makes: bool) -> Result<Holder, Failure> {
        let is_there = settings.data_dir.join("homeroom.db").exists();
        is_wanted(is_there, makes, &settings.data_dir.display().to_string())?;
        let (sender, answers) = mpsc::channel();
        match SqliteStore::open(sqlite::Settings::new(&settings.data_dir), Box::new(ToHere(sender))) {
            Ok(store) => Ok(Holder::Here(Box::new(Records { store: Box::new(store), answers }))),
            Err(sqlite::OpenFault::Served { .. }) => Server::configured(settings).map(Holder::Server),
            Err(fault) => Err(Failure::Failed(fault.to_string())),
        }
    }

    /// While any node serves, the records are changed by a node alone: the others hear of it from that one.
    fn of_database(settings: &Settings, url: &DatabaseUrl, makes: bool) -> Result<Holder, Failure> {
        let failed = |fault: postgres::OpenFault| Failure::Failed(fault.to_string());
        let mut database = house::database(settings, url).map_err(failed)?;
        database.alone = true;
        let versions = postgres::migrate(&database, false).map_err(failed)?;
        is_wanted(versions.found > 0, makes, &database.place())?;
        let node = database.node.clone();
        let (sender, answers) = mpsc::channel();
        match PostgresStore::open(database, Box::new(ToHere(sender))) {
            Ok(store) => Ok(Holder::Here(Box::new(Records { store: Box::new(store), answers }))),
            Err(postgres::OpenFault::Served { node: alive, .. }) if alive == node => {
                Server::configured(settings).map(Holder::Server)
            }
            Err(fault) => Err(failed(fault)),
        }
    }
}

fn is_wanted(is_there: bool, makes: bool, place: &str) -> Result<(), Failure> {
    match (is_there, makes) {
        (true, _) => Ok(()),
        (false, true) => {
            eprintln!("new records, in {place}: {OTHERS}");
            Ok(())
        }
        (false, false) => {
            let message = format!("no records are in {place} yet: the first start, or `user add`, makes them; {OTHERS}");
            Err(Failure::Failed(message))
        }
    }
}

/// What the store's fault means to whoever typed the command.
pub(super) fn of_store(fault: StoreFault) -> Failure {
    Failure::Failed(match fault {
        StoreFault::Busy => "another process holds the records: try again".to_owned(),
        StoreFault::Failed => "the records cannot be read or written: is the disk full?".to_owned(),
    })
}

impl Records {
    /// Has a record of labs written, and waits until it is on disk.
    pub(super) fn keep_labs(&self, record: labs::record::Record) -> Result<labs::record::Kept, Failure> {
        self.store.keep_labs(HERE, record).map_err(of_store)?;
        match self.answers.recv_timeout(PATIENCE) {
            Ok(Answer::LabsKept { result, .. }) => result.map_err(of_store),
            Ok(Answer::Entered(_) | Answer::Kept { .. } | Answer::ChatKept { .. } | Answer::TasksKept { .. }) | Err(_) => {
                Err(of_store(StoreFault::Busy))
            }
        }
    }

    /// Has a record of quizzes written, and waits until it is on disk.
    pub(super) fn keep(&self, record: quiz::record::Record) -> Result<quiz::record::Kept, Failure> {
        self.store.keep(HERE, record).map_err(of_store)?;
        match self.answers.recv_timeout(PATIENCE) {
            Ok(Answer::Kept { result, .. }) => result.map_err(of_store),
            Ok(Answer::Entered(_) | Answer::LabsKept { .. } | Answer::ChatKept { .. } | Answer::TasksKept { .. }) | Err(_) => {
                Err(of_store(StoreFault::Busy))
            }
        }
    }
}

/// As it is kept.
pub(super) fn hash(password: &str) -> Result<String, Failure> {
    passwords::hash(password).map_err(|fault| Failure::Failed(fault.to_string()))
}
