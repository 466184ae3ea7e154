//! What is seen from outside: log lines.

pub mod logs;
