//! What is read of the records of chat: by homes as they begin, by routes that only look.

use super::Read;
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

/// Reads of what is on disk, as those of [`super::Library`]: all of them block, and each sees one moment.
pub trait ChatLibrary: Send + Sync {
    /// All that the home of a session must know. Messages that follow upon each other, up to the newest, with what came with them.
    fn load_session(&self, load: Load) -> Read<Option<Box<Loaded>>>;

    /// Sessions that the filter lets through, each as it is on disk: one that counts as ended by its silence is there as active.
    fn chat_sessions(&self, filter: &SessionFilter, page: Page) -> Read<Listed<Session>>;

    /// One of them, ended or not.
    fn chat_session(&self, session: SessionId) -> Read<Option<Session>>;

    /// A part of a session's messages, of which attachments lack their bytes. None where the cursor is not a message of the session; of a
    /// session that is not there, none is.
    fn history(&self, history: History) -> Read<Option<Part>>;

    /// Approvals of any session that wait and expire after `now`, the oldest first, at most `limit`.
    fn waiting_approvals(&self, now: UnixMicros, limit: u32) -> Read<Vec<Waiting>>;

    /// A user and what they sign in with, whether they may or not, by an email in which `a` to `z` are as `A` to `Z`. Where several have it
    /// the one who was made first; none where it is empty.
    fn login_by_email(&self, email: &str) -> Read<Option<Login>>;
}
