//! What the house asks of the outside: permission services, language models, tools and collectors of spans over HTTP; the key files of
//! its own folder; passwords.

#[cfg(feature = "otlp")]
pub mod collector;
pub mod key_sets;
pub mod keys;
pub mod models;
pub mod outbound;
pub mod passwords;
pub mod permission;
#[cfg(test)]
mod stub;
pub mod tools;

pub use key_sets::{ReadFault, SetReader};
pub use models::Endpoint;
pub use outbound::SetupFault;
pub use passwords::{PasswordFault, Passwords};
pub use permission::{PermissionService, ServiceFault};
pub use tools::HttpTool;
