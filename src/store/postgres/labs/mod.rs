//! Records of labs in tables: written inside the writer's batches, read by whoever may wait.

mod changes;
mod columns;
mod library;
mod loaded;
mod people;
mod sessions;
mod tables;

pub(super) use people::{login_by_email, seed};
pub(super) use tables::THIRD;

use super::{batch::each, conn::Conn, fault::Fault, writing::Writing};
use crate::{
    protocols::labs::record::{Kept, Record},
    realtime::StoreFault,
};

/// Writes all of each record, or nothing of it when it is not [`Kept::Done`] or is refused by itself. Always inside the caller's
/// transaction.
pub(super) async fn keep(writing: &Writing<'_>, records: &[&Record]) -> Result<Vec<Result<Kept, StoreFault>>, Fault> {
    each(writing, records, async |record| one(writing, record).await, changes::refused).await
}

async fn one(conn: &Conn, record: &Record) -> Result<Kept, Fault> {
    match record {
        Record::Change(new) => changes::keep(conn, new).await,
        Record::NoAgent { agent } => changes::no_agent(conn, *agent).await,
        Record::Activity { session, at } => changes::activity(conn, *session, *at).await,
        Record::NewUser { user, password_hash } => people::new_user(conn, user, password_hash).await,
        Record::EditedUser { user, email, role, active, password_hash, last_login } => {
            people::edited_user(conn, *user, (email.as_deref(), *role, *active), (password_hash.as_deref(), *last_login)).await
        }
        Record::Template { template, replace } => people::template(conn, template, *replace).await,
        Record::NoTemplate { name } => people::no_template(conn, name).await,
        Record::Revoked { token, expires_at } => people::revoked(conn, *token, *expires_at).await,
    }
}
