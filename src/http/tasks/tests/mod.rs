//! Every route, against a house in memory.

mod executions;
mod others;
mod work;
