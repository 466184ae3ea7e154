//! The tables, their versions, and how the file is opened.

use super::{OpenFault, chat, labs, quiz, tasks};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::{path::Path, time::Duration};

/// Each step brings the tables from the version that is its index to the next. Steps are only ever added.
pub(super) const STEPS: [&str; 5] = [FIRST, quiz::SECOND, labs::THIRD, chat::FOURTH, tasks::FIFTH];

/// Rooms and agents are written once and meant by small numbers: rows of sessions are short, so a batch touches few pages.
///
/// The key of history finds the intervals of one agent (to join them) and of one room (to report them); `history` tells what a shelf is.
const FIRST: &str = "
CREATE TABLE replica (
    id INTEGER PRIMARY KEY,
    label TEXT NOT NULL UNIQUE,
    ip TEXT,
    seen_at INTEGER NOT NULL,      -- microseconds since 1970: that late its sessions were alive
    last_session INTEGER NOT NULL  -- the highest number given to a session
) STRICT;
CREATE TABLE classroom (
    id INTEGER PRIMARY KEY,
    classroom_id BLOB NOT NULL UNIQUE CHECK (length(classroom_id) = 16)
) STRICT;
CREATE TABLE agent (
    id INTEGER PRIMARY KEY,
    agent_id TEXT NOT NULL UNIQUE CHECK (agent_id <> '')
) STRICT;
CREATE TABLE agent_session (
    id INTEGER PRIMARY KEY,
    classroom INTEGER NOT NULL,
    agent INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    may_meet INTEGER NOT NULL,     -- 0: nothing in history of this agent and room ends at started_at or later
    UNIQUE (classroom, agent)
) STRICT;
CREATE TABLE agent_session_history (
    shelf INTEGER NOT NULL,        -- holds what ended from this moment until the next shelf
    classroom INTEGER NOT NULL,
    agent INTEGER NOT NULL,
    lower INTEGER NOT NULL,
    upper INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (shelf, classroom, agent, lower)
) STRICT, WITHOUT ROWID;
";

/// Statements that a connection keeps prepared: more than there are.
const STATEMENTS: usize = 128;

/// How long a statement waits for a foreign process that holds the file, before it is `Busy`.
const FOREIGN_LOCK_WAIT: Duration = Duration::from_millis(250);

/// Opens the file for the writer, makes what is missing and brings old tables up to date.
pub(super) fn open(file: &Path) -> Result<Connection, OpenFault> {
    let fault = |source| OpenFault::Database { file: file.to_owned(), source };
    let mut conn = Connection::open(file).map_err(fault)?;
    let found = version(&conn).map_err(fault)?;
    let known = STEPS.len() as i64;
    if found > known {
        return Err(OpenFault::Newer { file: file.to_owned(), found, known });
    }
    tune(&conn).map_err(fault)?;
    migrate(&mut conn, found).map_err(fault)?;
    Ok(conn)
}

/// Writes one transaction to a file that the writer has open, after waiting so long for the writer.
pub(super) fn write_beside<T>(
    file: &Path,
    at_most: Duration,
    write: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let mut conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(at_most)?;
    conn.pragma_update(None, "synchronous", "full")?;
    let writing = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let answer = write(&writing)?;
    writing.commit()?;
    Ok(answer)
}

/// Opens the file for reading beside the writer.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(FOREIGN_LOCK_WAIT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "cache_size", -512)?;
    Ok(conn)
}

pub(super) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn tune(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(FOREIGN_LOCK_WAIT)?;
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "full")?;
    conn.pragma_update(None, "foreign_keys", "off")?;
    conn.pragma_update(None, "temp_store", "memory")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // KiB of pages in memory: the day's history, the live sessions and the names of the agents of a large host.
    conn.pragma_update(None, "cache_size", -4096)?;
    // Pages: 16 MiB of log, so that a page which many batches touch is moved to the file once.
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 4096, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", 32 << 20, |_| Ok(()))
}

fn migrate(conn: &mut Connection, found: i64) -> rusqlite::Result<()> {
    for (step, next) in STEPS.iter().zip(1_i64..).skip(usize::try_from(found).unwrap_or(0)) {
        let change = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(step)?;
        change.pragma_update(None, "user_version", next)?;
        change.commit()?;
    }
    Ok(())
}
