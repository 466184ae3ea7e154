//! Sessions as routes see them.

use super::{
    super::{
        columns::{Word, column, json, string, string_if_any, text, time, time_if_any, word},
        conn::{Conn, Value},
        fault::Fault,
    },
    columns::{Found, listed},
};
use crate::protocols::labs::{
    model::{Session, SessionId},
    record::{Listed, Page, SessionFilter, SortBy},
};
use std::borrow::Cow;
use tokio_postgres::Row;

/// What a [`Session`] is made of.
pub(super) const SESSION: &str = r#"session_id, name, "user", template, platform, agent, state, resources, persistent_home, idle_timeout,
    tags, message, place, created_at, updated_at, last_activity"#;

pub(super) fn a_session(row: &Row) -> Result<Session, Fault> {
    Ok(Session {
        id: column(row, 0)?,
        name: string(row, 1)?,
        user: string(row, 2)?.into(),
        template: string(row, 3)?.into(),
        platform: string(row, 4)?.into(),
        agent: string_if_any(row, 5)?.map(Into::into),
        state: word(row, 6)?,
        resources: json(row, 7)?,
        persistent_home: column(row, 8)?,
        idle_timeout: string(row, 9)?,
        tags: json(row, 10)?,
        message: string(row, 11)?,
        place: json(row, 12)?,
        created_at: time(row, 13)?,
        updated_at: time(row, 14)?,
        last_activity: time_if_any(row, 15)?,
    })
}

pub(super) async fn session(conn: &Conn, session: SessionId) -> Result<Option<Session>, Fault> {
    let found = conn.row(&format!("SELECT {SESSION} FROM lab_session WHERE session_id = $1"), &[&session]).await?;
    found.as_ref().map(a_session).transpose()
}

pub(super) async fn sessions(conn: &Conn, filter: &SessionFilter, page: Page) -> Result<Listed<Session>, Fault> {
    let texts = [
        (r#""user""#, filter.user.as_deref()),
        ("template", filter.template.as_deref()),
        ("platform", filter.platform.as_deref()),
        ("agent", filter.agent.as_deref()),
    ];
    let texts: Vec<(&str, Cow<'_, str>)> =
        texts.into_iter().filter_map(|(column, wanted)| Some((column, text(wanted?)))).collect();
    let tags: Vec<Cow<'_, str>> = filter.tags.iter().map(|tag| text(tag)).collect();
    let states: Vec<&str> = filter.states.iter().map(|state| state.word()).collect();
    let mut view = View::default();
    for (column, wanted) in &texts {
        view.such(wanted, |place| format!("{column} = {place}"));
    }
    if !states.is_empty() {
        view.such(&states, |place| format!("state = ANY ({place})"));
    }
    for tag in &tags {
        view.such(tag, |place| format!("id IN (SELECT session FROM lab_session_tag WHERE tag = {place})"));
    }
    listed(conn, SESSION, view.found(filter), page, a_session).await
}

/// A filter as statements see it.
#[derive(Default)]
struct View<'v> {
    conditions: Vec<String>,
    values: Vec<Value<'v>>,
}

impl<'v> View<'v> {
    fn such(&mut self, value: Value<'v>, condition: impl FnOnce(String) -> String) {
        self.values.push(value);
        self.conditions.push(condition(format!("${}", self.values.len())));
    }

    fn found(self, filter: &SessionFilter) -> Found<'v> {
        let conditions = self.conditions.join(" AND ");
        let such = if conditions.is_empty() { "" } else { " WHERE " };
        let column = match filter.sort {
            SortBy::Created => "created_at",
            SortBy::Updated => "updated_at",
            SortBy::User => r#""user""#,
            SortBy::State => "shown",
        };
        let way = if filter.descending { "DESC" } else { "ASC" };
        let (from, order) = (format!("lab_session{such}{conditions}"), format!("{column} {way}, session_id {way}"));
        Found { from, values: self.values, order }
    }
}
