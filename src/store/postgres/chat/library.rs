//! The library of chat: each read on a reader's connection.

use super::super::PostgresStore;
use crate::protocols::{
    chat::{
        model::{Session, SessionId},
        record::{History, Listed, Load, Loaded, Page, Part, SessionFilter},
    },
    labs::record::Login,
};
use crate::realtime::StoreFault;
use crate::store::{ChatLibrary, Read};

impl ChatLibrary for PostgresStore {
    fn load_session(&self, _load: Load) -> Read<Option<Box<Loaded>>> {
        Err(StoreFault::Failed)
    }

    fn chat_sessions(&self, _filter: &SessionFilter, _page: Page) -> Read<Listed<Session>> {
        Err(StoreFault::Failed)
    }

    fn chat_session(&self, _session: SessionId) -> Read<Option<Session>> {
        Err(StoreFault::Failed)
    }

    fn history(&self, _history: History) -> Read<Option<Part>> {
        Err(StoreFault::Failed)
    }

    fn login_by_email(&self, _email: &str) -> Read<Option<Login>> {
        Err(StoreFault::Failed)
    }
}
