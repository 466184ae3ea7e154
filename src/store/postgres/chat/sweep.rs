//! What chat did not finish when the server stopped.

use super::super::{
    columns::{column, json, to_json},
    conn::Value,
    fault::Fault,
    writing::Writing,
};
use crate::protocols::chat::{model::Called, record::Sweep};

/// What a node that is alive wrote last is its own affair, unless it is this node.
const NOBODYS: &str =
    "NOT EXISTS (SELECT 1 FROM node WHERE node.epoch = it.epoch AND node.epoch <> $1 AND lease_until > clock_timestamp())";

/// See [`super::super::super::Store::sweep_chat`]. Always inside the caller's transaction.
pub(in super::super) async fn sweep(writing: &Writing<'_>, sweep: Sweep) -> Result<u64, Fault> {
    let own = writing.epoch();
    let streaming =
        format!("SELECT id, session, calls FROM chat_message AS it WHERE completeness = 'streaming' AND {NOBODYS} FOR UPDATE");
    let streaming = writing.rows(&streaming, &[&own]).await?;
    for row in &streaming {
        let (message, session): (i64, i64) = (column(row, 0)?, column(row, 1)?);
        let calls: Vec<Called> = json::<Vec<Called>>(row, 2)?.into_iter().map(Called::broken_off).collect();
        let values: [Value<'_>; 2] = [&message, &to_json(&calls)?];
        writing.execute("UPDATE chat_message SET completeness = 'incomplete', calls = $2 WHERE id = $1", &values).await?;
        writing.execute("UPDATE chat_session SET message_count = message_count + 1 WHERE id = $1", &[&session]).await?;
    }
    let expire =
        format!("UPDATE chat_approval AS it SET decision = 'expired', decided_at = $2 WHERE decision = 'pending' AND {NOBODYS}");
    writing.execute(&expire, &[&own, &sweep.at.0]).await?;
    Ok(streaming.len() as u64)
}
