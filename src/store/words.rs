//! The words by which enums are kept, which are those of the routes: one list, for the columns of both stores.

use crate::protocols::{chat::model as chat, labs::model as labs, quiz::model as quiz, tasks::model as tasks};
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef},
};

/// An enum of which each variant is kept as a word.
pub(super) trait Word: Copy + Sized + 'static {
    /// What is kept.
    fn word(self) -> &'static str;
    /// What was kept; none where it is no word of this enum.
    fn from_word(word: &str) -> Option<Self>;
}

/// Each variant with its word. As a column of SQLite takes and gives it, too: only a crate of its own could say that of all at once.
macro_rules! words {
    ($($of:ident :: $enum:ident { $($variant:ident = $word:literal),* $(,)? })*) => {
        $(impl Word for $of::$enum {
            fn word(self) -> &'static str {
                match self { $($of::$enum::$variant => $word,)* }
            }

            fn from_word(word: &str) -> Option<$of::$enum> {
                match word { $($word => Some($of::$enum::$variant),)* _ => None }
            }
        }

        impl ToSql for $of::$enum {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.word()))
            }
        }

        impl FromSql for $of::$enum {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<$of::$enum> {
                Word::from_word(value.as_str()?).ok_or(FromSqlError::InvalidType)
            }
        })*
    };
}

words! {
    quiz::Status { Draft = "draft", Published = "published", Archived = "archived" }
    quiz::AccessType { Shared = "shared", Private = "private", Public = "public" }
    quiz::Availability { Always = "always", Scheduled = "scheduled" }
    quiz::SubmissionMode { Immediate = "immediate", OnSubmit = "on_submit" }
    quiz::Reason { Submitted = "submitted", TimeUp = "time_up", ForcedByOwner = "forced_by_owner" }
    quiz::Role { Owner = "owner", User = "user" }

    labs::Role { Admin = "admin", User = "user" }
    labs::State {
        Pending = "pending", Running = "running", Hibernating = "hibernating", Hibernated = "hibernated", Waking = "waking",
        Terminating = "terminating", Terminated = "terminated", Failed = "failed"
    }
    labs::Action {
        StartSession = "start_session", HibernateSession = "hibernate_session", WakeSession = "wake_session",
        StopSession = "stop_session"
    }
    labs::Progress {
        Pending = "pending", Sent = "sent", Acknowledged = "acknowledged", Completed = "completed", Failed = "failed"
    }

    chat::Status { Active = "active", Ended = "ended" }
    chat::Author { User = "user", Assistant = "assistant" }
    chat::Completeness { Streaming = "streaming", Whole = "whole", Incomplete = "incomplete" }
    chat::Decision { Pending = "pending", Approved = "approved", Rejected = "rejected", Expired = "expired" }

    tasks::Status {
        Pending = "pending", InProgress = "in_progress", Verifying = "verifying", Completed = "completed", Failed = "failed"
    }
    tasks::Kind { Code = "code", Design = "design", Test = "test", Security = "security", Analysis = "analysis" }
    tasks::Priority { Low = "low", Medium = "medium", High = "high" }
}
