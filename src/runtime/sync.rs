//! The atomics of the wake protocol. Apart, so that the model checker in `tests/wake-model` can put its own in their place.

pub(super) use std::sync::atomic::{AtomicU8, Ordering, fence};
