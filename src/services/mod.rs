//! What the house asks of the outside: permission services over HTTP, and the key files of its own folder.

pub mod keys;
pub mod permission;

pub use permission::{PermissionService, ServiceFault, SetupFault};
