//! Sessions as routes see them.

use super::columns::{Id, count, json, offset};
use crate::protocols::labs::{
    model::{Session, SessionId},
    record::{Listed, Page, SessionFilter, SortBy},
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params_from_iter};

/// What a [`Session`] is made of.
pub(super) const SESSION: &str =
    "session_id, name, user, template, platform, agent, state, created_at, updated_at, last_activity, tags,
    resources, persistent_home, idle_timeout, message, place";

pub(super) fn a_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get::<_, Id>(0)?.0,
        name: row.get(1)?,
        user: row.get(2)?,
        template: row.get(3)?,
        platform: row.get(4)?,
        agent: row.get(5)?,
        state: row.get(6)?,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
        last_activity: row.get(9)?,
        tags: json(row, 10)?,
        resources: json(row, 11)?,
        persistent_home: row.get(12)?,
        idle_timeout: row.get(13)?,
        message: row.get(14)?,
        place: json(row, 15)?,
    })
}

pub(super) fn session(conn: &Connection, session: SessionId) -> rusqlite::Result<Option<Session>> {
    conn.prepare_cached(&format!("SELECT {SESSION} FROM lab_session WHERE session_id = ?1"))?
        .query_row([Id(session)], a_session)
        .optional()
}

pub(super) fn sessions(conn: &Connection, filter: &SessionFilter, page: Page) -> rusqlite::Result<Listed<Session>> {
    let mut view = View::new(filter);
    let total = conn.prepare_cached(&view.count())?.query_row(params_from_iter(&view.values), |row| count(row, 0))?;
    let mut select = conn.prepare_cached(&view.select())?;
    view.values.extend([Box::new(page.limit) as Box<dyn ToSql>, Box::new(offset(page))]);
    let items = select.query_map(params_from_iter(&view.values), a_session)?.collect::<rusqlite::Result<_>>()?;
    Ok(Listed { items, total })
}

/// A filter as statements see it.
pub(super) struct View {
    from: String,
    conditions: Vec<String>,
    values: Vec<Box<dyn ToSql>>,
    order: String,
}

impl View {
    pub(super) fn new(filter: &SessionFilter) -> View {
        let mut view = View { from: String::new(), conditions: Vec::new(), values: Vec::new(), order: String::new() };
        view.tags(&filter.tags);
        let agent = filter.agent.as_ref().map(|agent| agent.to_string());
        let columns = [("user", &filter.user), ("template", &filter.template), ("platform", &filter.platform), ("agent", &agent)];
        for (column, wanted) in columns {
            if let Some(wanted) = wanted {
                let place = view.value(wanted.clone());
                view.conditions.push(format!("{column} = {place}"));
            }
        }
        if !filter.states.is_empty() {
            let states: Vec<String> = filter.states.iter().map(|state| view.value(*state)).collect();
            view.conditions.push(format!("state IN ({})", states.join(", ")));
        }
        let (column, index) = match filter.sort {
            SortBy::Created => ("created_at", "lab_session_created"),
            SortBy::Updated => ("updated_at", "lab_session_updated"),
            SortBy::User => ("user", "lab_session_list"),
            SortBy::State => ("shown", "lab_session_shown"),
        };
        view.from = match (filter.tags.is_empty(), view.conditions.is_empty()) {
            (true, true) => format!("lab_session INDEXED BY {index}"),
            (true, false) => "lab_session INDEXED BY lab_session_list".into(),
            (false, _) => "lab_session_tag AS tagged CROSS JOIN lab_session ON lab_session.id = tagged.session".into(),
        };
        let way = if filter.descending { "DESC" } else { "ASC" };
        view.order = format!("{column} {way}, session_id {way}");
        view
    }

    /// Sessions with the first are looked at, whether they have the others too.
    fn tags(&mut self, tags: &[String]) {
        for (number, tag) in tags.iter().enumerate() {
            let place = self.value(tag.clone());
            self.conditions.push(match number {
                0 => format!("tagged.tag = {place}"),
                _ => format!("EXISTS (SELECT 1 FROM lab_session_tag WHERE tag = {place} AND session = tagged.session)"),
            });
        }
    }

    /// Its place in the statement.
    fn value(&mut self, value: impl ToSql + 'static) -> String {
        self.values.push(Box::new(value));
        format!("?{}", self.values.len())
    }

    fn found(&self) -> String {
        let conditions = self.conditions.join(" AND ");
        let such = if conditions.is_empty() { "" } else { " WHERE " };
        format!("FROM {}{such}{conditions}", self.from)
    }

    fn count(&self) -> String {
        format!("SELECT count(*) {}", self.found())
    }

    /// With two more values: limit and offset. Only the part is read whole.
    pub(super) fn select(&self) -> String {
        let (found, order) = (self.found(), &self.order);
        let (limit, offset) = (self.values.len() + 1, self.values.len() + 2);
        format!(
            "WITH part AS MATERIALIZED (SELECT lab_session.id {found} ORDER BY {order} LIMIT ?{limit} OFFSET ?{offset})
             SELECT {SESSION} FROM part CROSS JOIN lab_session ON lab_session.id = part.id ORDER BY {order}"
        )
    }
}
