//! RFC 6455 over memory: how a connection begins (`upgrade`), what its bytes say (`session`; `bulk` where they are many), what is said to
//! it (`frame`), how it ends (`close`), which pages may open it (`origin`). Pure.

pub mod bulk;
pub mod close;
pub mod frame;
pub mod origin;
pub mod query;
pub mod session;
pub mod upgrade;

pub use bulk::{BulkSession, Pieces, Said};
pub use close::CloseReason;
pub use frame::Opcode;
pub use origin::{OriginRule, Origins};
pub use session::{Event, Limits, Scratch, Session};
