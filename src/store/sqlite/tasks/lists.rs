//! Tasks and executions as they are read: one, a part of all, what is left.

use super::super::columns::{Id, count, json};
use crate::protocols::tasks::{
    Counts,
    model::{Execution, Status, Task, UserName},
    record::{Filter, Listed},
};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use uuid::Uuid;

/// How one kind of row is read.
pub(super) struct Table<T> {
    name: &'static str,
    key: &'static str,
    columns: &'static str,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
}

pub(super) const TASKS: Table<Task> = Table {
    name: "task",
    key: "task_id",
    columns:
        "task_id, owner, title, kind, priority, agent, model, status, progress, cost, created_at, updated_at, completed_at, error,
        task, parameters, result",
    read: a_task,
};

pub(super) const EXECUTIONS: Table<Execution> = Table {
    name: "execution",
    key: "execution_id",
    columns: "execution_id, owner, workflow, status, current_step, cost, created_at, updated_at, completed_at, error, input, results",
    read: an_execution,
};

impl<T> Table<T> {
    pub(super) fn one(&self, conn: &Connection, id: Uuid) -> rusqlite::Result<Option<T>> {
        let Table { name, key, columns, read } = self;
        conn.prepare_cached(&format!("SELECT {columns} FROM {name} WHERE {key} = ?1"))?.query_row([Id(id)], read).optional()
    }

    /// What is not over, in the order in which it was made.
    pub(super) fn left(&self) -> String {
        let Table { name, key, columns, .. } = self;
        format!("SELECT {columns} FROM {name} WHERE status NOT IN ('completed', 'failed') ORDER BY created_at, {key}")
    }

    pub(super) fn all_left(&self, conn: &Connection) -> rusqlite::Result<Vec<T>> {
        conn.prepare_cached(&self.left())?.query_map([], self.read)?.collect()
    }

    /// With `:owner` and `:status`, of which those that are not wanted may be anything but are named.
    fn found(&self, owner: Option<&UserName>, status: Option<Status>) -> String {
        let name = self.name;
        let (index, such) = match (owner, status) {
            (None, None) => ("made", ":owner IS NULL AND :status IS NULL"),
            (None, Some(_)) => ("of_status", ":owner IS NULL AND status = :status"),
            (Some(_), None) => ("of_owner", "owner = :owner AND :status IS NULL"),
            (Some(_), Some(_)) => ("of_owner", "owner = :owner AND status = :status"),
        };
        format!("FROM {name} INDEXED BY {name}_{index} WHERE {such}")
    }

    pub(super) fn whole(&self, owner: Option<&UserName>, status: Option<Status>) -> String {
        format!("SELECT count(*) {}", self.found(owner, status))
    }

    /// With `:limit` and `:offset` too. Only the part is read whole.
    pub(super) fn part(&self, owner: Option<&UserName>, status: Option<Status>) -> String {
        let Table { name, key, columns, .. } = self;
        let found = self.found(owner, status);
        format!(
            "WITH part AS MATERIALIZED (SELECT id {found} ORDER BY created_at DESC, {key} DESC LIMIT :limit OFFSET :offset)
             SELECT {columns} FROM part CROSS JOIN {name} USING (id) ORDER BY created_at DESC, {key} DESC"
        )
    }

    pub(super) fn listed(&self, conn: &Connection, filter: &Filter) -> rusqlite::Result<Listed<T>> {
        let (owner, status) = (filter.owner.as_ref(), filter.status);
        let total = conn
            .prepare_cached(&self.whole(owner, status))?
            .query_row(named_params! { ":owner": owner, ":status": status }, |row| count(row, 0))?;
        let offset = i64::try_from(filter.offset).unwrap_or(i64::MAX);
        let items = conn
            .prepare_cached(&self.part(owner, status))?
            .query_map(
                named_params! { ":owner": owner, ":status": status, ":limit": filter.limit, ":offset": offset },
                self.read,
            )?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Listed { items, total })
    }
}

/// How many tasks are not over, by what they do.
pub(super) fn counts(conn: &Connection) -> rusqlite::Result<Counts> {
    let such = "SELECT count(*) FILTER (WHERE status <> 'pending'), count(*) FILTER (WHERE status = 'pending')
        FROM task WHERE status NOT IN ('completed', 'failed')";
    conn.prepare_cached(such)?.query_row([], |row| Ok(Counts { active: count(row, 0)?, pending: count(row, 1)? }))
}

fn a_task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: row.get::<_, Id>(0)?.0,
        owner: row.get(1)?,
        title: row.get(2)?,
        kind: row.get(3)?,
        priority: row.get(4)?,
        agent: row.get(5)?,
        model: row.get(6)?,
        status: row.get(7)?,
        progress: row.get(8)?,
        cost: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
        completed_at: row.get(12)?,
        error: row.get(13)?,
        task: row.get(14)?,
        parameters: row.get(15)?,
        result: row.get(16)?,
    })
}

fn an_execution(row: &Row<'_>) -> rusqlite::Result<Execution> {
    Ok(Execution {
        id: row.get::<_, Id>(0)?.0,
        owner: row.get(1)?,
        workflow: row.get(2)?,
        status: row.get(3)?,
        current_step: row.get(4)?,
        cost: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        completed_at: row.get(8)?,
        error: row.get(9)?,
        input: row.get(10)?,
        results: json(row, 11)?,
    })
}
