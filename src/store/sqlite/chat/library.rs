//! The library of chat: each read on a reader's connection, in one snapshot.

use super::{
    super::{
        super::{ChatLibrary, Read},
        SqliteStore, labs,
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

impl ChatLibrary for SqliteStore {
    fn load_session(&self, load: Load) -> Read<Option<Box<Loaded>>> {
        self.readers.view(|conn| messages::loaded(conn, load))
    }

    fn chat_sessions(&self, filter: &SessionFilter, page: Page) -> Read<Listed<Session>> {
        self.readers.view(|conn| sessions::sessions(conn, filter, page))
    }

    fn chat_session(&self, session: SessionId) -> Read<Option<Session>> {
        self.readers.view(|conn| sessions::session(conn, session))
    }

    fn history(&self, history: History) -> Read<Option<Part>> {
        self.readers.view(|conn| messages::part(conn, history))
    }

    fn waiting_approvals(&self, now: UnixMicros, limit: u32) -> Read<Vec<Waiting>> {
        self.readers.view(|conn| messages::waiting(conn, now, limit))
    }

    fn login_by_email(&self, email: &str) -> Read<Option<Login>> {
        self.readers.view(|conn| labs::login_by_email(conn, email))
    }
}
