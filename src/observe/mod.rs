//! What is seen from outside: log lines, the audit log, metrics as they are written, and what the service manager is told.

pub mod audit;
pub mod exposition;
pub mod logs;
pub mod notify;
