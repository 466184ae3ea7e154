//! What is seen from outside: log lines, metrics as they are written, and what the service manager is told.

pub mod exposition;
pub mod logs;
pub mod notify;
