//! A transaction that writes: begun with the check that this node's tenure stands, and ended so that it is known whether it holds.

use super::{super::Tenure, columns::column, conn::Conn, fault::Fault};
use futures_util::future::{join, join3};
use std::ops::Deref;

/// Holds the node's row until the transaction ends, so that whoever buries it waits; a renewal does not.
const FENCE: &str = "SELECT pg_current_xact_id()::text FROM node WHERE slot = $1 AND epoch = $2 FOR KEY SHARE";

const NUMBERS: &str = "SELECT nextval('agent_session_number') FROM generate_series(1, $1)";

/// A connection inside of a transaction that may write.
pub(super) struct Writing<'c> {
    conn: &'c Conn,
    tenure: Tenure,
    /// The transaction's number, by which its end is found out on another connection.
    pub(super) transaction: String,
    /// Numbers for sessions that are to begin, ascending.
    pub(super) numbers: Vec<i64>,
}

impl Deref for Writing<'_> {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        self.conn
    }
}

impl<'c> Writing<'c> {
    /// Begins, with so many numbers for sessions.
    pub(super) async fn begin(conn: &'c Conn, tenure: Tenure, sessions: usize) -> Result<Writing<'c>, Fault> {
        let fence = conn.prepared(FENCE).await?;
        let (slot, epoch) = (slot(tenure), tenure.epoch);
        let held: &[super::conn::Value<'_>] = &[&slot, &epoch];
        let (fenced, numbers) = if sessions == 0 {
            let (begun, fenced) = join(conn.batch("BEGIN"), conn.ask(&fence, held)).await;
            begun?;
            (fenced?, Vec::new())
        } else {
            let numbers = conn.prepared(NUMBERS).await?;
            let count = i32::try_from(sessions).unwrap_or(i32::MAX);
            let (begun, fenced, numbers) =
                join3(conn.batch("BEGIN"), conn.ask(&fence, held), conn.ask(&numbers, &[&count])).await;
            begun?;
            (fenced?, numbers?)
        };
        let transaction = column(fenced.first().ok_or(Fault::Lost)?, 0)?;
        let numbers = numbers.iter().map(|row| column(row, 0)).collect::<Result<_, _>>()?;
        Ok(Writing { conn, tenure, transaction, numbers })
    }

    /// This node, as a column has it.
    pub(super) fn slot(&self) -> i16 {
        slot(self.tenure)
    }

    /// This node's epoch: what it leaves unfinished is found by it.
    pub(super) fn epoch(&self) -> i64 {
        self.tenure.epoch
    }

    /// Makes it hold.
    pub(super) async fn commit(&self) -> Result<(), Fault> {
        self.conn.batch("COMMIT").await
    }
}

/// As a column has it: slots are far below its bound.
pub(super) fn slot(tenure: Tenure) -> i16 {
    i16::try_from(tenure.slot).unwrap_or(i16::MAX)
}
