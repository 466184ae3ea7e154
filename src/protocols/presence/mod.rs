//! Presence: who is in the classroom.
//!
//! A connection ([`connection`]) says who it is and waits to be seated; the classroom's home ([`room`], on whichever shard the
//! hash ring put it) is the one writer of who is there. Contract: one socket route, `connect_request`, `connect_success`, the named errors.

pub mod asks;
pub mod connection;
pub mod document;
mod handover;
pub mod homes;
pub mod letters;
pub mod messages;
mod moves;
pub mod record;
pub mod room;
pub mod settings;

pub use connection::{Carriage, Connection, Effect, Event, Gate};
pub use homes::{Homes, Outcome, Reconciled};
pub use letters::{FromHome, Held, Seat, ToHome};
pub use messages::{Notice, SessionError};
pub use settings::Settings;
