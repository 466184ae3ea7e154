//! A build without traces: nothing is sent, and there is nothing to draw.

use super::HouseFault;
use crate::{config::Settings, observe::exposition::Family, runtime::Stage};

/// Nothing.
pub(super) struct Exporting;

/// Begins nothing.
pub(super) fn start(_: &Settings) -> Result<Exporting, HouseFault> {
    Ok(Exporting)
}

impl Exporting {
    /// Ends nothing.
    pub(super) fn end(self, _: &Stage) {}
}

/// None.
pub(super) fn metrics() -> [Family; 0] {
    []
}
