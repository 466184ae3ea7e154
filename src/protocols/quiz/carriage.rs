//! What of a connection another process must know to go on with it. What its homes must know is what they are told when they move.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    connection::Connection,
    letters::{Channel, ToQuiz},
    model::{AttemptId, OwnerId, QuizId},
    pulse::Rhythm,
};
use crate::realtime::Moment;

/// See the file.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Carriage {
    /// One who takes a quiz.
    Participant {
        /// Which quiz.
        quiz: QuizId,
        /// Which attempt.
        attempt: AttemptId,
        /// When he is pinged; none: the attempt is over, and he is about to be closed.
        rhythm: Option<Rhythm>,
    },
    /// One who watches quizzes, and waits for no home.
    Owner {
        /// Who.
        owner: OwnerId,
        /// What homes have said is his.
        owned: Vec<QuizId>,
        /// What he listens to.
        channels: Vec<(QuizId, Channel)>,
        /// When he is pinged.
        rhythm: Rhythm,
    },
}

impl Carriage {
    /// The topics that he hears.
    pub fn channels(&self) -> &[(QuizId, Channel)] {
        match self {
            Carriage::Owner { channels, .. } => channels,
            Carriage::Participant { .. } => &[],
        }
    }
}

impl Connection {
    /// What another process goes on with. None: it is over, or waits for a home.
    pub fn carriage(&self, now: Moment) -> Option<Carriage> {
        match self {
            Connection::Participant(participant) => participant.carriage(now),
            Connection::Owner(owner) => owner.carriage(now),
        }
    }
}

impl ToQuiz {
    /// The quiz whose home this is for; none: what is asked tells it.
    pub fn quiz(&self) -> Option<QuizId> {
        match self {
            ToQuiz::Admit { quiz, .. } | ToQuiz::Part { quiz, .. } | ToQuiz::Watch { quiz, .. } => Some(*quiz),
            ToQuiz::Unwatch { quiz, .. } | ToQuiz::Snapshot { quiz, .. } => Some(*quiz),
            ToQuiz::Ask { .. } => None,
        }
    }
}
