//! The tables of tasks: the fifth version.

/// None yet.
pub(in super::super) const FIFTH: &str = "";
