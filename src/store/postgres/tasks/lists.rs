//! Tasks and executions as they are read: one, a part of all, what is left.

use super::super::{
    columns::{Word, column, count, json, string, string_if_any, text, time, time_if_any, word},
    conn::{Conn, Value},
    fault::Fault,
};
use crate::protocols::tasks::{
    Counts,
    model::{Execution, Task},
    record::{Filter, Listed},
};
use tokio_postgres::Row;
use uuid::Uuid;

/// How one kind of row is read.
pub(super) struct Table<T> {
    name: &'static str,
    key: &'static str,
    columns: &'static str,
    read: fn(&Row) -> Result<T, Fault>,
}

pub(super) const TASKS: Table<Task> = Table {
    name: "task",
    key: "task_id",
    columns:
        "task_id, owner, title, task, kind, priority, agent, model, parameters, status, progress, result, error, cost, created_at,
        updated_at, completed_at",
    read: a_task,
};

pub(super) const EXECUTIONS: Table<Execution> = Table {
    name: "execution",
    key: "execution_id",
    columns: "execution_id, owner, workflow, input, status, current_step, results, error, cost, created_at, updated_at, completed_at",
    read: an_execution,
};

impl<T> Table<T> {
    pub(super) async fn one(&self, conn: &Conn, id: Uuid) -> Result<Option<T>, Fault> {
        let Table { name, key, columns, read } = self;
        let found = conn.row(&format!("SELECT {columns} FROM {name} WHERE {key} = $1"), &[&id]).await?;
        found.as_ref().map(read).transpose()
    }

    /// What is not over, in the order in which it was made; but not what another node that is alive wrote last.
    pub(super) async fn all_left(&self, conn: &Conn, own: i64) -> Result<Vec<T>, Fault> {
        let others = "SELECT 1 FROM node WHERE node.epoch = it.epoch AND node.epoch <> $1 AND lease_until > clock_timestamp()";
        self.all_without(conn, others, &[&own]).await
    }

    /// What is not over, in the order in which it was made, and was written last by a node that was buried or has gone.
    pub(super) async fn abandoned(&self, conn: &Conn) -> Result<Vec<T>, Fault> {
        self.all_without(conn, "SELECT 1 FROM node WHERE node.epoch = it.epoch", &[]).await
    }

    /// What is not over and for which there is no `such` row.
    async fn all_without(&self, conn: &Conn, such: &str, values: &[Value<'_>]) -> Result<Vec<T>, Fault> {
        let Table { name, key, columns, read } = self;
        let left = format!("status NOT IN ('completed', 'failed') AND NOT EXISTS ({such})");
        let select = format!("SELECT {columns} FROM {name} AS it WHERE {left} ORDER BY created_at, {key}");
        conn.rows(&select, values).await?.iter().map(read).collect()
    }

    pub(super) async fn listed(&self, conn: &Conn, filter: &Filter) -> Result<Listed<T>, Fault> {
        let Table { name, key, columns, read } = self;
        let (owner, status) = (filter.owner.as_deref().map(text), filter.status.map(Word::word));
        let (mut such, mut values): (Vec<String>, Vec<Value<'_>>) = (Vec::new(), Vec::new());
        if let Some(owner) = &owner {
            values.push(owner);
            such.push(format!("owner = ${}", values.len()));
        }
        if let Some(status) = &status {
            values.push(status);
            such.push(format!("status = ${}", values.len()));
        }
        let such = if such.is_empty() { String::new() } else { format!("WHERE {}", such.join(" AND ")) };
        let total = conn.one(&format!("SELECT count(*) FROM {name} {such}"), &values).await?;
        let (limit, offset) = (i64::from(filter.limit), i64::try_from(filter.offset).unwrap_or(i64::MAX));
        let (at_limit, at_offset) = (values.len() + 1, values.len() + 2);
        values.extend([&limit as Value<'_>, &offset]);
        let select = format!(
            "SELECT {columns} FROM {name} {such} ORDER BY created_at DESC, {key} DESC LIMIT ${at_limit} OFFSET ${at_offset}"
        );
        let items = conn.rows(&select, &values).await?.iter().map(read).collect::<Result<_, Fault>>()?;
        Ok(Listed { items, total: count(&total, 0)? })
    }
}

/// How many tasks are not over, by what they do.
pub(super) async fn counts(conn: &Conn) -> Result<Counts, Fault> {
    let such = "SELECT count(*) FILTER (WHERE status <> 'pending'), count(*) FILTER (WHERE status = 'pending')
        FROM task WHERE status NOT IN ('completed', 'failed')";
    let row = conn.one(such, &[]).await?;
    Ok(Counts { active: count(&row, 0)?, pending: count(&row, 1)? })
}

fn a_task(row: &Row) -> Result<Task, Fault> {
    Ok(Task {
        id: column(row, 0)?,
        owner: string(row, 1)?.into(),
        title: string(row, 2)?.into(),
        task: string(row, 3)?.into(),
        kind: word(row, 4)?,
        priority: word(row, 5)?,
        agent: string_if_any(row, 6)?.map(Into::into),
        model: string_if_any(row, 7)?.map(Into::into),
        parameters: string(row, 8)?.into(),
        status: word(row, 9)?,
        progress: column(row, 10)?,
        result: string_if_any(row, 11)?.map(Into::into),
        error: string_if_any(row, 12)?.map(Into::into),
        cost: column(row, 13)?,
        created_at: time(row, 14)?,
        updated_at: time(row, 15)?,
        completed_at: time_if_any(row, 16)?,
    })
}

fn an_execution(row: &Row) -> Result<Execution, Fault> {
    Ok(Execution {
        id: column(row, 0)?,
        owner: string(row, 1)?.into(),
        workflow: string(row, 2)?.into(),
        input: string(row, 3)?.into(),
        status: word(row, 4)?,
        current_step: string_if_any(row, 5)?.map(Into::into),
        results: json(row, 6)?,
        error: string_if_any(row, 7)?.map(Into::into),
        cost: column(row, 8)?,
        created_at: time(row, 9)?,
        updated_at: time(row, 10)?,
        completed_at: time_if_any(row, 11)?,
    })
}
