//! What homes change: tasks and executions, each a whole row.

use super::super::columns::{Id, Json};
use crate::{
    protocols::tasks::model::{Execution, Task, TaskId},
    realtime::StoreFault,
};
use rusqlite::{Connection, named_params};

pub(super) fn task(conn: &Connection, task: &Task) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO task (task_id, owner, title, kind, priority, agent, model, status, progress, cost, created_at, updated_at,
            completed_at, error, task, parameters, result)
         VALUES (:id, :owner, :title, :kind, :priority, :agent, :model, :status, :progress, :cost, :created, :updated, :completed,
            :error, :task, :parameters, :result)
         ON CONFLICT (task_id) DO UPDATE SET owner = :owner, title = :title, kind = :kind, priority = :priority, agent = :agent,
            model = :model, status = :status, progress = :progress, cost = :cost, created_at = :created, updated_at = :updated,
            completed_at = :completed, error = :error, task = :task, parameters = :parameters, result = :result",
    )?
    .execute(named_params! {
        ":id": Id(task.id),
        ":owner": task.owner,
        ":title": task.title,
        ":kind": task.kind,
        ":priority": task.priority,
        ":agent": task.agent,
        ":model": task.model,
        ":status": task.status,
        ":progress": task.progress,
        ":cost": task.cost,
        ":created": task.created_at,
        ":updated": task.updated_at,
        ":completed": task.completed_at,
        ":error": task.error,
        ":task": task.task,
        ":parameters": task.parameters,
        ":result": task.result,
    })
    .map(drop)
}

/// One that is not over stays, and that is a fault; one that is not there is nothing.
pub(super) fn no_task(conn: &Connection, task: TaskId) -> rusqlite::Result<Result<(), StoreFault>> {
    conn.prepare_cached("DELETE FROM task WHERE task_id = ?1 AND status IN ('completed', 'failed')")?.execute([Id(task)])?;
    let stays = conn.prepare_cached("SELECT 1 FROM task WHERE task_id = ?1")?.exists([Id(task)])?;
    Ok(if stays { Err(StoreFault::Failed) } else { Ok(()) })
}

pub(super) fn execution(conn: &Connection, execution: &Execution) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO execution (execution_id, owner, workflow, status, current_step, cost, created_at, updated_at, completed_at, error,
            input, results)
         VALUES (:id, :owner, :workflow, :status, :step, :cost, :created, :updated, :completed, :error, :input, :results)
         ON CONFLICT (execution_id) DO UPDATE SET owner = :owner, workflow = :workflow, status = :status, current_step = :step,
            cost = :cost, created_at = :created, updated_at = :updated, completed_at = :completed, error = :error, input = :input,
            results = :results",
    )?
    .execute(named_params! {
        ":id": Id(execution.id),
        ":owner": execution.owner,
        ":workflow": execution.workflow,
        ":status": execution.status,
        ":step": execution.current_step,
        ":cost": execution.cost,
        ":created": execution.created_at,
        ":updated": execution.updated_at,
        ":completed": execution.completed_at,
        ":error": execution.error,
        ":input": execution.input,
        ":results": Json(&execution.results),
    })
    .map(drop)
}
