//! How the words of labs lie in columns.

pub(super) use super::super::columns::{Id, Json, count, json};

use super::super::columns::words;
use crate::protocols::labs::{
    model::{Action, Progress, Role, State},
    record::{Listed, Page},
};
use rusqlite::{Connection, Params, Row};

words! {
    Role { Admin = "admin", User = "user" }
    State {
        Pending = "pending", Running = "running", Hibernating = "hibernating", Hibernated = "hibernated", Waking = "waking",
        Terminating = "terminating", Terminated = "terminated", Failed = "failed"
    }
    Action {
        StartSession = "start_session", HibernateSession = "hibernate_session", WakeSession = "wake_session",
        StopSession = "stop_session"
    }
    Progress {
        Pending = "pending", Sent = "sent", Acknowledged = "acknowledged", Completed = "completed", Failed = "failed"
    }
}

/// How many rows are before a page.
pub(super) fn offset(page: Page) -> i64 {
    i64::from(page.page.saturating_sub(1)) * i64::from(page.limit)
}

/// The whole's length by one statement, the part by another.
pub(super) fn listed<T>(
    conn: &Connection,
    (whole, counted): (&str, impl Params),
    (select, selected): (&str, impl Params),
    item: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Listed<T>> {
    let total = conn.prepare_cached(whole)?.query_row(counted, |row| count(row, 0))?;
    let items = conn.prepare_cached(select)?.query_map(selected, item)?.collect::<rusqlite::Result<_>>()?;
    Ok(Listed { items, total })
}
