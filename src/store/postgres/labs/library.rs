//! The library of labs: each read on a reader's connection, in one snapshot.

use super::{
    super::{
        super::{LabsLibrary, Read},
        PostgresStore,
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

impl LabsLibrary for PostgresStore {
    fn labs(&self) -> Read<Loaded> {
        self.readers.snapshot(async |conn| loaded::loaded(conn).await)
    }

    fn revoked(&self, now: UnixMicros) -> Read<Vec<(Uuid, UnixMicros)>> {
        self.readers.view(async |conn| people::good_no_more(conn, now).await)
    }

    fn rights(&self, now: UnixMicros) -> Read<Rights> {
        self.readers.snapshot(async |conn| {
            Ok(Rights { standings: loaded::standings(conn).await?, revoked: people::good_no_more(conn, now).await? })
        })
    }

    fn login(&self, username: &str) -> Read<Option<Login>> {
        self.readers.view(async |conn| people::login(conn, username).await)
    }

    fn user(&self, user: UserId) -> Read<Option<User>> {
        self.readers.view(async |conn| people::user(conn, user).await)
    }

    fn users(&self, role: Option<Role>, page: Page) -> Read<Listed<User>> {
        self.readers.snapshot(async |conn| people::users(conn, role, page).await)
    }

    fn templates(&self, category: Option<&str>, page: Page) -> Read<Listed<Template>> {
        self.readers.snapshot(async |conn| people::templates(conn, category, page).await)
    }

    fn template(&self, name: &str) -> Read<Option<Template>> {
        self.readers.view(async |conn| people::template_of(conn, name).await)
    }

    fn sessions(&self, filter: &SessionFilter, page: Page) -> Read<Listed<Session>> {
        self.readers.snapshot(async |conn| sessions::sessions(conn, filter, page).await)
    }

    fn session(&self, session: SessionId) -> Read<Option<Session>> {
        self.readers.view(async |conn| sessions::session(conn, session).await)
    }
}
