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

#[cfg(test)]
pub(super) use people::with_email;
pub(super) use people::{login_by_email, seed};
pub(super) use tables::THIRD;

use super::whole::whole;
use crate::{
    protocols::labs::record::{Change, Kept, Record},
    realtime::UnixMicros,
};
use rusqlite::Connection;

/// Writes all of a record, or nothing of it when it is not [`Kept::Done`] or is refused by itself. Always inside the caller's transaction.
pub(super) fn keep(conn: &Connection, record: &Record) -> rusqlite::Result<Kept> {
    match record {
        Record::Change(new) => change(conn, new),
        Record::NoAgent { agent } => changes::no_agent(conn, *agent),
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
    whole(conn, || changes::write(conn, change)).map(|()| Kept::Done)
}

/// What has expired is good no more by itself.
pub(super) fn forget_expired(conn: &Connection, now: UnixMicros) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM revoked_token WHERE expires_at <= ?1", [now]).map(drop)
}
