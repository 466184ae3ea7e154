//! What the house asks of the outside: permission services over HTTP; the key files of its own folder; passwords.

pub mod keys;
pub mod passwords;
pub mod permission;

pub use passwords::{PasswordFault, Passwords};
pub use permission::{PermissionService, ServiceFault, SetupFault};
