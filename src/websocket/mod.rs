//! RFC 6455 over memory: how a connection begins (`upgrade`), what its bytes say (`session`), what is said to it (`frame`), how
//! it ends (`close`). Pure.

pub mod close;
pub mod frame;
pub mod session;
pub mod upgrade;

pub use close::CloseReason;
pub use frame::Opcode;
pub use session::{Event, Limits, Scratch, Session};
