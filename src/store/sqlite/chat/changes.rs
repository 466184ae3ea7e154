//! What homes change: sessions, messages, approvals, each a whole row.

use super::super::columns::{Id, Json};
use crate::{
    models::talk::Attached,
    protocols::chat::{
        model::{Approval, Message, Session},
        record::Change,
    },
};
use rusqlite::{Connection, named_params, params};

pub(super) fn write(conn: &Connection, change: &Change) -> rusqlite::Result<()> {
    change.session.as_ref().map_or(Ok(()), |new| session(conn, new))?;
    change.messages.iter().try_for_each(|new| message(conn, new))?;
    change.approvals.iter().try_for_each(|new| approval(conn, new))
}

fn session(conn: &Connection, session: &Session) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO chat_session (session_id, owner, title, agent, status, require_approval, metadata, message_count, created_at,
            updated_at, ended_at)
         VALUES (:id, :owner, :title, :agent, :status, :approval, :metadata, :count, :created, :updated, :ended)
         ON CONFLICT (session_id) DO UPDATE SET owner = :owner, title = :title, agent = :agent, status = :status,
            require_approval = :approval, metadata = :metadata, message_count = :count, created_at = :created, updated_at = :updated,
            ended_at = :ended",
    )?
    .execute(named_params! {
        ":id": Id(session.id),
        ":owner": Id(session.owner),
        ":title": session.title,
        ":agent": session.agent,
        ":status": session.status,
        ":approval": session.require_approval,
        ":metadata": session.metadata,
        ":count": session.message_count,
        ":created": session.created_at,
        ":updated": session.updated_at,
        ":ended": session.ended_at,
    })
    .map(drop)
}

/// Refused by its columns where its session is not there.
fn message(conn: &Connection, message: &Message) -> rusqlite::Result<()> {
    let row: i64 = conn
        .prepare_cached(
            "INSERT INTO chat_message (message_id, session, number, author, completeness, prompt_tokens, completion_tokens, cost,
                created_at, calls, content)
             VALUES (:id, (SELECT id FROM chat_session WHERE session_id = :session), :number, :author, :completeness, :prompt,
                :completion, :cost, :created, :calls, :content)
             ON CONFLICT (message_id) DO UPDATE SET session = excluded.session, number = :number, author = :author,
                completeness = :completeness, prompt_tokens = :prompt, completion_tokens = :completion, cost = :cost,
                created_at = :created, calls = :calls, content = :content
             RETURNING id",
        )?
        .query_row(
            named_params! {
                ":id": Id(message.id),
                ":session": Id(message.session),
                ":number": message.number,
                ":author": message.author,
                ":completeness": message.completeness,
                ":prompt": message.usage.prompt_tokens,
                ":completion": message.usage.completion_tokens,
                ":cost": message.cost,
                ":created": message.created_at,
                ":calls": Json(&message.calls),
                ":content": message.content,
            },
            |row| row.get(0),
        )?;
    attachments(conn, row, &message.attachments)
}

fn attachments(conn: &Connection, message: i64, attachments: &[Attached]) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM chat_attachment WHERE message = ?1")?.execute([message])?;
    let mut add =
        conn.prepare_cached("INSERT INTO chat_attachment (message, place, name, media_type, bytes) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (place, attached) in (0_i64..).zip(attachments) {
        add.execute(params![message, place, attached.name, attached.media_type, &attached.bytes[..]])?;
    }
    Ok(())
}

/// Refused by its columns where its session is not there.
fn approval(conn: &Connection, approval: &Approval) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO chat_approval (approval_id, session, message_id, decision, created_at, expires_at, decided_by, decided_at, reason,
            comment, call)
         VALUES (:id, (SELECT id FROM chat_session WHERE session_id = :session), :message, :decision, :created, :expires, :by, :at,
            :reason, :comment, :call)
         ON CONFLICT (approval_id) DO UPDATE SET session = excluded.session, message_id = :message, decision = :decision,
            created_at = :created, expires_at = :expires, decided_by = :by, decided_at = :at, reason = :reason, comment = :comment,
            call = :call",
    )?
    .execute(named_params! {
        ":id": Id(approval.id),
        ":session": Id(approval.session),
        ":message": Id(approval.message),
        ":decision": approval.decision,
        ":created": approval.created_at,
        ":expires": approval.expires_at,
        ":by": approval.decided_by,
        ":at": approval.decided_at,
        ":reason": approval.reason,
        ":comment": approval.comment,
        ":call": Json(&approval.call),
    })
    .map(drop)
}
