//! Quiz: live attempts, those who own the quizzes and those who take them.
//!
//! A quiz has one home ([`homes`], on whichever shard the hash ring put it): the one writer of its attempts. Every change is decided there
//! against what is on disk, written ([`record`]), and only then told: to the owners who watch, to the participant, to the request that
//! caused it. A socket ([`connection`]) belongs to an owner, who chooses channels, or to a participant, who only listens.
//! Contract: one socket route and its REST routes.

pub mod asks;
pub mod homes;
pub mod letters;
pub mod messages;
pub mod model;
pub mod record;
pub mod settings;

pub use homes::{Homes, Outcome};
pub use letters::{Channel, FromQuiz, ToQuiz};
pub use model::{AttemptId, EventId, OwnerId, ParticipantId, QuestionId, QuizId};
pub use settings::Settings;
