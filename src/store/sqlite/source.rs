//! The records of a folder that nobody serves, as another store takes them: read, never written.

use super::{
    OpenFault,
    lock::FolderLock,
    schema::{STEPS, open_reader, version},
};
use rusqlite::{Connection, Row};
use std::path::Path;

/// Holds the folder, so that no server begins meanwhile.
pub(in super::super) struct Source {
    conn: Connection,
    _lock: FolderLock,
}

impl Source {
    /// # Errors
    /// [`OpenFault`]: also where there are no records, and where they are of another version than this program's.
    pub(in super::super) fn open(folder: &Path) -> Result<Source, OpenFault> {
        let file = folder.join("homeroom.db");
        if !file.exists() {
            return Err(OpenFault::Missing { folder: folder.to_owned() });
        }
        let lock = FolderLock::take(folder)?;
        let fault = |source| OpenFault::Database { file: file.clone(), source };
        let conn = open_reader(&file).map_err(fault)?;
        let (found, known) = (version(&conn).map_err(fault)?, STEPS.len() as i64);
        if found > known {
            return Err(OpenFault::Newer { file, found, known });
        }
        if found < known {
            return Err(OpenFault::Older { file, found, known });
        }
        Ok(Source { conn, _lock: lock })
    }

    /// The connection, in one snapshot for as long as nobody writes, which nobody can.
    pub(in super::super) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// What a table's columns are called; none where there is no such table.
    pub(in super::super) fn columns(&self, table: &str) -> rusqlite::Result<Vec<String>> {
        self.conn.prepare("SELECT name FROM pragma_table_info(?1)")?.query_map([table], |row| row.get(0))?.collect()
    }

    /// A number that a statement without values tells.
    pub(in super::super) fn number(&self, select: &str) -> rusqlite::Result<i64> {
        self.conn.query_row(select, [], |row: &Row<'_>| row.get(0))
    }
}
