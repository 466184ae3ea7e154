//! How the words of quizzes lie in columns.

pub(super) use super::super::columns::{Id, count, json, unwritable};

use super::super::columns::words;
use crate::protocols::quiz::model::{AccessType, Availability, QuizId, Reason, Role, Status, SubmissionMode};
use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};

impl ToSql for QuizId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for QuizId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<QuizId> {
        i64::column_result(value).map(QuizId)
    }
}

words! {
    Status { Draft = "draft", Published = "published", Archived = "archived" }
    AccessType { Shared = "shared", Private = "private", Public = "public" }
    Availability { Always = "always", Scheduled = "scheduled" }
    SubmissionMode { Immediate = "immediate", OnSubmit = "on_submit" }
    Reason { Submitted = "submitted", TimeUp = "time_up", ForcedByOwner = "forced_by_owner" }
    Role { Owner = "owner", User = "user" }
}
