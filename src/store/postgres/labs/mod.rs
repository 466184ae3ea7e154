//! Records of labs in tables.

mod library;
mod tables;

pub(super) use tables::THIRD;

use super::{fault::Fault, writing::Writing};
use crate::{
    protocols::labs::{
        model::Template,
        record::{Kept, Login, Record},
    },
    realtime::StoreFault,
};

/// Writes the records of a batch, in their order; the answers in the same order.
pub(super) async fn keep(_writing: &Writing<'_>, records: &[&Record]) -> Result<Vec<Result<Kept, StoreFault>>, Fault> {
    Ok(records.iter().map(|_| Err(StoreFault::Failed)).collect())
}

/// See [`crate::store::Store::seed`].
pub(super) async fn seed(_writing: &Writing<'_>, _templates: &[Template], _admin: Option<&Login>) -> Result<bool, Fault> {
    Ok(false)
}
