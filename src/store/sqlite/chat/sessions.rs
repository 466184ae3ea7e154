//! Sessions as routes see them.

use super::super::columns::{Id, count};
use crate::protocols::chat::{
    model::{Session, SessionId, Status},
    record::{Listed, Page, SessionFilter},
};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// What a [`Session`] is made of.
pub(super) const SESSION: &str = "session_id, owner, title, agent, status, require_approval, metadata, message_count, created_at,
    updated_at, ended_at";

pub(super) fn a_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get::<_, Id>(0)?.0,
        owner: row.get::<_, Id>(1)?.0,
        title: row.get(2)?,
        agent: row.get(3)?,
        status: row.get(4)?,
        require_approval: row.get(5)?,
        metadata: row.get(6)?,
        message_count: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
        ended_at: row.get(10)?,
    })
}

pub(super) fn session(conn: &Connection, session: SessionId) -> rusqlite::Result<Option<Session>> {
    conn.prepare_cached(&format!("SELECT {SESSION} FROM chat_session WHERE session_id = ?1"))?
        .query_row([Id(session)], a_session)
        .optional()
}

/// With `:owner`, `:agent`, which may be none, and `:before`.
fn found(status: Option<Status>) -> String {
    let standing = match status {
        None => ":before IS NOT NULL",
        Some(Status::Active) => "status = 'active' AND updated_at >= :before",
        Some(Status::Ended) => "(status = 'ended' OR updated_at < :before)",
    };
    format!(
        "FROM chat_session INDEXED BY chat_session_of_owner WHERE owner = :owner AND (:agent IS NULL OR agent = :agent) AND {standing}"
    )
}

pub(super) fn whole(status: Option<Status>) -> String {
    format!("SELECT count(*) {}", found(status))
}

/// With `:limit` and `:offset` too. Only the part is read whole.
pub(super) fn part(status: Option<Status>) -> String {
    let found = found(status);
    format!(
        "WITH part AS MATERIALIZED (
            SELECT id {found} ORDER BY created_at DESC, session_id DESC LIMIT :limit OFFSET :offset
         )
         SELECT {SESSION} FROM part CROSS JOIN chat_session USING (id) ORDER BY created_at DESC, session_id DESC"
    )
}

pub(super) fn sessions(conn: &Connection, filter: &SessionFilter, page: Page) -> rusqlite::Result<Listed<Session>> {
    let (owner, agent, before) = (Id(filter.owner), &filter.agent, filter.expired_before);
    let total = conn
        .prepare_cached(&whole(filter.status))?
        .query_row(named_params! { ":owner": owner, ":agent": agent, ":before": before }, |row| count(row, 0))?;
    let offset = i64::from(page.page.saturating_sub(1)) * i64::from(page.size);
    let items = conn
        .prepare_cached(&part(filter.status))?
        .query_map(
            named_params! { ":owner": owner, ":agent": agent, ":before": before, ":limit": page.size, ":offset": offset },
            a_session,
        )?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Listed { items, total })
}
