//! Lists of labs, by pages.

pub(super) use super::super::columns::{Id, Json, count, json};

use crate::protocols::labs::record::{Listed, Page};
use rusqlite::{Connection, Params, Row};

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
