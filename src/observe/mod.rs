//! What is seen from outside: log lines, the audit log, and what the service manager is told.

pub mod audit;
pub mod logs;
pub mod notify;
