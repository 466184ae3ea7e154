//! What can be listened to on a shard.

use crate::{
    protocols::{
        chat::SessionId,
        quiz::{Channel, QuizId},
    },
    realtime::{ClassroomId, ShardId},
};
use std::hash::{Hash, Hasher};

/// What can be listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Topic {
    /// What is said in a classroom.
    Classroom(ClassroomId),
    /// One channel of a quiz.
    Quiz(QuizId, Channel),
    /// What is said in a session with an agent, by this home of it: whoever listens to the next one hears nothing of the one before.
    Session(SessionId, ShardId),
    /// How the system is, for those who watch tasks; it is spread by the machines of these.
    SystemStatus,
}

impl Topic {
    /// Whether each frame tells all there is, so that a newer one makes an older one needless.
    pub fn is_state(&self) -> bool {
        match self {
            Topic::Classroom(_) | Topic::Quiz(_, Channel::Quiz) | Topic::Session(..) => false,
            Topic::Quiz(_, Channel::Attempts | Channel::Leaderboard) | Topic::SystemStatus => true,
        }
    }
}

impl Hash for Topic {
    /// Which protocol it is of is left to the comparison: the table's hash costs what the key itself costs.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Topic::Classroom(classroom) => classroom.hash(state),
            Topic::Session(session, _) => session.hash(state),
            Topic::Quiz(quiz, channel) => state.write_i64(quiz.0 << 2 | *channel as i64),
            Topic::SystemStatus => {}
        }
    }
}
