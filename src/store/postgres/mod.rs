//! The store on PostgreSQL: shared by all nodes of a school, one writer a node, group commit. What was acknowledged is committed.
//!
//! # Shape
//!
//! One thread, `store`, with a Tokio runtime of its own: on it run the `writer` (one connection, one transaction at a time), the renewal of
//! the lease (`keeper`, another one), and the sockets of the readers' connections, which are asked by the threads that read (`readers`). No
//! shard waits for any of them.
//!
//! - `settings`, `conn`, `readers`: the address; connections, tuned, prepared statements, a time for each answer; the pool of reads.
//! - `migrations`: the versions of the tables; each API has one step of them in its `tables.rs`.
//! - `keeper`: [`super::Lease`]. `writing`: a transaction of the writer, begun with the check that the tenure stands.
//! - `writer`: batches from the shared `intake`, commits whose end is unknown, lost connections.
//! - `batch`: records that are written one after the other, under one savepoint where all are good. `arrival`: an empty database that is
//!   filled by [`super::copy()`].
//! - `fault`: what went wrong, and by it whether only a row is refused, the connection is lost, and what the contract's fault is.
//! - `columns`: how words lie in columns. `text()` and `string()` are for every text that people write: PostgreSQL keeps no U+0000.
//!
//! # How an API plugs in
//!
//! `presence`, `quiz`, `labs`, `chat`, `tasks` have each:
//!
//! - `tables.rs`: its tables, a step of `migrations::STEPS`. Times are microseconds in `bigint`, ids `uuid`, JSON and all other text `text
//!   COLLATE "C"`. A row of something unfinished says which tenure wrote it (`node smallint`, `epoch bigint`), so that a start or a burial
//!   ends what its own, or the dead node's, and nothing of the others'.
//! - `keep(writing, records) -> Result<Vec<Result<Kept, StoreFault>>, Fault>`: all records of the API in a batch, in their order, answered
//!   in that order. The inner fault is of one record, which leaves nothing then; the outer one of the whole transaction. A record of
//!   several statements goes through `Conn::whole` (a savepoint); what comes in masses by `unnest` over many, or pipelined, with one
//!   savepoint around all, and one by one only where a row was refused (`quiz::together`).
//! - `library.rs`: `impl …Library for PostgresStore`, by `readers.view` (one statement) or `readers.snapshot` (several, one moment).
//!
//! What a start does before shards serve (`seed`, `sweep_chat`) goes through `PostgresStore::beside`: one fenced transaction on a
//! connection of its own.

pub(super) mod arrival;
mod batch;
mod chat;
mod columns;
mod conn;
mod fault;
mod keeper;
mod labs;
mod migrations;
mod presence;
mod quiz;
mod readers;
mod roster;
mod settings;
mod tasks;
#[cfg(test)]
mod tests;
mod writer;
mod writing;

pub(super) use columns::text as kept_text;
pub use fault::OpenFault;
pub use migrations::Versions;
pub use settings::{Migrate, Settings};

use super::{
    Health, Lease, Sink, Store, Ticket,
    intake::Intake,
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
use conn::{Conn, Role, Way};
use fault::Fault;
use futures_lite::future::block_on;
use keeper::Keeper;
use readers::Readers;
use std::{io, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Runtime};
use writer::{BATCH, Writer};
use writing::Writing;

/// The records in a PostgreSQL database.
pub struct PostgresStore {
    running: Running,
    readers: Readers,
    keeper: Arc<Keeper>,
    way: Arc<Way>,
}

/// What the thread has made before it serves.
struct Ready {
    way: Arc<Way>,
    keeper: Arc<Keeper>,
}

impl PostgresStore {
    /// Connects, brings the tables up to date where it may, takes a slot among the nodes (which ends the sessions that the last run of this
    /// node left behind) and starts the thread named `store`. Answers go to `sink`, on that thread. A node of the same name that died is
    /// waited for as long as its lease may last.
    ///
    /// # Errors
    /// [`OpenFault`], in words for whoever started the server.
    pub fn open(settings: Settings, sink: Box<dyn Sink>) -> Result<PostgresStore, OpenFault> {
        let queue = Arc::new(Queue::new(settings.queue));
        let readers = (settings.readers, settings.acquire_timeout);
        let body = {
            let queue = Arc::clone(&queue);
            move |begun: &Begun<Ready, OpenFault>| serve(&settings, queue, sink, begun)
        };
        let (running, Ready { way, keeper }) = Running::begin(queue, OpenFault::Thread, body)?;
        let readers = Readers::new(Arc::clone(&way), readers.0, readers.1);
        Ok(PostgresStore { running, readers, keeper, way })
    }

    /// Writes beside the writer: all of it or nothing.
    fn beside<T>(&self, write: impl AsyncFnOnce(&Writing<'_>) -> Result<T, Fault>) -> Result<T, StoreFault> {
        if self.running.queue.is_stopping() {
            return Err(StoreFault::Busy);
        }
        let _runtime = self.way.runtime().enter();
        let written = block_on(async {
            let tenure = self.keeper.held().ok_or(Fault::Lost)?;
            let conn = self.way.connect(Role::Writer).await?;
            // Undone with the connection where it fails.
            let writing = Writing::begin(&conn, tenure, 0).await?;
            let answer = write(&writing).await?;
            writing.commit().await?;
            Ok(answer)
        });
        written.map_err(|fault: Fault| {
            tracing::debug!(%fault, "what a start writes cannot be written");
            fault.blame()
        })
    }
}

/// What the tables of a database are, and, with `apply`, what they were before they were brought up to date.
///
/// # Errors
/// [`OpenFault`], in words for whoever asks.
pub fn migrate(settings: &Settings, apply: bool) -> Result<Versions, OpenFault> {
    let runtime = runtime().map_err(OpenFault::Thread)?;
    let way = Way::new(settings, runtime.handle().clone())?;
    let versions = runtime.block_on(async {
        let conn = way.connect(Role::Lease).await?;
        if apply { migrations::migrate(&conn).await } else { migrations::versions(&conn).await }
    });
    versions.map_err(|fault| way.refused(&fault))
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

/// The store's thread.
fn serve(settings: &Settings, queue: Arc<Queue>, sink: Box<dyn Sink>, ready: &Begun<Ready, OpenFault>) {
    // Whoever opens waits for the word; it cannot be gone.
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(OpenFault::Thread(error)))),
    };
    runtime.block_on(async {
        let begun = begin(settings, &runtime).await;
        let (way, keeper, conn) = match begun {
            Ok(begun) => begun,
            Err(fault) => return drop(ready.send(Err(fault))),
        };
        drop(ready.send(Ok(Ready { way: Arc::clone(&way), keeper: Arc::clone(&keeper) })));
        let intake = Intake::new(queue, BATCH, settings.acquire_timeout);
        let writer = Writer::new(way, Arc::clone(&keeper), conn, intake, sink);
        let written = async {
            let is_up = writer.run().await;
            keeper.stop();
            // The slot is free for the next start at once. Without the database the lease runs out by itself.
            if is_up {
                keeper.end().await;
            }
        };
        futures_util::future::join(written, keeper.run()).await;
    });
}

async fn begin(settings: &Settings, runtime: &Runtime) -> Result<(Arc<Way>, Arc<Keeper>, Conn), OpenFault> {
    let way = Arc::new(Way::new(settings, runtime.handle().clone())?);
    let refused = |fault: Fault| way.refused(&fault);
    let conn = way.connect(Role::Lease).await.map_err(refused)?;
    let keeper = Arc::new(Keeper::new(Arc::clone(&way), settings));
    prepare(settings, &way, &conn, &keeper).await?;
    keeper.take_first(&conn).await.map_err(|fault| match fault {
        Ok(fault) => OpenFault::Lease { name: keeper.name().to_owned(), fault },
        Err(fault) => refused(fault),
    })?;
    let writer = way.connect(Role::Writer).await.map_err(refused)?;
    Ok((way, keeper, writer))
}

/// Tables that this program understands.
async fn prepare(settings: &Settings, way: &Way, conn: &Conn, keeper: &Keeper) -> Result<(), OpenFault> {
    let refused = |fault: Fault| way.refused(&fault);
    let versions = migrations::versions(conn).await.map_err(refused)?;
    let place = || way.place().to_owned();
    let Versions { found, needed, known } = versions;
    if versions.are_newer() {
        return Err(OpenFault::Newer { place: place(), needed, known });
    }
    if settings.alone
        && found > 0
        && let Some(node) = keeper.other(conn).await.map_err(refused)?
    {
        return Err(OpenFault::Served { place: place(), node });
    }
    if !versions.are_older() {
        return Ok(());
    }
    if found > 0 && settings.migrate == Migrate::Manual {
        return Err(OpenFault::Older { place: place(), found, known });
    }
    let before = migrations::migrate(conn).await.map_err(refused)?;
    tracing::info!(from = before.found, to = known, "the tables were brought up to date");
    Ok(())
}

impl Store for PostgresStore {
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
        self.beside(async |writing| chat::sweep(writing, sweep).await)
    }

    fn seed(&self, templates: Vec<Template>, admin: Option<Login>) -> Result<bool, StoreFault> {
        self.beside(async |writing| labs::seed(writing, &templates, admin.as_ref()).await)
    }

    fn leave(&self, leaving: Leaving) {
        self.running.leave(leaving);
    }

    fn attendance(&self, classroom: ClassroomId, from: UnixMicros, to: UnixMicros) -> Result<Vec<Attendance>, StoreFault> {
        self.readers.view(async |conn| presence::attendance(conn, classroom, from, to).await)
    }

    fn occupied(&self, limit: u32) -> Result<Vec<(ClassroomId, u64)>, StoreFault> {
        self.readers.view(async |conn| presence::occupied(conn, limit).await)
    }

    fn flush(&self, within: Duration) -> Result<(), StoreFault> {
        self.running.flush(within)
    }

    fn stop(&self, within: Duration) -> Result<(), StoreFault> {
        self.running.stop(within, || self.readers.close())
    }

    fn health(&self) -> &Health {
        &self.running.queue.health
    }

    fn lease(&self) -> &dyn Lease {
        self
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        if self.stop(Duration::from_secs(5)).is_err() {
            tracing::warn!("the store was dropped before all was committed; these sessions end with the lease of this node");
        }
    }
}
