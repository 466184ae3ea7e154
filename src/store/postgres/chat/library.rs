//! The library of chat: each read on a reader's connection, in one snapshot.

use super::{
    super::{
        super::{ChatLibrary, Read},
        PostgresStore, labs,
    },
    messages, sessions,
};
use crate::{
    protocols::{
        chat::{
            model::{Session, SessionId},
            record::{History, Listed, Load, Loaded, Page, Part, SessionFilter, Waiting},
        },
        labs::record::Login,
    },
    realtime::UnixMicros,
};

impl ChatLibrary for PostgresStore {
    fn load_session(&self, load: Load) -> Read<Option<Box<Loaded>>> {
        self.readers.snapshot(async |conn| messages::loaded(conn, load).await)
    }

    fn chat_sessions(&self, filter: &SessionFilter, page: Page) -> Read<Listed<Session>> {
        self.readers.snapshot(async |conn| sessions::sessions(conn, filter, page).await)
    }

    fn chat_session(&self, session: SessionId) -> Read<Option<Session>> {
        self.readers.view(async |conn| sessions::session(conn, session).await)
    }

    fn history(&self, history: History) -> Read<Option<Part>> {
        self.readers.snapshot(async |conn| messages::part(conn, history).await)
    }

    fn waiting_approvals(&self, now: UnixMicros, limit: u32) -> Read<Vec<Waiting>> {
        self.readers.view(async |conn| messages::waiting(conn, now, limit).await)
    }

    fn login_by_email(&self, email: &str) -> Read<Option<Login>> {
        self.readers.view(async |conn| labs::login_by_email(conn, email).await)
    }
}
