//! The library of labs: each read on a reader's connection, in one snapshot.

use super::{
    super::{
        super::{LabsLibrary, Read},
        SqliteStore,
    },
    loaded, people, sessions,
};
use crate::{
    protocols::labs::{
        model::{Role, Session, SessionId, Template, User, UserId},
        record::{Listed, Loaded, Login, Page, Rights, SessionFilter},
    },
    realtime::UnixMicros,
};
use uuid::Uuid;

impl LabsLibrary for SqliteStore {
    fn labs(&self) -> Read<Loaded> {
        self.readers.view(loaded::loaded)
    }

    fn revoked(&self, now: UnixMicros) -> Read<Vec<(Uuid, UnixMicros)>> {
        self.readers.view(|conn| people::good_no_more(conn, now))
    }

    fn rights(&self, now: UnixMicros) -> Read<Rights> {
        self.readers.view(|conn| Ok(Rights { standings: loaded::standings(conn)?, revoked: people::good_no_more(conn, now)? }))
    }

    fn login(&self, username: &str) -> Read<Option<Login>> {
        self.readers.view(|conn| people::login(conn, username))
    }

    fn user(&self, user: UserId) -> Read<Option<User>> {
        self.readers.view(|conn| people::user(conn, user))
    }

    fn users(&self, role: Option<Role>, page: Page) -> Read<Listed<User>> {
        self.readers.view(|conn| people::users(conn, role, page))
    }

    fn templates(&self, category: Option<&str>, page: Page) -> Read<Listed<Template>> {
        self.readers.view(|conn| people::templates(conn, category, page))
    }

    fn template(&self, name: &str) -> Read<Option<Template>> {
        self.readers.view(|conn| people::template_of(conn, name))
    }

    fn sessions(&self, filter: &SessionFilter, page: Page) -> Read<Listed<Session>> {
        self.readers.view(|conn| sessions::sessions(conn, filter, page))
    }

    fn session(&self, session: SessionId) -> Read<Option<Session>> {
        self.readers.view(|conn| sessions::session(conn, session))
    }
}
