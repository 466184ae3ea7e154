//! What can go wrong: at opening, in words for whoever started the server; at work, by the contract's two faults.

use crate::protocols::presence::record::StoreFault;
use rusqlite::ErrorCode;
use std::{fmt, io, path::PathBuf};

/// Why the records could not be opened.
#[derive(Debug)]
pub enum OpenFault {
    /// The folder or its lock file could not be made or opened.
    Folder {
        /// The data folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process serves this folder.
    Served {
        /// The data folder.
        folder: PathBuf,
        /// The other process, where it could be read.
        pid: Option<u32>,
    },
    /// The file was written by a later version of this program.
    Newer {
        /// The database file.
        file: PathBuf,
        /// The version of its tables.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// The folder has no records.
    Missing {
        /// The data folder.
        folder: PathBuf,
    },
    /// The file was written by an earlier version of this program, and is only read.
    Older {
        /// The database file.
        file: PathBuf,
        /// The version of its tables.
        found: i64,
        /// The version that is wanted.
        known: i64,
    },
    /// SQLite could not open or prepare the file.
    Database {
        /// The database file.
        file: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The store's thread could not be started.
    Thread(io::Error),
}

impl fmt::Display for OpenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenFault::Folder { folder, source } => write!(f, "the data folder {} cannot be used: {source}", folder.display()),
            OpenFault::Served { folder, pid: Some(pid) } => {
                write!(
                    f,
                    "the data folder {} is already served by process {pid}; stop it or choose another folder",
                    folder.display()
                )
            }
            OpenFault::Served { folder, pid: None } => {
                write!(
                    f,
                    "the data folder {} is already served by another process; stop it or choose another folder",
                    folder.display()
                )
            }
            OpenFault::Newer { file, found, known } => {
                let file = file.display();
                write!(f, "{file} has tables of version {found}, this program knows up to {known}: run the version that wrote it")
            }
            OpenFault::Missing { folder } => write!(f, "there are no records in {}", folder.display()),
            OpenFault::Older { file, found, known } => {
                let file = file.display();
                write!(f, "{file} has tables of version {found}, this program wants {known}: serve it once with this version")
            }
            OpenFault::Database { file, source } => write!(f, "the database {} cannot be opened: {source}", file.display()),
            OpenFault::Thread(source) => write!(f, "the store's thread cannot be started: {source}"),
        }
    }
}

impl std::error::Error for OpenFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenFault::Folder { source, .. } | OpenFault::Thread(source) => Some(source),
            OpenFault::Database { source, .. } => Some(source),
            OpenFault::Served { .. } | OpenFault::Newer { .. } | OpenFault::Missing { .. } | OpenFault::Older { .. } => None,
        }
    }
}

/// The contract's fault for an error of SQLite.
pub(super) fn blame(error: &rusqlite::Error) -> StoreFault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreFault::Busy,
        _ => StoreFault::Failed,
    }
}

/// Whether only the row is at fault, and its transaction can go on without it.
pub(super) fn is_of_the_row(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig))
        || matches!(error, rusqlite::Error::ToSqlConversionFailure(_))
}
