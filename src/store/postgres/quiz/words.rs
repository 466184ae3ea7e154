//! The words of quizzes, as they lie in columns.

use super::super::columns::words;
use crate::protocols::quiz::model::{AccessType, Availability, Reason, Role, Status, SubmissionMode};

words! {
    Status { Draft = "draft", Published = "published", Archived = "archived" }
    AccessType { Shared = "shared", Private = "private", Public = "public" }
    Availability { Always = "always", Scheduled = "scheduled" }
    SubmissionMode { Immediate = "immediate", OnSubmit = "on_submit" }
    Reason { Submitted = "submitted", TimeUp = "time_up", ForcedByOwner = "forced_by_owner" }
    Role { Owner = "owner", User = "user" }
}
