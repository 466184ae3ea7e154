//! An empty database, as a school that moves in finds it: one transaction from the making of its tables to the last row.

use super::{
    OpenFault, Settings,
    columns::column,
    conn::{Conn, Role, Way},
    fault::Fault,
    migrations,
};
use crate::store::copy::CopyFault;
use bytes::Bytes;
use std::time::Duration;
use tokio_postgres::{CopyInSink, types::Type};

/// A large school's rows are one statement for each table.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What is not moved: it is about the database, or about who serves it.
const OWN: &str = "('homeroom_version', 'node', 'node_view', 'node_view_seat')";

/// The transaction.
pub(in super::super) struct Arrival {
    conn: Conn,
}

/// A table to be filled.
pub(in super::super) struct Table {
    pub(in super::super) name: String,
    pub(in super::super) columns: Vec<Column>,
}

/// A column of it.
pub(in super::super) struct Column {
    pub(in super::super) name: String,
    pub(in super::super) of: Type,
    /// Whether a row without it gets a value all the same.
    pub(in super::super) has_default: bool,
}

impl From<Fault> for CopyFault {
    fn from(fault: Fault) -> CopyFault {
        CopyFault::Database(fault.to_string())
    }
}

impl From<tokio_postgres::Error> for CopyFault {
    fn from(error: tokio_postgres::Error) -> CopyFault {
        Fault::from(error).into()
    }
}

/// Makes the tables of an empty database and has them filled by `move_in`: all of it or nothing. What is a rehearsal is undone.
pub(in super::super) fn arrive<T>(
    settings: &Settings,
    rehearsal: bool,
    move_in: impl AsyncFnOnce(&Arrival) -> Result<T, CopyFault>,
) -> Result<T, CopyFault> {
    let settings = Settings { statement_timeout: PATIENCE, ..settings.clone() };
    let runtime = super::runtime().map_err(OpenFault::Thread)?;
    let way = Way::new(&settings, runtime.handle().clone())?;
    runtime.block_on(async {
        let conn = way.connect(Role::Lease).await.map_err(|fault| way.refused(&fault))?;
        let versions = migrations::versions(&conn).await?;
        if versions.are_newer() {
            let place = way.place().to_owned();
            return Err(OpenFault::Newer { place, needed: versions.needed, known: versions.known }.into());
        }
        // Where it ends early it is undone with the connection.
        let arrival = Arrival { conn };
        arrival.conn.batch("BEGIN; SET LOCAL client_min_messages = warning").await?;
        migrations::steps(&arrival.conn).await?;
        arrival.alone().await?;
        let moved = move_in(&arrival).await?;
        arrival.conn.batch(if rehearsal { "ROLLBACK" } else { "COMMIT" }).await?;
        Ok(moved)
    })
}

impl Arrival {
    /// No node begins before the end of the transaction, and none is there.
    async fn alone(&self) -> Result<(), CopyFault> {
        self.conn.batch("LOCK TABLE node IN EXCLUSIVE MODE").await?;
        let alive = self.conn.row("SELECT name FROM node WHERE lease_until > clock_timestamp()", &[]).await?;
        alive.map_or(Ok(()), |row| Err(CopyFault::Served { node: column(&row, 0)? }))
    }

    /// What is to be filled, by name.
    pub(in super::super) async fn tables(&self) -> Result<Vec<Table>, CopyFault> {
        let select = format!(
            "SELECT relname, attname, atttypid, atthasdef OR attidentity <> '' FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
             WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
                 AND relname NOT IN {OWN}
             ORDER BY relname, attnum"
        );
        let mut tables: Vec<Table> = Vec::new();
        for row in self.conn.rows(&select, &[]).await? {
            let (name, of): (String, u32) = (column(&row, 0)?, column(&row, 2)?);
            let of = Type::from_oid(of).ok_or_else(|| CopyFault::Database(format!("{name} has a column of an unknown type")))?;
            let new = Column { name: column(&row, 1)?, of, has_default: column(&row, 3)? };
            match tables.last_mut().filter(|table| table.name == name) {
                Some(table) => table.columns.push(new),
                None => tables.push(Table { name, columns: vec![new] }),
            }
        }
        Ok(tables)
    }

    /// How many rows a table has.
    pub(in super::super) async fn count(&self, table: &str) -> Result<u64, CopyFault> {
        let counted = self.conn.one(&format!("SELECT count(*) FROM {table}"), &[]).await?;
        Ok(column::<i64>(&counted, 0)?.unsigned_abs())
    }

    /// Takes rows of these columns in PostgreSQL's binary form.
    pub(in super::super) async fn sink(&self, table: &str, columns: &str) -> Result<CopyInSink<Bytes>, CopyFault> {
        Ok(self.conn.copy_in(&format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)")).await?)
    }

    /// The numbers that a table gives by itself go on behind its highest.
    pub(in super::super) async fn number(&self, table: &Table) -> Result<(), CopyFault> {
        for Column { name, of, .. } in &table.columns {
            if *of != Type::INT8 {
                continue;
            }
            let own = self.conn.one("SELECT pg_get_serial_sequence($1, $2)", &[&table.name, name]).await?;
            if let Some(sequence) = column::<Option<String>>(&own, 0)? {
                let highest = format!(r#"SELECT coalesce(max("{name}"), 0) FROM {}"#, table.name);
                self.number_from(&sequence, column(&self.conn.one(&highest, &[]).await?, 0)?).await?;
            }
        }
        Ok(())
    }

    /// A sequence goes on behind this number.
    pub(in super::super) async fn number_from(&self, sequence: &str, highest: i64) -> Result<(), CopyFault> {
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&sequence, &highest.max(1), &(highest > 0)];
        self.conn.one("SELECT setval($1::text::regclass, $2, $3)", &values).await?;
        Ok(())
    }

    /// The planner knows what has come.
    pub(in super::super) async fn analyze(&self) -> Result<(), CopyFault> {
        Ok(self.conn.batch("ANALYZE").await?)
    }
}
