//! What chat did not finish when a server stopped, or when a node died.

use super::super::{
    columns::{column, json, to_json},
    conn::{Conn, Value},
    fault::Fault,
    writing::Writing,
};
use crate::{
    protocols::chat::{model::Called, record::Sweep},
    realtime::UnixMicros,
};

/// What a node that is there wrote last is its own affair, or that of whoever buries it; unless it is this node.
const NOBODYS: &str = "NOT EXISTS (SELECT 1 FROM node WHERE node.epoch = it.epoch AND node.epoch <> $1)";
const OF_A_NODE: &str = "it.epoch = $1";

/// See [`super::super::super::Store::sweep_chat`]. Always inside the caller's transaction.
pub(in super::super) async fn sweep(writing: &Writing<'_>, sweep: Sweep) -> Result<u64, Fault> {
    end(writing, NOBODYS, writing.epoch(), sweep.at).await
}

/// Ends what a tenure did not finish, with the tenure itself, or at `seen_at` where it was buried. Always inside the caller's transaction.
pub(in super::super) async fn bury(conn: &Conn, epoch: i64, seen_at: UnixMicros) -> Result<u64, Fault> {
    end(conn, OF_A_NODE, epoch, seen_at).await
}

async fn end(conn: &Conn, whose: &str, epoch: i64, at: UnixMicros) -> Result<u64, Fault> {
    let streaming = format!(
        "SELECT id, session, calls FROM chat_message AS it WHERE completeness = 'streaming' AND {whose} ORDER BY id FOR UPDATE"
    );
    let streaming = conn.rows(&streaming, &[&epoch]).await?;
    for row in &streaming {
        let (message, session): (i64, i64) = (column(row, 0)?, column(row, 1)?);
        let calls: Vec<Called> = json::<Vec<Called>>(row, 2)?.into_iter().map(Called::broken_off).collect();
        let values: [Value<'_>; 2] = [&message, &to_json(&calls)?];
        conn.execute("UPDATE chat_message SET completeness = 'incomplete', calls = $2 WHERE id = $1", &values).await?;
        conn.execute("UPDATE chat_session SET message_count = message_count + 1 WHERE id = $1", &[&session]).await?;
    }
    let expire =
        format!("UPDATE chat_approval AS it SET decision = 'expired', decided_at = $2 WHERE decision = 'pending' AND {whose}");
    conn.execute(&expire, &[&epoch, &at.0]).await?;
    Ok(streaming.len() as u64)
}
