//! Who was in a room.

use super::super::{
    columns::{column, string},
    conn::Conn,
    fault::Fault,
};
use crate::{
    protocols::presence::record::Attendance,
    realtime::{ClassroomId, UnixMicros},
    store::intervals::told,
};
use tokio_postgres::Row;

/// See [`crate::store::Store::attendance`]. One statement, so that a session that ends meanwhile is told once.
pub(in super::super) async fn attendance(
    conn: &Conn,
    classroom: ClassroomId,
    from: UnixMicros,
    to: UnixMicros,
) -> Result<Vec<Attendance>, Fault> {
    // What began before `from` may be one interval with a session that still runs.
    let rows = conn
        .rows(
            "SELECT agent_id, started_at, NULL::bigint FROM agent_session WHERE classroom = $1
             UNION ALL
             SELECT agent_id, lower, upper FROM agent_session_history WHERE classroom = $1 AND lower < $3
                 AND upper >= least($2, (SELECT min(started_at) FROM agent_session WHERE classroom = $1))",
            &[&classroom, &from.0, &to.0],
        )
        .await?;
    let rows = rows.iter().map(attended).collect::<Result<_, _>>()?;
    Ok(told(rows, from, to))
}

/// See [`crate::store::Store::occupied`].
pub(in super::super) async fn occupied(conn: &Conn, limit: u32) -> Result<Vec<(ClassroomId, u64)>, Fault> {
    let select =
        "SELECT classroom, count(*) AS members FROM agent_session GROUP BY classroom ORDER BY members DESC, classroom LIMIT $1";
    let rows = conn.rows(select, &[&i64::from(limit)]).await?;
    rows.iter().map(|row| Ok((column(row, 0)?, column::<i64>(row, 1)?.unsigned_abs()))).collect()
}

fn attended(row: &Row) -> Result<Attendance, Fault> {
    let left: Option<i64> = column(row, 2)?;
    Ok(Attendance { agent_id: string(row, 0)?, entered: UnixMicros(column(row, 1)?), left: left.map(UnixMicros) })
}
