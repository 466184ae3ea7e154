//! Quiz: live attempts, those who own the quizzes and those who take them.
//!
//! A quiz has one home ([`homes`], on whichever shard the hash ring put it): the one writer of its attempts. Every change is decided there
//! against what is on disk, written ([`record`]), and only then told: to the owners who watch, to the participant, to the request that
//! caused it. A socket ([`connection`]) belongs to an owner, who chooses channels, or to a participant, who only listens.
//! Contract: one socket route and its REST routes.

pub mod account;
pub mod admission;
pub mod asks;
pub mod attempt;
pub mod audience;
pub mod carriage;
pub mod connection;
pub mod desk;
pub mod document;
pub mod edits;
pub mod entry;
pub mod grading;
pub mod homes;
mod json;
pub mod keys;
pub mod letters;
pub mod messages;
pub mod model;
mod moves;
mod owner;
mod plain;
pub mod pulse;
pub mod record;
pub mod requests;
pub mod room;
pub mod settings;
pub mod sitting;
pub mod spare;
pub mod standing;
pub mod telling;

pub use admission::{Credential, Denial};
pub use carriage::Carriage;
pub use connection::{Connection, Effect, Event, Farewell, Gate};
pub use homes::{Homes, Outcome};
pub use keys::{Good, Keys};
pub use letters::{Channel, FromQuiz, ToQuiz};
pub use model::{AttemptId, EventId, OwnerId, ParticipantId, QuestionId, QuizId};
pub use pulse::Phases;
pub use requests::Parser;
pub use settings::Settings;

#[cfg(test)]
mod tests;
