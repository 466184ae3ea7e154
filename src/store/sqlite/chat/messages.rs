//! Messages: those that a home begins with, and parts of the history.

use super::{
    super::columns::{Id, json},
    sessions::{SESSION, a_session},
};
use crate::{
    models::{Usage, talk::Attached},
    protocols::chat::{
        model::{Approval, Message, MessageId, SessionId},
        record::{From, History, Load, Loaded, PART_BYTES, Part, Waiting},
    },
    realtime::UnixMicros,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// What a [`Message`] is made of, but its session and what came with it; then its row, and whether anything came with it.
const MESSAGE: &str =
    "message_id, number, author, completeness, prompt_tokens, completion_tokens, cost, created_at, calls, content, id,
    EXISTS (SELECT 1 FROM chat_attachment WHERE message = chat_message.id)";

/// With the numbers between which a part lies, both outside, and one more than is asked for.
pub(super) fn newest_first() -> String {
    format!("SELECT {MESSAGE} FROM chat_message WHERE session = ?1 AND number > ?2 AND number < ?3 ORDER BY number DESC LIMIT ?4")
}

/// As [`newest_first`].
pub(super) fn oldest_first() -> String {
    format!("SELECT {MESSAGE} FROM chat_message WHERE session = ?1 AND number > ?2 AND number < ?3 ORDER BY number LIMIT ?4")
}

/// Those of a session that were decided since.
pub(super) const DECIDED: &str =
    "SELECT approval_id, message_id, call, decision, created_at, expires_at, decided_by, decided_at, reason,
        comment
    FROM chat_approval WHERE session = ?1 AND decided_at >= ?2 ORDER BY created_at, approval_id";

/// Those of any session that wait, with the session and whose it is.
const WAITING: &str =
    "SELECT approval_id, message_id, call, decision, waiting.created_at, expires_at, decided_by, decided_at, reason, comment,
        session_id, coalesce(username, '')
    FROM chat_approval AS waiting JOIN chat_session ON chat_session.id = waiting.session
    LEFT JOIN lab_user ON lab_user.user_id = chat_session.owner
    WHERE decision = 'pending' AND expires_at > ?1 ORDER BY waiting.created_at, approval_id LIMIT ?2";

/// No message has such a number, nor one beyond it.
const BEFORE_ALL: i64 = 0;
const AFTER_ALL: i64 = i64::MAX;

pub(super) fn loaded(conn: &Connection, load: Load) -> rusqlite::Result<Option<Box<Loaded>>> {
    let found = conn
        .prepare_cached(&format!("SELECT {SESSION}, id FROM chat_session WHERE session_id = ?1"))?
        .query_row([Id(load.session)], |row| Ok((a_session(row)?, row.get(11)?)))
        .optional()?;
    let Some((session, number)) = found else { return Ok(None) };
    let mut approvals = conn.prepare_cached(DECIDED)?;
    let approvals = approvals.query_map(params![number, load.decided_since], |row| an_approval(row, load.session))?;
    let approvals = approvals.collect::<rusqlite::Result<_>>()?;
    Ok(Some(Box::new(Loaded { session, messages: context(conn, number, load)?, approvals })))
}

pub(super) fn waiting(conn: &Connection, now: UnixMicros, limit: u32) -> rusqlite::Result<Vec<Waiting>> {
    let one = |row: &Row<'_>| {
        let approval = an_approval(row, row.get::<_, Id>(10)?.0)?;
        Ok(Waiting { approval, owner: row.get(11)? })
    };
    conn.prepare_cached(WAITING)?.query_map(params![now, limit], one)?.collect()
}

/// Bytes are read only of what is shown.
fn context(conn: &Connection, session: i64, load: Load) -> rusqlite::Result<Vec<Message>> {
    let mut select = conn.prepare_cached(&newest_first())?;
    let limit = i64::try_from(load.messages).unwrap_or(i64::MAX);
    let mut rows = select.query(params![session, BEFORE_ALL, AFTER_ALL, limit])?;
    let (mut messages, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let mut message = a_message(row, load.session)?;
        let has_attachments: bool = row.get(11)?;
        let attached = if has_attachments { attached_bytes(conn, row.get(10)?)? } else { 0 };
        bytes = bytes.saturating_add(message.weight()).saturating_add(attached);
        if bytes > load.bytes && !messages.is_empty() {
            break;
        }
        if has_attachments {
            message.attachments = attachments(conn, row.get(10)?)?;
        }
        messages.push(message);
    }
    messages.reverse();
    Ok(messages)
}

/// None where the cursor is not a message of the session.
pub(super) fn part(conn: &Connection, history: History) -> rusqlite::Result<Option<Part>> {
    let session: Option<i64> = conn
        .prepare_cached("SELECT id FROM chat_session WHERE session_id = ?1")?
        .query_row([Id(history.session)], |row| row.get(0))
        .optional()?;
    let Some(session) = session else {
        return Ok((history.from == From::Newest).then_some(Part { messages: Vec::new(), has_more: false }));
    };
    let (select, bounds) = match history.from {
        From::Newest => (newest_first(), Some((BEFORE_ALL, AFTER_ALL))),
        From::Before(cursor) => (newest_first(), number(conn, session, cursor)?.map(|number| (BEFORE_ALL, number))),
        From::After(cursor) => (oldest_first(), number(conn, session, cursor)?.map(|number| (number, AFTER_ALL))),
    };
    let Some((after, before)) = bounds else { return Ok(None) };
    let mut select = conn.prepare_cached(&select)?;
    let mut rows = select.query(params![session, after, before, i64::from(history.limit) + 1])?;
    let mut part = Part { messages: Vec::new(), has_more: false };
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let mut message = a_message(row, history.session)?;
        bytes += message.weight();
        let is_much = bytes > PART_BYTES && !part.messages.is_empty();
        if part.messages.len() >= history.limit as usize || is_much {
            part.has_more = true;
            break;
        }
        if row.get(11)? {
            message.attachments = named(conn, row.get(10)?)?;
        }
        part.messages.push(message);
    }
    part.messages.sort_by_key(|message| message.number);
    Ok(Some(part))
}

fn number(conn: &Connection, session: i64, cursor: MessageId) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT number FROM chat_message WHERE message_id = ?1 AND session = ?2")?
        .query_row(params![Id(cursor), session], |row| row.get(0))
        .optional()
}

fn a_message(row: &Row<'_>, session: SessionId) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.get::<_, Id>(0)?.0,
        session,
        number: row.get(1)?,
        author: row.get(2)?,
        completeness: row.get(3)?,
        usage: Usage { prompt_tokens: row.get(4)?, completion_tokens: row.get(5)? },
        cost: row.get(6)?,
        created_at: row.get(7)?,
        calls: json(row, 8)?,
        content: row.get(9)?,
        attachments: Vec::new(),
    })
}

fn attached_bytes(conn: &Connection, message: i64) -> rusqlite::Result<usize> {
    let bytes: i64 = conn
        .prepare_cached("SELECT coalesce(sum(length(bytes)), 0) FROM chat_attachment WHERE message = ?1")?
        .query_row([message], |row| row.get(0))?;
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}

fn attachments(conn: &Connection, message: i64) -> rusqlite::Result<Vec<Attached>> {
    conn.prepare_cached("SELECT name, media_type, bytes FROM chat_attachment WHERE message = ?1 ORDER BY place")?
        .query_map([message], |row| {
            Ok(Attached { name: row.get(0)?, media_type: row.get(1)?, bytes: row.get::<_, Vec<u8>>(2)?.into() })
        })?
        .collect()
}

/// Without their bytes.
fn named(conn: &Connection, message: i64) -> rusqlite::Result<Vec<Attached>> {
    conn.prepare_cached("SELECT name, media_type FROM chat_attachment WHERE message = ?1 ORDER BY place")?
        .query_map([message], |row| Ok(Attached { name: row.get(0)?, media_type: row.get(1)?, bytes: Bytes::new() }))?
        .collect()
}

fn an_approval(row: &Row<'_>, session: SessionId) -> rusqlite::Result<Approval> {
    Ok(Approval {
        id: row.get::<_, Id>(0)?.0,
        session,
        message: row.get::<_, Id>(1)?.0,
        call: json(row, 2)?,
        decision: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        decided_by: row.get(6)?,
        decided_at: row.get(7)?,
        reason: row.get(8)?,
        comment: row.get(9)?,
    })
}
