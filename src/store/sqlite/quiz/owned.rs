//! Owners, and what they have besides quizzes: accounts, keys, participants, events.

use super::columns::Id;
use crate::{
    protocols::quiz::{
        model::{KeyId, OwnerId},
        record::{Account, Event, Kept, Key, Participant},
    },
    realtime::UnixMicros,
};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Statement, params};

/// Owners whose number is remembered: some 80 bytes each, forgotten all at once when there are more.
const REMEMBERED_OWNERS: usize = 16_384;

/// The numbers of owners.
pub(super) struct Owners<'c> {
    find: Statement<'c>,
    add: Statement<'c>,
    known: HashMap<OwnerId, i64>,
}

impl<'c> Owners<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> rusqlite::Result<Owners<'c>> {
        Ok(Owners {
            find: conn.prepare("SELECT id FROM owner WHERE owner_id = ?1")?,
            add: conn.prepare("INSERT INTO owner (owner_id) VALUES (?1) RETURNING id")?,
            known: HashMap::new(),
        })
    }

    /// An owner's number; given now where there is none.
    pub(super) fn number(&mut self, owner: &OwnerId) -> rusqlite::Result<i64> {
        if let Some(&known) = self.known.get(owner) {
            return Ok(known);
        }
        let found = self.find.query_row([&**owner], |row| row.get(0)).optional()?;
        let number = match found {
            Some(number) => number,
            None => self.add.query_row([&**owner], |row| row.get(0))?,
        };
        if self.known.len() >= REMEMBERED_OWNERS {
            self.known.clear();
        }
        self.known.insert(owner.clone(), number);
        Ok(number)
    }

    pub(super) fn rolled_back(&mut self) {
        self.known.clear();
    }
}

pub(super) fn account(conn: &Connection, account: &Account) -> rusqlite::Result<Kept> {
    conn.prepare_cached("INSERT OR REPLACE INTO account (name, password_hash, changed_at) VALUES (?1, ?2, ?3)")?
        .execute(params![account.name, account.password_hash, account.at])?;
    Ok(Kept::Done)
}

pub(super) fn participant(conn: &Connection, owner: i64, participant: &Participant) -> rusqlite::Result<Kept> {
    conn.prepare_cached("INSERT INTO participant (participant_id, owner, alias, created_at) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![Id(participant.id), owner, participant.alias, participant.created_at])?;
    Ok(Kept::Done)
}

pub(super) fn event(conn: &Connection, owner: i64, event: &Event) -> rusqlite::Result<Kept> {
    conn.prepare_cached("INSERT INTO event (event_id, owner, title, created_at) VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        Id(event.id),
        owner,
        event.title,
        event.created_at
    ])?;
    Ok(Kept::Done)
}

pub(super) fn key(conn: &Connection, owner: i64, key: &Key) -> rusqlite::Result<Kept> {
    conn.prepare_cached(
        "INSERT INTO api_key (key_id, owner, label, role, hash, hint, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![Id(key.id), owner, key.label, key.role, key.hash, key.hint, key.created_at])?;
    Ok(Kept::Done)
}

/// A key that is good no more already stays so from when it was.
pub(super) fn revoked(conn: &Connection, owner: i64, key: KeyId, at: UnixMicros) -> rusqlite::Result<Kept> {
    let changed = conn
        .prepare_cached("UPDATE api_key SET revoked_at = coalesce(revoked_at, ?3) WHERE key_id = ?1 AND owner = ?2")?
        .execute(params![Id(key), owner, at])?;
    Ok(if changed == 0 { Kept::Missing } else { Kept::Done })
}
