//! How the numbers of quizzes lie in columns.

pub(super) use super::super::columns::{Id, count, json, unwritable};

use crate::protocols::quiz::model::QuizId;
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
