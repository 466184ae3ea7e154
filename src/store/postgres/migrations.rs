//! Versions of the tables: forward only, each in the transaction that tells of it, under a lock that all nodes take.
//!
//! Nodes of an old and of a new version run side by side while a school is brought up to date one node after the other. So a step only adds
//! (tables, columns with a default, indexes), or does what programs of the version `reads_from` can live with. What it says there is
//! written beside the version: a program that knows less is refused when it starts.

use super::{chat, conn::Conn, fault::Fault, labs, presence::FIRST, quiz, roster, tasks};
use crate::store::postgres::columns::column;

/// A step from the version before it, which is its place in [`STEPS`], to the next.
pub(super) struct Step {
    /// What it makes.
    pub(super) tables: &'static str,
    /// The oldest version that a program must know to go on with these tables.
    pub(super) reads_from: i32,
}

/// Steps are only ever added.
pub(super) const STEPS: [Step; 6] = [
    Step { tables: FIRST, reads_from: 1 },
    Step { tables: quiz::SECOND, reads_from: 1 },
    Step { tables: labs::THIRD, reads_from: 1 },
    Step { tables: chat::FOURTH, reads_from: 1 },
    Step { tables: tasks::FIFTH, reads_from: 1 },
    Step { tables: roster::SIXTH, reads_from: 1 },
];

/// Taken by whoever changes tables: any number that no other program takes.
const LOCK: i64 = 0x686F_6D65_726F_6F6D;

/// What the tables are, against what this program knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    /// Of the tables; 0 where there are none.
    pub found: i32,
    /// The oldest that a program must know to use them.
    pub needed: i32,
    /// The latest that this program knows.
    pub known: i32,
}

impl Versions {
    /// Whether this program does not understand the tables.
    pub fn are_newer(self) -> bool {
        self.needed > self.known
    }

    /// Whether the tables lack what this program needs.
    pub fn are_older(self) -> bool {
        self.found < self.known
    }
}

/// Looks, and changes nothing.
pub(super) async fn versions(conn: &Conn) -> Result<Versions, Fault> {
    let known = STEPS.len() as i32;
    let there = conn.one("SELECT to_regclass('homeroom_version') IS NOT NULL", &[]).await?;
    if !column::<bool>(&there, 0)? {
        return Ok(Versions { found: 0, needed: 0, known });
    }
    let row = conn.one("SELECT coalesce(max(version), 0), coalesce(max(reads_from), 0) FROM homeroom_version", &[]).await?;
    Ok(Versions { found: column(&row, 0)?, needed: column(&row, 1)?, known })
}

/// Brings the tables to the latest version that this program knows; what they were before. Tables that are newer are left as they are.
pub(super) async fn migrate(conn: &Conn) -> Result<Versions, Fault> {
    // What it takes is the tables' affair, however many rows they have; whoever else migrates is waited for.
    conn.batch("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL client_min_messages = warning")
        .await?;
    let result = steps(conn).await;
    conn.batch(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    result
}

pub(super) async fn steps(conn: &Conn) -> Result<Versions, Fault> {
    conn.batch(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    conn.batch(
        "CREATE TABLE IF NOT EXISTS homeroom_version (
            version integer PRIMARY KEY,
            reads_from integer NOT NULL,    -- the oldest version that a program must know
            program text NOT NULL,          -- which brought the tables to this version
            at timestamptz NOT NULL DEFAULT clock_timestamp()
        )",
    )
    .await?;
    let before = versions(conn).await?;
    for (step, version) in STEPS.iter().zip(1_i32..).skip(usize::try_from(before.found).unwrap_or(0)) {
        conn.batch(step.tables).await?;
        let told = "INSERT INTO homeroom_version (version, reads_from, program) VALUES ($1, $2, $3)";
        conn.execute(told, &[&version, &step.reads_from, &env!("CARGO_PKG_VERSION")]).await?;
    }
    Ok(before)
}
