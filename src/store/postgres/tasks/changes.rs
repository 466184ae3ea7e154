//! What homes change: tasks and executions, each a whole row.

use super::super::{
    columns::{Word, column, text, to_json},
    conn::Conn,
    fault::Fault,
    writing::Writing,
};
use crate::{
    protocols::tasks::model::{Execution, Task, TaskId},
    realtime::StoreFault,
};

pub(super) async fn task(writing: &Writing<'_>, task: &Task) -> Result<(), Fault> {
    writing
        .execute(
        "INSERT INTO task (task_id, owner, title, kind, priority, agent, model, status, progress, cost, created_at, updated_at,
            completed_at, error, task, parameters, result, epoch)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         ON CONFLICT (task_id) DO UPDATE SET owner = EXCLUDED.owner, title = EXCLUDED.title, kind = EXCLUDED.kind,
            priority = EXCLUDED.priority, agent = EXCLUDED.agent, model = EXCLUDED.model, status = EXCLUDED.status,
            progress = EXCLUDED.progress, cost = EXCLUDED.cost, created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at,
            completed_at = EXCLUDED.completed_at, error = EXCLUDED.error, task = EXCLUDED.task, parameters = EXCLUDED.parameters,
            result = EXCLUDED.result, epoch = EXCLUDED.epoch",
        &[
            &task.id,
            &text(&task.owner),
            &text(&task.title),
            &task.kind.word(),
            &task.priority.word(),
            &task.agent.as_deref().map(text),
            &task.model.as_deref().map(text),
            &task.status.word(),
            &task.progress,
            &task.cost,
            &task.created_at.0,
            &task.updated_at.0,
            &task.completed_at.map(|at| at.0),
            &task.error.as_deref().map(text),
            &text(&task.task),
            &text(&task.parameters),
            &task.result.as_deref().map(text),
            &writing.epoch(),
        ],
    )
    .await?;
    Ok(())
}

/// One that is not over stays, and that is a fault; one that is not there is nothing. The whole statement sees what was there before it.
pub(super) async fn no_task(conn: &Conn, task: TaskId) -> Result<Result<(), StoreFault>, Fault> {
    let stays = conn
        .one(
            "WITH gone AS (DELETE FROM task WHERE task_id = $1 AND status IN ('completed', 'failed'))
             SELECT EXISTS (SELECT 1 FROM task WHERE task_id = $1 AND status NOT IN ('completed', 'failed'))",
            &[&task],
        )
        .await?;
    Ok(if column(&stays, 0)? { Err(StoreFault::Failed) } else { Ok(()) })
}

pub(super) async fn execution(writing: &Writing<'_>, execution: &Execution) -> Result<(), Fault> {
    writing
        .execute(
        "INSERT INTO execution (execution_id, owner, workflow, status, current_step, cost, created_at, updated_at, completed_at, error,
            input, results, epoch)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (execution_id) DO UPDATE SET owner = EXCLUDED.owner, workflow = EXCLUDED.workflow, status = EXCLUDED.status,
            current_step = EXCLUDED.current_step, cost = EXCLUDED.cost, created_at = EXCLUDED.created_at,
            updated_at = EXCLUDED.updated_at, completed_at = EXCLUDED.completed_at, error = EXCLUDED.error, input = EXCLUDED.input,
            results = EXCLUDED.results, epoch = EXCLUDED.epoch",
        &[
            &execution.id,
            &text(&execution.owner),
            &text(&execution.workflow),
            &execution.status.word(),
            &execution.current_step.as_deref().map(text),
            &execution.cost,
            &execution.created_at.0,
            &execution.updated_at.0,
            &execution.completed_at.map(|at| at.0),
            &execution.error.as_deref().map(text),
            &text(&execution.input),
            &to_json(&execution.results)?,
            &writing.epoch(),
        ],
    )
    .await?;
    Ok(())
}
