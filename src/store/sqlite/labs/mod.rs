//! Records of labs in tables: written by the store's thread inside its batches, read by whoever may wait.

mod changes;
mod columns;
mod library;
mod loaded;
mod people;
mod sessions;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use tables::THIRD;

use super::{fault::is_of_the_row, schema};
use crate::{
    protocols::labs::{
        model::Template,
        record::{Change, Kept, Login, Record},
    },
    realtime::UnixMicros,
};
use rusqlite::{Connection, TransactionBehavior};
use std::{path::Path, time::Duration};

/// Writes all of a record, or nothing of it when it is not [`Kept::Done`] or is refused by itself. Always inside the caller's transaction.
pub(super) fn keep(conn: &Connection, record: &Record) -> rusqlite::Result<Kept> {
    match record {
        Record::Change(new) => change(conn, new),
        Record::Activity { session, at } => changes::activity(conn, *session, *at),
        Record::NewUser { user, password_hash } => people::new_user(conn, user, password_hash),
        Record::EditedUser { user, email, role, active, password_hash, last_login } => {
            people::edited_user(conn, *user, (email, *role, *active), (password_hash, *last_login))
        }
        Record::Template { template, replace } => people::template(conn, template, *replace),
        Record::NoTemplate { name } => people::no_template(conn, name),
        Record::Revoked { token, expires_at } => people::revoked(conn, *token, *expires_at),
    }
}

fn change(conn: &Connection, change: &Change) -> rusqlite::Result<Kept> {
    if changes::is_taken(conn, change)? {
        return Ok(Kept::Taken);
    }
    conn.prepare_cached("SAVEPOINT lab_change")?.execute([])?;
    let result = changes::write(conn, change);
    match &result {
        Ok(()) => {}
        Err(error) if is_of_the_row(error) => drop(conn.prepare_cached("ROLLBACK TO lab_change")?.execute([])?),
        // The transaction is over.
        Err(_) => return result.map(|()| Kept::Done),
    }
    conn.prepare_cached("RELEASE lab_change")?.execute([])?;
    result.map(|()| Kept::Done)
}

/// See [`super::super::Store::seed`]: beside the store's thread, which has little to do when a server starts, and waits so long for it.
pub(super) fn seed(file: &Path, at_most: Duration, templates: &[Template], admin: Option<&Login>) -> rusqlite::Result<bool> {
    let mut conn = schema::open_beside(file, at_most)?;
    let seeding = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let made = people::seed(&seeding, templates, admin)?;
    seeding.commit()?;
    Ok(made)
}

/// What has expired is good no more by itself.
pub(super) fn forget_expired(conn: &Connection, now: UnixMicros) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM revoked_token WHERE expires_at <= ?1", [now]).map(drop)
}
