//! The tables of chat: the fourth version.

/// None yet.
pub(in super::super) const FOURTH: &str = "";
