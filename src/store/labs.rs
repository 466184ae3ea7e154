//! What is read of the records of labs: by the registry as it begins, by routes that only look.

use super::Read;
use crate::{
    protocols::labs::{
        model::{Role, Session, SessionId, Template, User, UserId},
        record::{Listed, Loaded, Login, Page, Rights, SessionFilter},
    },
    realtime::UnixMicros,
};
use uuid::Uuid;

/// Reads of what is on disk, as those of [`super::Library`]: all of them block, and each sees one moment. Names are themselves, case and
/// all.
pub trait LabsLibrary: Send + Sync {
    /// All that the registry must know. Agents by name; sessions and commands in the order in which they were made.
    fn labs(&self) -> Read<Loaded>;

    /// Tokens that are good no more though they expire after `now`, with when that is, in the order in which they will.
    fn revoked(&self, now: UnixMicros) -> Read<Vec<(Uuid, UnixMicros)>>;

    /// What users may, as in [`Loaded::standings`], and with it [`LabsLibrary::revoked`].
    fn rights(&self, now: UnixMicros) -> Read<Rights>;

    /// A user and what they sign in with, whether they may or not.
    fn login(&self, username: &str) -> Read<Option<Login>>;

    /// One of the users.
    fn user(&self, user: UserId) -> Read<Option<User>>;

    /// By name.
    fn users(&self, role: Option<Role>, page: Page) -> Read<Listed<User>>;

    /// By name.
    fn templates(&self, category: Option<&str>, page: Page) -> Read<Listed<Template>>;

    /// One of them.
    fn template(&self, name: &str) -> Read<Option<Template>>;

    /// Sessions that the filter lets through, sorted as it says; downwards the ids are too.
    fn sessions(&self, filter: &SessionFilter, page: Page) -> Read<Listed<Session>>;

    /// One of them, terminated or not.
    fn session(&self, session: SessionId) -> Read<Option<Session>>;
}
