//! Records of tasks in tables: written inside the writer's batches, read by whoever may wait.

mod changes;
mod library;
mod lists;
mod tables;

pub(super) use tables::FIFTH;

use super::{
    batch::{each, failed},
    fault::Fault,
    writing::Writing,
};
use crate::{protocols::tasks::record::Record, realtime::StoreFault};

/// Writes the records, each of which may be refused by itself. Always inside the caller's transaction.
pub(super) async fn keep(writing: &Writing<'_>, records: &[&Record]) -> Result<Vec<Result<(), StoreFault>>, Fault> {
    let kept = each(writing, records, async |record| one(writing, record).await, failed).await?;
    Ok(kept.into_iter().map(Result::flatten).collect())
}

async fn one(writing: &Writing<'_>, record: &Record) -> Result<Result<(), StoreFault>, Fault> {
    match record {
        Record::Task(task) => changes::task(writing, task).await.map(Ok),
        Record::NoTask(task) => changes::no_task(writing, *task).await,
        Record::Execution(execution) => changes::execution(writing, execution).await.map(Ok),
    }
}
