//! What owners have besides quizzes: accounts, keys, participants, events.

use super::super::{
    columns::{Word, text},
    conn::Conn,
    fault::Fault,
};
use crate::{
    protocols::quiz::{
        model::KeyId,
        record::{Account, Event, Kept, Key, Participant},
    },
    realtime::UnixMicros,
};

/// Who has no name owns nothing.
pub(super) fn of(owner: &str) -> Result<(), Fault> {
    if owner.is_empty() { Err(Fault::Value("who has no name owns nothing".into())) } else { Ok(()) }
}

pub(super) async fn account(conn: &Conn, account: &Account) -> Result<Kept, Fault> {
    of(&account.name)?;
    conn.execute(
        "INSERT INTO account (name, password_hash, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT (name) DO UPDATE SET password_hash = excluded.password_hash, changed_at = excluded.changed_at",
        &[&text(&account.name), &account.password_hash, &account.at.0],
    )
    .await?;
    Ok(Kept::Done)
}

pub(super) async fn participant(conn: &Conn, participant: &Participant) -> Result<Kept, Fault> {
    of(&participant.owner)?;
    conn.execute(
        "INSERT INTO participant (participant_id, owner, alias, created_at) VALUES ($1, $2, $3, $4)",
        &[&participant.id, &text(&participant.owner), &text(&participant.alias), &participant.created_at.0],
    )
    .await?;
    Ok(Kept::Done)
}

pub(super) async fn event(conn: &Conn, event: &Event) -> Result<Kept, Fault> {
    of(&event.owner)?;
    conn.execute(
        "INSERT INTO event (event_id, owner, title, created_at) VALUES ($1, $2, $3, $4)",
        &[&event.id, &text(&event.owner), &text(&event.title), &event.created_at.0],
    )
    .await?;
    Ok(Kept::Done)
}

pub(super) async fn key(conn: &Conn, key: &Key) -> Result<Kept, Fault> {
    of(&key.owner)?;
    conn.execute(
        "INSERT INTO api_key (key_id, owner, label, role, hash, hint, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[&key.id, &text(&key.owner), &text(&key.label), &key.role.word(), &&key.hash[..], &text(&key.hint), &key.created_at.0],
    )
    .await?;
    Ok(Kept::Done)
}

/// The first revocation counts.
pub(super) async fn revoked(conn: &Conn, owner: &str, key: KeyId, at: UnixMicros) -> Result<Kept, Fault> {
    of(owner)?;
    let changed = conn
        .execute(
            "UPDATE api_key SET revoked_at = coalesce(revoked_at, $3) WHERE key_id = $1 AND owner = $2",
            &[&key, &text(owner), &at.0],
        )
        .await?;
    Ok(if changed == 0 { Kept::Missing } else { Kept::Done })
}
