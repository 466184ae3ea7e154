//! What a socket and the home of a quiz say to each other, across shards.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    asks::Ask,
    model::{AttemptId, OwnerId, QuizId},
};
use crate::realtime::{ConnId, ShardId};

/// What an owner can listen to, of one quiz.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Channel {
    /// `quiz:<id>`: every event, as it happens.
    Quiz,
    /// `attempts:<id>`: the list of attempts, as snapshots.
    Attempts,
    /// `leaderboard:<id>`: the ranks, as snapshots.
    Leaderboard,
}

impl Channel {
    /// As the contract writes it.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Quiz => "quiz",
            Channel::Attempts => "attempts",
            Channel::Leaderboard => "leaderboard",
        }
    }
}

/// To the home of a quiz.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum ToQuiz {
    /// A participant wants to listen. Answered with [`FromQuiz::Admitted`] or [`FromQuiz::Refused`].
    Admit {
        /// Who asks.
        conn: ConnId,
        /// Of which quiz.
        quiz: QuizId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// A connection that asked to be admitted is over. Sent once by each that was not refused.
    Part {
        /// Who.
        conn: ConnId,
        /// Of which quiz.
        quiz: QuizId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// An owner wants to listen. Answered with [`FromQuiz::Watched`].
    Watch {
        /// Who asks.
        conn: ConnId,
        /// Which quiz.
        quiz: QuizId,
        /// Which of its channels.
        channel: Channel,
        /// Who must own it; none: this connection was found to be the owner's before.
        owner: Option<OwnerId>,
    },
    /// An owner listens no more. Sent once for each [`ToQuiz::Watch`], unless it was refused.
    Unwatch {
        /// Who.
        conn: ConnId,
        /// Which quiz.
        quiz: QuizId,
        /// Which of its channels.
        channel: Channel,
    },
    /// The state of a channel, to this connection alone: it has begun to listen.
    Snapshot {
        /// To whom.
        conn: ConnId,
        /// Which quiz.
        quiz: QuizId,
        /// Which of its channels.
        channel: Channel,
    },
    /// A question from REST.
    Ask {
        /// On which shard the answer is awaited.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// What is asked.
        ask: Box<Ask>,
    },
}

impl ToQuiz {
    /// The connection that says it, if one does.
    pub fn conn(&self) -> Option<ConnId> {
        match self {
            ToQuiz::Admit { conn, .. } | ToQuiz::Part { conn, .. } => Some(*conn),
            ToQuiz::Watch { conn, .. } | ToQuiz::Unwatch { conn, .. } | ToQuiz::Snapshot { conn, .. } => Some(*conn),
            ToQuiz::Ask { .. } => None,
        }
    }
}

/// From the home of a quiz to one connection.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum FromQuiz {
    /// The participant's attempt runs.
    Admitted,
    /// It does not, or there is none such. `unknown` false: the store could not be read, or too many listen.
    Refused {
        /// Whether the session is no good.
        unknown: bool,
    },
    /// To [`ToQuiz::Watch`].
    Watched {
        /// Which quiz.
        quiz: QuizId,
        /// Which of its channels.
        channel: Channel,
        /// How it was decided.
        verdict: Verdict,
    },
    /// The attempt is over, and its last frame was delivered before this.
    Over,
}

/// How a [`ToQuiz::Watch`] was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Verdict {
    /// The home counts this connection among the channel's listeners.
    Granted,
    /// There is no such quiz, or it is another's.
    NotOwned,
    /// The store could not be read.
    Unavailable,
}
