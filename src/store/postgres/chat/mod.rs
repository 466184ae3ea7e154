//! Records of chat in tables.

mod library;
mod tables;

pub(super) use tables::FOURTH;

use super::{fault::Fault, writing::Writing};
use crate::{
    protocols::chat::record::{Change, Sweep},
    realtime::StoreFault,
};

/// Writes the changes of a batch, in their order; the answers in the same order.
pub(super) async fn keep(_writing: &Writing<'_>, changes: &[&Change]) -> Result<Vec<Result<(), StoreFault>>, Fault> {
    Ok(changes.iter().map(|_| Err(StoreFault::Failed)).collect())
}

/// See [`crate::store::Store::sweep_chat`].
pub(super) async fn sweep(_writing: &Writing<'_>, _sweep: Sweep) -> Result<u64, Fault> {
    Ok(0)
}
