//! What is seen from outside: log lines, the audit log, metrics as they are written, spans, and what the service manager is told.

pub mod audit;
pub mod exposition;
pub mod logs;
pub mod notify;
pub mod traces;
