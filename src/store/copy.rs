//! A school that has grown moves from a folder into a PostgreSQL database: every table with its ids and numbers, all of it or nothing.
//!
//! What both call by the same name is the same. Where they differ, [`ROWS`] and [`COLUMNS`] say how the new one is read from the old ones.

use super::{
    postgres::{
        self,
        arrival::{Arrival, Column, Table, arrive},
        kept_text,
    },
    sqlite::{self, Source},
};
use bytes::{BufMut, BytesMut};
use rusqlite::{Rows, types::ValueRef};
use std::{error::Error, fmt, path::Path, pin::pin};
use tokio_postgres::{
    binary_copy::BinaryCopyInWriter,
    types::{IsNull, ToSql, Type, to_sql_checked},
};

/// Tables that are not the same, with what their rows are selected from. Who was there when the server ended without ending their session
/// left when the server was last known to be alive: as a start on the folder would have it. Of the answers to one question the last counts.
const ROWS: [(&str, &str); 3] = [
    (
        "agent_session",
        "(SELECT NULL AS id, NULL AS classroom, NULL AS agent_id, NULL AS node, NULL AS epoch, NULL AS started_at WHERE false)",
    ),
    (
        "agent_session_history",
        "(SELECT classroom_id AS classroom, agent_id, lower, upper, past.id AS id FROM agent_session_history AS past
             LEFT JOIN classroom ON classroom.id = past.classroom LEFT JOIN agent ON agent.id = past.agent
         UNION ALL
         SELECT classroom_id, agent_id, started_at, max(started_at, coalesce(seen_at, started_at)), live.id FROM agent_session AS live
             LEFT JOIN classroom ON classroom.id = live.classroom LEFT JOIN agent ON agent.id = live.agent
             LEFT JOIN replica ON replica.id = live.replica)",
    ),
    (
        "answer",
        "(SELECT *, max(answered_at) OVER (PARTITION BY attempt, question_id) AS latest_at,
             row_number() OVER (PARTITION BY attempt, question_id ORDER BY shelf DESC) AS age FROM answer) WHERE age = 1",
    ),
];

/// Columns that are not the same, with what is selected for them. What is missing is none, and none is refused.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("api_key", "owner", "(SELECT owner_id FROM owner WHERE owner.id = api_key.owner)"),
    ("quiz", "owner", "(SELECT owner_id FROM owner WHERE owner.id = quiz.owner)"),
    ("participant", "owner", "(SELECT owner_id FROM owner WHERE owner.id = participant.owner)"),
    ("event", "owner", "(SELECT owner_id FROM owner WHERE owner.id = event.owner)"),
    ("attempt", "owner", "(SELECT owner_id FROM owner WHERE owner.id = attempt.owner)"),
    ("attempt", "participant", "(SELECT participant_id FROM participant WHERE participant.id = attempt.participant)"),
    // An event that is not found would be none, which an attempt may have.
    ("attempt", "event", "iif(event IS NULL, NULL, coalesce((SELECT event_id FROM event WHERE event.id = attempt.event), 'lost'))"),
    (
        "attempt",
        "last_answer",
        "iif(ended_at IS NULL, NULL, coalesce(last_answer, (SELECT max(answered_at) FROM answer
             WHERE shelf >= first_shelf AND shelf <= last_shelf AND answer.quiz = attempt.quiz AND answer.attempt = attempt.id)))",
    ),
];

/// What a node writes itself into its rows.
const OF_NODES: [&str; 2] = ["node", "epoch"];

/// The numbers of sessions, and the highest that was ever given.
const SESSION_NUMBERS: &str = "agent_session_number";
const LAST_SESSION: &str =
    "SELECT max((SELECT coalesce(max(last_session), 0) FROM replica), (SELECT coalesce(max(id), 0) FROM agent_session))";

/// A table that was moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// What it is called in the database.
    pub table: String,
    /// Its rows, counted on the way and once more where they arrived.
    pub rows: u64,
}

/// Why nothing was moved.
#[derive(Debug)]
pub enum CopyFault {
    /// The folder cannot be read, or is served.
    Folder(sqlite::OpenFault),
    /// A row of the folder cannot be read.
    Read(rusqlite::Error),
    /// The database cannot be used.
    Open(postgres::OpenFault),
    /// The database refused something, or the way to it ended.
    Database(String),
    /// A server uses the database.
    Served {
        /// What it is called.
        node: String,
    },
    /// The database is not empty.
    Occupied {
        /// A table with rows.
        table: String,
    },
    /// The database has a table or column that this program does not know how to fill.
    Unknown {
        /// What it is called.
        what: String,
    },
    /// Rows were lost or doubled on the way.
    Differs {
        /// Where.
        table: String,
        /// How many there were.
        left: u64,
        /// How many there are.
        arrived: u64,
    },
}

impl fmt::Display for CopyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyFault::Folder(fault) => fault.fmt(f),
            CopyFault::Read(error) => write!(f, "the records of the folder cannot be read: {error}"),
            CopyFault::Open(fault) => fault.fmt(f),
            CopyFault::Database(message) => write!(f, "the database does not take the records: {message}"),
            CopyFault::Served { node } => write!(f, "the node {node} serves from this database: stop it first"),
            CopyFault::Occupied { table } => write!(f, "the database is not empty: {table} has rows"),
            CopyFault::Unknown { what } => write!(f, "the database has {what}, which is nothing of this program's"),
            CopyFault::Differs { table, left, arrived } => write!(f, "{table} had {left} rows, of which {arrived} arrived"),
        }
    }
}

impl Error for CopyFault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CopyFault::Folder(fault) => Some(fault),
            CopyFault::Read(error) => Some(error),
            CopyFault::Open(fault) => Some(fault),
            CopyFault::Database(_)
            | CopyFault::Served { .. }
            | CopyFault::Occupied { .. }
            | CopyFault::Unknown { .. }
            | CopyFault::Differs { .. } => None,
        }
    }
}

impl From<sqlite::OpenFault> for CopyFault {
    fn from(fault: sqlite::OpenFault) -> CopyFault {
        CopyFault::Folder(fault)
    }
}

impl From<rusqlite::Error> for CopyFault {
    fn from(error: rusqlite::Error) -> CopyFault {
        CopyFault::Read(error)
    }
}

impl From<postgres::OpenFault> for CopyFault {
    fn from(fault: postgres::OpenFault) -> CopyFault {
        CopyFault::Open(fault)
    }
}

/// Moves the records of a folder that nobody serves into a database that is empty, in one transaction; the folder stays as it is. With
/// `rehearsal` all of it is done and then undone. What was moved, by name.
///
/// # Errors
/// [`CopyFault`]: the database is as it was then.
pub fn copy(folder: &Path, to: &postgres::Settings, rehearsal: bool) -> Result<Vec<Moved>, CopyFault> {
    let source = Source::open(folder)?;
    arrive(to, rehearsal, async |arrival| {
        let tables = arrival.tables().await?;
        for Table { name, .. } in &tables {
            if arrival.count(name).await? > 0 {
                return Err(CopyFault::Occupied { table: name.clone() });
            }
        }
        let mut moved = Vec::with_capacity(tables.len());
        for table in &tables {
            moved.push(Moved { table: table.name.clone(), rows: fill(&source, arrival, table).await? });
            arrival.number(table).await?;
        }
        arrival.number_from(SESSION_NUMBERS, source.number(LAST_SESSION)?).await?;
        arrival.analyze().await?;
        Ok(moved)
    })
}

async fn fill(source: &Source, arrival: &Arrival, table: &Table) -> Result<u64, CopyFault> {
    let from = Origin::of(source, table)?;
    let sink = arrival.sink(&table.name, &from.columns).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &from.types));
    let mut select = source.conn().prepare(&format!("SELECT {} FROM {}", from.selected, from.rows))?;
    let mut rows = select.query([])?;
    let read = write_all(&mut rows, writer.as_mut(), from.types.len()).await?;
    let taken = writer.finish().await?;
    let arrived = arrival.count(&table.name).await?;
    let left = source.number(&format!("SELECT count(*) FROM {}", from.rows))?.unsigned_abs();
    if [read, taken, arrived].iter().any(|count| *count != left) {
        return Err(CopyFault::Differs { table: table.name.clone(), left, arrived });
    }
    Ok(arrived)
}

async fn write_all(
    rows: &mut Rows<'_>,
    mut writer: std::pin::Pin<&mut BinaryCopyInWriter>,
    columns: usize,
) -> Result<u64, CopyFault> {
    let mut read = 0;
    while let Some(row) = rows.next()? {
        let cells = (0..columns).map(|place| row.get_ref(place).map(Cell)).collect::<rusqlite::Result<Vec<_>>>()?;
        writer.as_mut().write_raw(cells.iter()).await?;
        read += 1;
    }
    Ok(read)
}

/// Where a table's rows come from.
struct Origin {
    rows: String,
    /// What is selected of them, for `columns` of these `types`.
    selected: String,
    columns: String,
    types: Vec<Type>,
}

impl Origin {
    fn of(source: &Source, table: &Table) -> Result<Origin, CopyFault> {
        let other = ROWS.iter().find(|(name, _)| *name == table.name).map(|(_, rows)| *rows);
        let known = source.columns(&table.name)?;
        if known.is_empty() {
            return Err(CopyFault::Unknown { what: format!("a table {}", table.name) });
        }
        let (mut selected, mut columns, mut types) = (Vec::new(), Vec::new(), Vec::new());
        for Column { name, of, has_default } in &table.columns {
            let new = COLUMNS.iter().find(|(of, column, _)| *of == table.name && column == name).map(|(.., select)| *select);
            if new.is_none() && other.is_none() && !known.contains(name) {
                if !has_default || !OF_NODES.contains(&name.as_str()) {
                    return Err(CopyFault::Unknown { what: format!("a column {name} of {}", table.name) });
                }
                continue;
            }
            selected.push(new.map_or_else(|| quoted(name), str::to_owned));
            columns.push(quoted(name));
            types.push(of.clone());
        }
        let rows = other.map_or_else(|| quoted(&table.name), str::to_owned);
        Ok(Origin { rows, selected: selected.join(", "), columns: columns.join(", "), types })
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// A value of SQLite as one of PostgreSQL, by the type that its column has there.
#[derive(Debug)]
struct Cell<'r>(ValueRef<'r>);

impl ToSql for Cell<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self.0, of) {
            (ValueRef::Null, _) => return Ok(IsNull::Yes),
            (ValueRef::Integer(number), &Type::INT8) => out.put_i64(number),
            (ValueRef::Integer(number), &Type::INT4) => out.put_i32(i32::try_from(number)?),
            (ValueRef::Integer(number), &Type::INT2) => out.put_i16(i16::try_from(number)?),
            (ValueRef::Integer(number), &Type::BOOL) => out.put_u8(u8::from(number != 0)),
            (ValueRef::Integer(number), &Type::FLOAT8) => out.put_f64(number as f64),
            (ValueRef::Real(number), &Type::FLOAT8) => out.put_f64(number),
            (ValueRef::Text(text), &Type::TEXT) => out.put_slice(kept_text(std::str::from_utf8(text)?).as_bytes()),
            (ValueRef::Blob(bytes), &Type::BYTEA) => out.put_slice(bytes),
            (ValueRef::Blob(bytes), &Type::UUID) if bytes.len() == 16 => out.put_slice(bytes),
            (value, of) => return Err(format!("{} for a column of {of}", value.data_type()).into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
