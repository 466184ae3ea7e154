//! Lists of labs, by pages.

use super::super::{
    columns::count,
    conn::{Conn, Value},
    fault::Fault,
};
use crate::protocols::labs::record::{Listed, Page};
use tokio_postgres::Row;

/// What is asked for, behind `FROM`; its values have the first places.
pub(super) struct Found<'v> {
    /// The table and the conditions.
    pub(super) from: String,
    /// Of the conditions.
    pub(super) values: Vec<Value<'v>>,
    /// Behind `ORDER BY`.
    pub(super) order: String,
}

/// How many there are, and those on the page.
pub(super) async fn listed<T>(
    conn: &Conn,
    columns: &str,
    found: Found<'_>,
    page: Page,
    item: impl FnMut(&Row) -> Result<T, Fault>,
) -> Result<Listed<T>, Fault> {
    let Found { from, values, order } = found;
    let total = conn.one(&format!("SELECT count(*) FROM {from}"), &values).await?;
    let (limit, offset) = (i64::from(page.limit), i64::from(page.page.saturating_sub(1)) * i64::from(page.limit));
    let (at_limit, at_offset) = (values.len() + 1, values.len() + 2);
    let select = format!("SELECT {columns} FROM {from} ORDER BY {order} LIMIT ${at_limit} OFFSET ${at_offset}");
    let values: Vec<Value<'_>> = values.into_iter().chain([&limit as Value<'_>, &offset]).collect();
    let items = conn.rows(&select, &values).await?.iter().map(item).collect::<Result<_, Fault>>()?;
    Ok(Listed { items, total: count(&total, 0)? })
}
