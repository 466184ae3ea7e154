//! Records of labs in tables: written by the store's thread inside its batches, read by whoever may wait.

use super::{
    super::{LabsLibrary, Read},
    SqliteStore,
};
use crate::{
    protocols::labs::{
        model::{Role, Session, SessionId, Template, User, UserId},
        record::{Kept, Listed, Loaded, Login, Page, Record, SessionFilter},
    },
    realtime::{StoreFault, UnixMicros},
};
use rusqlite::Connection;
use std::{marker::PhantomData, path::Path};
use uuid::Uuid;

/// Writes records. Always inside the caller's transaction.
pub(super) struct Labs<'c>(PhantomData<&'c Connection>);

impl<'c> Labs<'c> {
    pub(super) fn prepare(_: &'c Connection) -> rusqlite::Result<Labs<'c>> {
        Ok(Labs(PhantomData))
    }

    /// Writes all of a record, or nothing of it when it is not [`Kept::Done`] or is refused by itself.
    pub(super) fn keep(&mut self, _: &Record) -> rusqlite::Result<Kept> {
        Ok(Kept::Missing)
    }
}

pub(super) fn seed(_: &Path, _: &[Template], _: Option<&Login>) -> rusqlite::Result<bool> {
    Ok(false)
}

impl LabsLibrary for SqliteStore {
    fn labs(&self) -> Read<Loaded> {
        Err(StoreFault::Failed)
    }

    fn revoked(&self, _: UnixMicros) -> Read<Vec<(Uuid, UnixMicros)>> {
        Err(StoreFault::Failed)
    }

    fn login(&self, _: &str) -> Read<Option<Login>> {
        Err(StoreFault::Failed)
    }

    fn user(&self, _: UserId) -> Read<Option<User>> {
        Err(StoreFault::Failed)
    }

    fn users(&self, _: Option<Role>, _: Page) -> Read<Listed<User>> {
        Err(StoreFault::Failed)
    }

    fn templates(&self, _: Option<&str>, _: Page) -> Read<Listed<Template>> {
        Err(StoreFault::Failed)
    }

    fn template(&self, _: &str) -> Read<Option<Template>> {
        Err(StoreFault::Failed)
    }

    fn sessions(&self, _: &SessionFilter, _: Page) -> Read<Listed<Session>> {
        Err(StoreFault::Failed)
    }

    fn session(&self, _: SessionId) -> Read<Option<Session>> {
        Err(StoreFault::Failed)
    }
}
