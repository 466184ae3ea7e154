//! Chat: sessions with an agent that streams, calls tools and asks for leave before it acts.
//!
//! A session has one home, which decides everything about it: who listens, which answer runs, what waits behind it, what was approved. It
//! decides against what is on disk, writes ([`record`]), and only then tells. Deltas of a running answer are told as they come and written
//! whole at its end, or as far as it got.
//! Contract: REST under `/api/v1`, the socket at `/ws/sessions/{id}`.

mod answer;
pub mod asks;
pub mod attachments;
pub mod carriage;
pub mod connection;
pub mod document;
pub mod homes;
pub mod letters;
pub mod messages;
pub mod model;
mod moves;
pub mod quotas;
pub mod record;
mod room;
pub mod settings;
mod sitting;
mod writing;

pub use asks::{Ask, Reply, Told};
pub use carriage::Carriage;
pub use connection::{Connection, Effect, Event, Farewell, Gate};
pub use homes::{Homes, Levels, Outcome};
pub use letters::{FromSession, Heard, Mark, ToSession};
pub use model::{ApprovalId, MessageId, SessionId, UserId};
pub use quotas::{Payer, Quotas, Row};
pub use settings::Settings;

#[cfg(test)]
mod tests;
