//! Sessions as routes see them.

use super::super::{
    columns::{column, count, number, string, string_if_any, text, time, time_if_any, word},
    conn::{Conn, Value},
    fault::Fault,
};
use crate::protocols::chat::{
    model::{Session, SessionId, Status},
    record::{Listed, Page, SessionFilter},
};
use tokio_postgres::Row;

/// What a [`Session`] is made of.
pub(super) const SESSION: &str = "session_id, owner, title, agent, status, require_approval, metadata, message_count, created_at,
    updated_at, ended_at";

pub(super) fn a_session(row: &Row) -> Result<Session, Fault> {
    Ok(Session {
        id: column(row, 0)?,
        owner: column(row, 1)?,
        title: string(row, 2)?.into(),
        agent: string_if_any(row, 3)?.map(Into::into),
        status: word(row, 4)?,
        require_approval: column(row, 5)?,
        metadata: string(row, 6)?.into(),
        message_count: number(row, 7)?,
        created_at: time(row, 8)?,
        updated_at: time(row, 9)?,
        ended_at: time_if_any(row, 10)?,
    })
}

pub(super) async fn session(conn: &Conn, session: SessionId) -> Result<Option<Session>, Fault> {
    let found = conn.row(&format!("SELECT {SESSION} FROM chat_session WHERE session_id = $1"), &[&session]).await?;
    found.as_ref().map(a_session).transpose()
}

/// With the owner and since when whoever is silent has ended; then, where one is wanted, the agent.
fn found(status: Option<Status>, with_agent: bool) -> String {
    let standing = match status {
        None => "$2::bigint IS NOT NULL",
        Some(Status::Active) => "status = 'active' AND updated_at >= $2",
        Some(Status::Ended) => "(status = 'ended' OR updated_at < $2)",
    };
    let agent = if with_agent { " AND agent = $3" } else { "" };
    format!("FROM chat_session WHERE owner = $1 AND {standing}{agent}")
}

pub(super) async fn sessions(conn: &Conn, filter: &SessionFilter, page: Page) -> Result<Listed<Session>, Fault> {
    let agent = filter.agent.as_deref().map(text);
    let found = found(filter.status, agent.is_some());
    let mut values: Vec<Value<'_>> = vec![&filter.owner, &filter.expired_before.0];
    values.extend(agent.iter().map(|agent| agent as Value<'_>));
    let total = conn.one(&format!("SELECT count(*) {found}"), &values).await?;
    let (limit, offset) = (i64::from(page.size), i64::from(page.page.saturating_sub(1)) * i64::from(page.size));
    let (at_limit, at_offset) = (values.len() + 1, values.len() + 2);
    values.extend([&limit as Value<'_>, &offset]);
    let select =
        format!("SELECT {SESSION} {found} ORDER BY created_at DESC, session_id DESC LIMIT ${at_limit} OFFSET ${at_offset}");
    let items = conn.rows(&select, &values).await?.iter().map(a_session).collect::<Result<_, Fault>>()?;
    Ok(Listed { items, total: count(&total, 0)? })
}
