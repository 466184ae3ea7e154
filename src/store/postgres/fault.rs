//! What can go wrong: at opening, in words for whoever started the server; at work, by the contract's two faults. No word has a password.

use super::super::LeaseFault;
use crate::realtime::StoreFault;
use std::{error::Error as _, fmt, io, path::PathBuf};
use tokio_postgres::error::{Error, SqlState};

/// Why the records could not be opened.
#[derive(Debug)]
pub enum OpenFault {
    /// The address of the database is not one.
    Address(String),
    /// A file that the settings name.
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// TLS cannot be set up.
    Tls(String),
    /// The database could not be reached, or refused what was asked.
    Database {
        /// Host, port and name.
        place: String,
        /// What it said.
        message: String,
    },
    /// A node serves from the database, where none should.
    Served {
        /// Host, port and name.
        place: String,
        /// What it is called.
        node: String,
    },
    /// The tables are of a version that this program does not understand.
    Newer {
        /// Host, port and name.
        place: String,
        /// The oldest version of the tables that a program must know.
        needed: i32,
        /// The latest that this one knows.
        known: i32,
    },
    /// The tables are older than this program, and it may not change them.
    Older {
        /// Host, port and name.
        place: String,
        /// The version of the tables; 0 where there are none.
        found: i32,
        /// The version that this program needs.
        known: i32,
    },
    /// No slot among the nodes.
    Lease {
        /// What this node is called.
        name: String,
        /// Why.
        fault: LeaseFault,
    },
    /// The store's thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenFault::Address(message) => write!(f, "database: {message}"),
            OpenFault::File { file, source } => write!(f, "{} cannot be used: {source}", file.display()),
            OpenFault::Tls(message) => write!(f, "TLS to the database cannot be set up: {message}"),
            OpenFault::Database { place, message } => write!(f, "the database {place} cannot be used: {message}"),
            OpenFault::Served { place, node } => {
                write!(f, "the database {place} is served by the node \"{node}\": tell that one (--internal), or stop it")
            }
            OpenFault::Newer { place, needed, known } => write!(
                f,
                "the database {place} is only for programs that know version {needed} of its tables, this one knows up to {known}: run \
                 a newer version"
            ),
            OpenFault::Older { place, found, known } => write!(
                f,
                "the tables of the database {place} are of version {found}, this program needs {known}: run `homeroom migrate --apply`, \
                 or set store.migrate to \"auto\""
            ),
            OpenFault::Lease { name, fault: LeaseFault::Alive } => {
                write!(f, "another node named \"{name}\" is alive: give each node a name of its own (store.node)")
            }
            OpenFault::Lease { fault, .. } => fault.fmt(f),
            OpenFault::Thread(source) => write!(f, "the store's thread cannot be started: {source}"),
        }
    }
}

impl std::error::Error for OpenFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenFault::File { source, .. } | OpenFault::Thread(source) => Some(source),
            OpenFault::Lease { fault, .. } => Some(fault),
            OpenFault::Address(_)
            | OpenFault::Tls(_)
            | OpenFault::Database { .. }
            | OpenFault::Served { .. }
            | OpenFault::Newer { .. }
            | OpenFault::Older { .. } => None,
        }
    }
}

/// Why a statement, a transaction or a read did not do what it should.
#[derive(Debug)]
pub(super) enum Fault {
    /// What the database or the connection said.
    Database(Error),
    /// A value that cannot be written, or was found and cannot be read.
    Value(String),
    /// No answer in time: the connection is given up.
    Silent,
    /// There is no connection.
    Unconnected,
    /// Another node was quicker each time.
    Outrun,
    /// The node's tenure is over.
    Lost,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Database(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Database(error) => f.write_str(&told(error)),
            Fault::Value(message) => f.write_str(message),
            Fault::Silent => f.write_str("the database did not answer in time"),
            Fault::Unconnected => f.write_str("there is no connection to the database"),
            Fault::Outrun => f.write_str("another node was quicker each time"),
            Fault::Lost => f.write_str("the lease of this node is lost"),
        }
    }
}

/// An error in words that hold nothing of what was written: neither a row nor a password.
pub(super) fn told(error: &Error) -> String {
    match (error.as_db_error(), error.source()) {
        // `detail` and `where` would quote rows.
        (Some(error), _) => format!("{} ({})", error.message(), error.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

impl Fault {
    /// Whether only the row is at fault, and its transaction can go on without it, from the last savepoint.
    pub(super) fn is_of_the_row(&self) -> bool {
        match self {
            Fault::Database(error) => match error.code() {
                // Data exception, integrity constraint violation, a value too long for an index.
                Some(code) => ["22", "23", "54"].iter().any(|class| code.code().starts_with(class)),
                // A parameter that cannot be written.
                None => !error.is_closed() && error.source().is_some_and(|source| !source.is::<io::Error>()),
            },
            Fault::Value(_) => true,
            Fault::Silent | Fault::Unconnected | Fault::Outrun | Fault::Lost => false,
        }
    }

    /// The constraint or unique index that refused a row.
    pub(super) fn constraint(&self) -> Option<&str> {
        match self {
            Fault::Database(error) => error.as_db_error()?.constraint(),
            Fault::Value(_) | Fault::Silent | Fault::Unconnected | Fault::Outrun | Fault::Lost => None,
        }
    }

    /// Whether the connection is good for nothing any more.
    pub(super) fn is_of_the_connection(&self) -> bool {
        match self {
            Fault::Database(error) => match error.code() {
                Some(code) => code.code().starts_with("08") || is_shut(code),
                None => error.is_closed() || error.source().is_none_or(|source| source.is::<io::Error>()),
            },
            Fault::Silent | Fault::Unconnected => true,
            Fault::Value(_) | Fault::Outrun | Fault::Lost => false,
        }
    }

    /// The contract's fault: `Busy` where the same may go well a little later.
    pub(super) fn blame(&self) -> StoreFault {
        let again = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::TOO_MANY_CONNECTIONS,
        ];
        let is_passing = match self {
            Fault::Database(error) => error.code().is_some_and(|code| again.contains(code)),
            Fault::Outrun => true,
            Fault::Value(_) | Fault::Silent | Fault::Unconnected | Fault::Lost => false,
        };
        if is_passing || self.is_of_the_connection() { StoreFault::Busy } else { StoreFault::Failed }
    }
}

/// The server goes down, has crashed or is not up yet.
fn is_shut(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ]
    .contains(code)
}
