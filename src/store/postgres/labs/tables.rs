//! The tables of labs: the third version.

/// None yet.
pub(in super::super) const THIRD: &str = "";
