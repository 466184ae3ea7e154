//! What is seen from outside: log lines, and what the service manager is told.

pub mod logs;
pub mod notify;
