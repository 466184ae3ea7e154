//! Records of chat in tables: written inside the writer's batches, read by whoever may wait.

mod changes;
mod library;
mod messages;
mod sessions;
mod sweep;
mod tables;

pub(super) use sweep::sweep;
pub(super) use tables::FOURTH;

use super::{
    batch::{each, failed},
    fault::Fault,
    writing::Writing,
};
use crate::{protocols::chat::record::Change, realtime::StoreFault};

/// Writes all of each change, or nothing of it when it is refused by itself. Always inside the caller's transaction.
pub(super) async fn keep(writing: &Writing<'_>, changes: &[&Change]) -> Result<Vec<Result<(), StoreFault>>, Fault> {
    each(writing, changes, async |change| changes::write(writing, change).await, failed).await
}
