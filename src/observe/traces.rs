//! Spans as they happen: whoever does something that takes time begins one and drops it when it is done. It goes into a queue without a
//! lock, from which the house sends it to a collector; where the queue is full it is counted and forgotten. Nobody waits.
//!
//! One for the process, as the log is: nothing is told before [`start`](live::start) was called, and without the feature `otlp` there is
//! nothing to call.

#[cfg(feature = "otlp")]
mod live;
#[cfg(not(feature = "otlp"))]
mod silent;

#[cfg(feature = "otlp")]
pub use live::*;
#[cfg(not(feature = "otlp"))]
pub use silent::*;
