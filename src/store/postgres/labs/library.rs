//! The library of labs: each read on a reader's connection.

use super::super::PostgresStore;
use crate::realtime::StoreFault;
use crate::store::{LabsLibrary, Read};
use crate::{
    protocols::labs::{
        model::{Role, Session, SessionId, Template, User, UserId},
        record::{Listed, Loaded, Login, Page, SessionFilter},
    },
    realtime::UnixMicros,
};
use uuid::Uuid;

impl LabsLibrary for PostgresStore {
    fn labs(&self) -> Read<Loaded> {
        Err(StoreFault::Failed)
    }

    fn revoked(&self, _now: UnixMicros) -> Read<Vec<(Uuid, UnixMicros)>> {
        Err(StoreFault::Failed)
    }

    fn login(&self, _username: &str) -> Read<Option<Login>> {
        Err(StoreFault::Failed)
    }

    fn user(&self, _user: UserId) -> Read<Option<User>> {
        Err(StoreFault::Failed)
    }

    fn users(&self, _role: Option<Role>, _page: Page) -> Read<Listed<User>> {
        Err(StoreFault::Failed)
    }

    fn templates(&self, _category: Option<&str>, _page: Page) -> Read<Listed<Template>> {
        Err(StoreFault::Failed)
    }

    fn template(&self, _name: &str) -> Read<Option<Template>> {
        Err(StoreFault::Failed)
    }

    fn sessions(&self, _filter: &SessionFilter, _page: Page) -> Read<Listed<Session>> {
        Err(StoreFault::Failed)
    }

    fn session(&self, _session: SessionId) -> Read<Option<Session>> {
        Err(StoreFault::Failed)
    }
}
