//! The store on SQLite: one folder, one file, one writer thread, group commit. What was acknowledged is on disk.

mod chat;
mod columns;
mod fault;
mod history;
mod labs;
mod lease;
mod lock;
mod quiz;
mod reader;
mod rows;
mod schema;
mod source;
mod stale;
mod tasks;
#[cfg(test)]
mod tests;
mod whole;
mod writer;

pub use fault::OpenFault;
pub(super) use source::Source;

use super::{
    Health, Lease, Sink, Store, Ticket,
    queue::{Question, Queue},
    running::{Begun, Running},
};
use crate::{
    protocols::{
        chat::record::{Change, Sweep},
        labs::{
            model::Template,
            record::{Login, Record as LabsRecord},
        },
        presence::record::{Attendance, Entering, Leaving, StoreFault},
        quiz::record::Record,
        tasks::record::Record as TaskRecord,
    },
    realtime::{ClassroomId, UnixMicros},
};
use fault::blame;
use lock::FolderLock;
use quiz::Records;
use reader::Readers;
use rows::Rows;
use rusqlite::Connection;
use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};
use writer::{Waits, Writer};

/// How long whoever seeds or sweeps waits for the store's thread, or for another process.
const START_WAIT: Duration = Duration::from_secs(5);

/// What a SQLite store needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The data folder; made where it is missing, only for its owner. Holds `homeroom.db` and `lock`.
    pub folder: PathBuf,
    /// This process among those that may write to the same records: its sessions are ended under this name at the next start.
    pub replica: String,
    /// Where the others reach this replica.
    pub address: Option<String>,
    /// Enters and records that may wait; those beyond are refused as `Busy`.
    pub queue: usize,
    /// What waited longer is answered `Busy` and leaves no row.
    pub acquire_timeout: Duration,
    /// After a commit of a mass of sign-ins the next sign-ins wait so long for others to be written with them; with anything else in
    /// the queue nothing waits.
    pub gather: Duration,
    /// The numbers of sessions that another process has had, and that go on.
    pub sessions: BTreeSet<i64>,
}

impl Settings {
    /// The defaults in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Settings {
        Settings {
            folder: folder.into(),
            replica: "homeroom".into(),
            address: None,
            queue: 65_536,
            acquire_timeout: Duration::from_secs(5),
            gather: Duration::from_millis(3),
            sessions: BTreeSet::new(),
        }
    }
}

/// The records in a SQLite file.
pub struct SqliteStore {
    running: Running,
    readers: Readers,
    file: PathBuf,
    /// What the only node is called.
    name: String,
    // Declared last: given up after the thread has ended.
    lock: Arc<FolderLock>,
}

impl SqliteStore {
    /// Locks the folder, opens the file, brings its tables up to date, ends the sessions that the last run left behind and starts the
    /// thread named `store`. Answers go to `sink`, on that thread.
    ///
    /// # Errors
    /// [`OpenFault`], in words for whoever started the server.
    pub fn open(settings: Settings, sink: Box<dyn Sink>) -> Result<SqliteStore, OpenFault> {
        let lock = Arc::new(FolderLock::take(&settings.folder)?);
        let name = settings.replica.clone();
        let file = settings.folder.join("homeroom.db");
        let mut conn = schema::open(&file)?;
        let fault = |source| OpenFault::Database { file: file.clone(), source };
        let replica =
            stale::sign_on(&mut conn, &settings.replica, settings.address.as_deref(), &settings.sessions).map_err(fault)?;
        let queue = Arc::new(Queue::new(settings.queue));
        let body = {
            let (queue, lock, file) = (Arc::clone(&queue), Arc::clone(&lock), file.clone());
            let waits = Waits { acquire_timeout: settings.acquire_timeout, gather: settings.gather };
            move |begun: &Begun<(), OpenFault>| {
                serve(&conn, replica, queue, sink, waits, |result| {
                    // The opener waits for this word; it cannot be gone.
                    drop(begun.send(result.map_err(|source| OpenFault::Database { file, source })));
                });
                drop((conn, lock));
            }
        };
        let (running, ()) = Running::begin(queue, OpenFault::Thread, body)?;
        Ok(SqliteStore { running, readers: Readers::new(file.clone()), file, name, lock })
    }

    /// Writes beside the store's thread, which has little to do when a server starts: all of it or nothing.
    fn beside<T>(&self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreFault> {
        if self.running.queue.is_stopping() {
            return Err(StoreFault::Busy);
        }
        schema::write_beside(&self.file, START_WAIT, write).map_err(|error| {
            tracing::debug!(%error, "what a start writes cannot be written");
            blame(&error)
        })
    }
}

fn serve(
    conn: &Connection,
    replica: stale::Replica,
    queue: Arc<Queue>,
    sink: Box<dyn Sink>,
    waits: Waits,
    begun: impl FnOnce(rusqlite::Result<()>),
) {
    let prepared = Rows::prepare(conn, replica.id, replica.last_session).and_then(|rows| Ok((rows, Records::prepare(conn)?)));
    match prepared {
        Ok((rows, records)) => {
            begun(Ok(()));
            Writer::new(conn, rows, records, queue, sink, waits).run();
        }
        Err(error) => begun(Err(error)),
    }
}

impl Store for SqliteStore {
    fn enter(&self, ticket: Ticket, entering: Entering) -> Result<(), StoreFault> {
        self.running.queue.ask(ticket, Question::Enter(entering))
    }

    fn keep(&self, ticket: Ticket, record: Record) -> Result<(), StoreFault> {
        self.running.queue.ask(ticket, Question::Keep(record))
    }

    fn keep_labs(&self, ticket: Ticket, record: LabsRecord) -> Result<(), StoreFault> {
        self.running.queue.ask(ticket, Question::KeepLabs(record))
    }

    fn keep_chat(&self, ticket: Ticket, change: Box<Change>) -> Result<(), StoreFault> {
        self.running.queue.ask(ticket, Question::KeepChat(change))
    }

    fn keep_tasks(&self, ticket: Ticket, record: TaskRecord) -> Result<(), StoreFault> {
        self.running.queue.ask(ticket, Question::KeepTasks(record))
    }

    fn sweep_chat(&self, sweep: Sweep) -> Result<u64, StoreFault> {
        self.beside(|conn| chat::sweep(conn, sweep))
    }

    fn seed(&self, templates: Vec<Template>, admin: Option<Login>) -> Result<bool, StoreFault> {
        self.beside(|conn| labs::seed(conn, &templates, admin.as_ref()))
    }

    fn leave(&self, leaving: Leaving) {
        self.running.leave(leaving);
    }

    fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault> {
        self.readers.attendance(classroom, from, to)
    }

    fn occupied(&self, limit: u32) -> Result<Vec<(ClassroomId, u64)>, StoreFault> {
        self.readers.occupied(limit)
    }

    fn flush(&self, within: Duration) -> Result<(), StoreFault> {
        self.running.flush(within)
    }

    fn stop(&self, within: Duration) -> Result<(), StoreFault> {
        let stopped = self.running.stop(within, || self.readers.close());
        if stopped.is_ok() {
            // Whoever takes the folder over may not have to wait for the end of this process.
            self.lock.release();
        }
        stopped
    }

    fn health(&self) -> &Health {
        &self.running.queue.health
    }

    fn lease(&self) -> &dyn Lease {
        self
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if self.stop(Duration::from_secs(5)).is_err() {
            tracing::warn!("the store was dropped before all was on disk; the next start ends these sessions");
        }
    }
}
