//! Lists of what owners have, newest first: what was written last has the greatest number.

use super::{
    columns::{Id, count},
    loaded::{self, QUIZ},
};
use crate::{
    protocols::quiz::{
        model::{EventId, ParticipantId, Quiz, QuizId, Status},
        record::{Account, Event, Key, KeyRow, Listed, Page, Participant, QuizRow},
    },
    realtime::UnixMicros,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

/// The whole's length by one statement, the part by another.
pub(super) fn listed<T>(
    conn: &Connection,
    (whole, counted): (&str, impl Params),
    (select, selected): (&str, impl Params),
    item: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Listed<T>> {
    let total = conn.prepare_cached(whole)?.query_row(counted, |row| count(row, 0))?;
    let items = conn.prepare_cached(select)?.query_map(selected, item)?.collect::<rusqlite::Result<_>>()?;
    Ok(Listed { items, total })
}

/// An owner's number.
pub(super) fn owner(conn: &Connection, owner: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM owner WHERE owner_id = ?1")?.query_row([owner], |row| row.get(0)).optional()
}

/// What an owner of whom nothing is known has.
pub(super) fn nothing<T>() -> Listed<T> {
    Listed { items: Vec::new(), total: 0 }
}

pub(super) fn account(conn: &Connection, name: &str) -> rusqlite::Result<Option<Account>> {
    conn.prepare_cached("SELECT password_hash, changed_at FROM account WHERE name = ?1")?
        .query_row([name], |row| Ok(Account { name: name.to_owned(), password_hash: row.get(0)?, at: row.get(1)? }))
        .optional()
}

pub(super) fn accounts(conn: &Connection) -> rusqlite::Result<Vec<(String, UnixMicros)>> {
    let mut accounts = conn.prepare_cached("SELECT name, changed_at FROM account ORDER BY name")?;
    accounts.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

pub(super) fn good_keys(conn: &Connection) -> rusqlite::Result<Vec<Key>> {
    let mut keys = conn.prepare_cached(
        "SELECT key_id, owner_id, label, role, hash, hint, created_at FROM api_key JOIN owner ON owner.id = api_key.owner
         WHERE revoked_at IS NULL ORDER BY api_key.id",
    )?;
    keys.query_map([], key)?.collect()
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key {
        id: row.get::<_, Id>(0)?.0,
        owner: row.get(1)?,
        label: row.get(2)?,
        role: row.get(3)?,
        hash: row.get(4)?,
        hint: row.get(5)?,
        created_at: row.get(6)?,
    })
}

pub(super) fn keys(conn: &Connection, owner_id: &str, page: Page) -> rusqlite::Result<Listed<KeyRow>> {
    let Some(owner) = owner(conn, owner_id)? else { return Ok(nothing()) };
    listed(
        conn,
        ("SELECT count(*) FROM api_key WHERE owner = ?1", [owner]),
        (
            "SELECT key_id, ?2, label, role, hash, hint, created_at, revoked_at FROM api_key
             WHERE owner = ?1 ORDER BY id DESC LIMIT ?3 OFFSET ?4",
            params![owner, owner_id, page.limit, page.offset],
        ),
        |row| Ok(KeyRow { key: key(row)?, revoked_at: row.get(7)? }),
    )
}

pub(super) fn quizzes(
    conn: &Connection,
    owner_id: &str,
    status: Option<Status>,
    page: Page,
) -> rusqlite::Result<Listed<QuizRow>> {
    let Some(owner) = owner(conn, owner_id)? else { return Ok(nothing()) };
    listed(
        conn,
        ("SELECT count(*) FROM quiz WHERE owner = ?1 AND (?2 IS NULL OR status = ?2)", params![owner, status]),
        (
            &format!(
                "SELECT {QUIZ} FROM quiz JOIN owner ON owner.id = quiz.owner
                 WHERE owner = ?1 AND (?2 IS NULL OR status = ?2) ORDER BY quiz.id DESC LIMIT ?3 OFFSET ?4"
            ),
            params![owner, status, page.limit, page.offset],
        ),
        |row| Ok(QuizRow { quiz: loaded::made(row)?, questions_count: row.get("questions")? }),
    )
}

pub(super) fn quiz(conn: &Connection, owner_id: &str, id: QuizId) -> rusqlite::Result<Option<Quiz>> {
    Ok(loaded::quiz(conn, id)?.filter(|quiz| &*quiz.owner == owner_id))
}

pub(super) fn participants(conn: &Connection, owner_id: &str, page: Page) -> rusqlite::Result<Listed<Participant>> {
    let Some(owner) = owner(conn, owner_id)? else { return Ok(nothing()) };
    listed(
        conn,
        ("SELECT count(*) FROM participant WHERE owner = ?1", [owner]),
        (
            "SELECT participant_id, ?2, alias, created_at FROM participant WHERE owner = ?1 ORDER BY id DESC LIMIT ?3 OFFSET ?4",
            params![owner, owner_id, page.limit, page.offset],
        ),
        a_participant,
    )
}

pub(super) fn participant(conn: &Connection, owner: &str, id: ParticipantId) -> rusqlite::Result<Option<Participant>> {
    conn.prepare_cached(
        "SELECT participant_id, owner_id, alias, created_at FROM participant JOIN owner ON owner.id = participant.owner
         WHERE participant_id = ?1 AND owner_id = ?2",
    )?
    .query_row(params![Id(id), owner], a_participant)
    .optional()
}

fn a_participant(row: &Row<'_>) -> rusqlite::Result<Participant> {
    let created_at: UnixMicros = row.get(3)?;
    Ok(Participant { id: row.get::<_, Id>(0)?.0, owner: row.get(1)?, alias: row.get(2)?, created_at })
}

pub(super) fn events(conn: &Connection, owner_id: &str, page: Page) -> rusqlite::Result<Listed<Event>> {
    let Some(owner) = owner(conn, owner_id)? else { return Ok(nothing()) };
    listed(
        conn,
        ("SELECT count(*) FROM event WHERE owner = ?1", [owner]),
        (
            "SELECT event_id, ?2, title, created_at FROM event WHERE owner = ?1 ORDER BY id DESC LIMIT ?3 OFFSET ?4",
            params![owner, owner_id, page.limit, page.offset],
        ),
        an_event,
    )
}

pub(super) fn event(conn: &Connection, owner: &str, id: EventId) -> rusqlite::Result<Option<Event>> {
    conn.prepare_cached(
        "SELECT event_id, owner_id, title, created_at FROM event JOIN owner ON owner.id = event.owner
         WHERE event_id = ?1 AND owner_id = ?2",
    )?
    .query_row(params![Id(id), owner], an_event)
    .optional()
}

fn an_event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event { id: row.get::<_, Id>(0)?.0, owner: row.get(1)?, title: row.get(2)?, created_at: row.get(3)? })
}
