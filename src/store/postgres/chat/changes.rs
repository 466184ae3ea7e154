//! What homes change: sessions, messages, approvals, each a whole row.

use super::super::{
    columns::{Word, column, text, to_json},
    conn::Conn,
    fault::Fault,
    writing::Writing,
};
use crate::{
    models::talk::Attached,
    protocols::chat::{
        model::{Approval, Message, Session},
        record::Change,
    },
};

pub(super) async fn write(writing: &Writing<'_>, change: &Change) -> Result<(), Fault> {
    if let Some(new) = &change.session {
        session(writing, new).await?;
    }
    for new in &change.messages {
        message(writing, new).await?;
    }
    for new in &change.approvals {
        approval(writing, new).await?;
    }
    Ok(())
}

async fn session(conn: &Conn, session: &Session) -> Result<(), Fault> {
    conn.execute(
        "INSERT INTO chat_session (session_id, owner, title, agent, status, require_approval, metadata, message_count, created_at,
            updated_at, ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (session_id) DO UPDATE SET owner = EXCLUDED.owner, title = EXCLUDED.title, agent = EXCLUDED.agent,
            status = EXCLUDED.status, require_approval = EXCLUDED.require_approval, metadata = EXCLUDED.metadata,
            message_count = EXCLUDED.message_count, created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at,
            ended_at = EXCLUDED.ended_at",
        &[
            &session.id,
            &session.owner,
            &text(&session.title),
            &session.agent.as_deref().map(text),
            &session.status.word(),
            &session.require_approval,
            &text(&session.metadata),
            &i64::from(session.message_count),
            &session.created_at.0,
            &session.updated_at.0,
            &session.ended_at.map(|at| at.0),
        ],
    )
    .await?;
    Ok(())
}

/// Refused by its columns where its session is not there. What came with the message before comes with it no more.
async fn message(writing: &Writing<'_>, message: &Message) -> Result<(), Fault> {
    let row = writing
        .one(
            "WITH kept AS (
                INSERT INTO chat_message (message_id, session, number, author, completeness, prompt_tokens, completion_tokens, cost,
                    created_at, calls, content, epoch)
                VALUES ($1, (SELECT id FROM chat_session WHERE session_id = $2), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                ON CONFLICT (message_id) DO UPDATE SET session = EXCLUDED.session, number = EXCLUDED.number, author = EXCLUDED.author,
                    completeness = EXCLUDED.completeness, prompt_tokens = EXCLUDED.prompt_tokens,
                    completion_tokens = EXCLUDED.completion_tokens, cost = EXCLUDED.cost, created_at = EXCLUDED.created_at,
                    calls = EXCLUDED.calls, content = EXCLUDED.content, epoch = EXCLUDED.epoch
                RETURNING id
             ), gone AS (DELETE FROM chat_attachment WHERE message = (SELECT id FROM kept))
             SELECT id FROM kept",
            &[
                &message.id,
                &message.session,
                &i64::from(message.number),
                &message.author.word(),
                &message.completeness.word(),
                &i64::from(message.usage.prompt_tokens),
                &i64::from(message.usage.completion_tokens),
                &message.cost,
                &message.created_at.0,
                &to_json(&message.calls)?,
                &text(&message.content),
                &writing.epoch(),
            ],
        )
        .await?;
    attachments(writing, column(&row, 0)?, &message.attachments).await
}

async fn attachments(conn: &Conn, message: i64, attachments: &[Attached]) -> Result<(), Fault> {
    for (place, attached) in (0_i64..).zip(attachments) {
        conn.execute(
            "INSERT INTO chat_attachment (message, place, name, media_type, bytes) VALUES ($1, $2, $3, $4, $5)",
            &[&message, &place, &text(&attached.name), &text(&attached.media_type), &&attached.bytes[..]],
        )
        .await?;
    }
    Ok(())
}

/// Refused by its columns where its session is not there.
async fn approval(writing: &Writing<'_>, approval: &Approval) -> Result<(), Fault> {
    writing
        .execute(
        "INSERT INTO chat_approval (approval_id, session, message_id, decision, created_at, expires_at, decided_by, decided_at, reason,
            comment, call, epoch)
         VALUES ($1, (SELECT id FROM chat_session WHERE session_id = $2), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (approval_id) DO UPDATE SET session = EXCLUDED.session, message_id = EXCLUDED.message_id,
            decision = EXCLUDED.decision, created_at = EXCLUDED.created_at, expires_at = EXCLUDED.expires_at,
            decided_by = EXCLUDED.decided_by, decided_at = EXCLUDED.decided_at, reason = EXCLUDED.reason, comment = EXCLUDED.comment,
            call = EXCLUDED.call, epoch = EXCLUDED.epoch",
        &[
            &approval.id,
            &approval.session,
            &approval.message,
            &approval.decision.word(),
            &approval.created_at.0,
            &approval.expires_at.0,
            &approval.decided_by.as_deref().map(text),
            &approval.decided_at.map(|at| at.0),
            &approval.reason.as_deref().map(text),
            &approval.comment.as_deref().map(text),
            &to_json(&approval.call)?,
            &writing.epoch(),
        ],
    )
    .await?;
    Ok(())
}
