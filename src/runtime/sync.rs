//! The atomics of the wake protocol: std's, or loom's when the model checker runs it (`--cfg loom`).

#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
