//! The quizzes that have their home on this shard: letters in, outcomes out, and the times that homes keep.

use super::{
    asks::Reply,
    letters::{Channel, FromQuiz, ToQuiz},
    model::QuizId,
    record::{Kept, KeyChange, Loaded, Record},
    settings::Settings,
};
use crate::realtime::{ConnId, Frame, Moment, Now, ShardId, StoreFault};
use smallvec::SmallVec;

/// What a home wants done, in this order.
#[derive(PartialEq, Debug)]
pub enum Outcome {
    /// Say this to a connection.
    Tell(ConnId, FromQuiz),
    /// Deliver a frame to all who listen to this channel of the quiz, on these shards.
    Publish {
        /// Of which quiz.
        quiz: QuizId,
        /// Which of its channels.
        channel: Channel,
        /// What.
        frame: Frame,
        /// Where its listeners are, and how many.
        shards: SmallVec<[(ShardId, u32); 4]>,
    },
    /// Deliver a frame to one connection, behind what was published before it.
    Deliver(ConnId, Frame),
    /// Write a record; answer [`Homes::kept`] with this ticket, once.
    Keep {
        /// To be given back.
        ticket: u64,
        /// The change.
        record: Record,
    },
    /// Read a quiz; answer [`Homes::loaded`], once.
    Load(QuizId),
    /// Answer a REST ask.
    Reply {
        /// On which shard it waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Tell every shard of a key, and when all have heard it answer the REST ask. The ask may have been answered that the store is busy,
    /// when the record took longer than the asker waits; what is on disk counts all the same, and this answer then finds nobody.
    KeyChanged {
        /// What changed.
        change: KeyChange,
        /// On which shard the ask waits.
        asker: ShardId,
        /// Under which number.
        number: u64,
        /// The answer.
        reply: Box<Reply>,
    },
}

/// All quizzes of one shard.
pub struct Homes {
    settings: Settings,
}

impl Homes {
    /// No quizzes yet. `seed` keeps the places of keys from being guessed.
    pub fn new(settings: Settings, _seed: u64, _start: Moment) -> Homes {
        Homes { settings }
    }

    /// How many quizzes are in memory, and how many attempts run over all.
    pub fn population(&self) -> (usize, usize) {
        (0, 0)
    }

    /// How many records are being written.
    pub fn writing(&self) -> usize {
        0
    }

    /// How many REST asks wait.
    pub fn waiting(&self) -> usize {
        0
    }

    /// How many timers run.
    pub fn timers(&self) -> usize {
        0
    }

    /// No later than the earliest time that a home keeps.
    pub fn next_deadline(&self) -> Option<Moment> {
        None
    }

    /// At start: these have running attempts (the store's `running`, those that the ring puts here). They are loaded, until it succeeds,
    /// and what is overdue in them is closed.
    pub fn running(&mut self, _quizzes: &[QuizId], _now: Now, _out: &mut Vec<Outcome>) {}

    /// Takes a letter.
    pub fn letter(&mut self, _letter: ToQuiz, _now: Now, _out: &mut Vec<Outcome>) {}

    /// The store answered to [`Outcome::Keep`].
    pub fn kept(&mut self, _ticket: u64, _result: Result<Kept, StoreFault>, _now: Now, _out: &mut Vec<Outcome>) {}

    /// The store answered to [`Outcome::Load`]; none: there is no such quiz.
    pub fn loaded(
        &mut self,
        _quiz: QuizId,
        _loaded: Result<Option<Box<Loaded>>, StoreFault>,
        _now: Now,
        _out: &mut Vec<Outcome>,
    ) {
    }

    /// Turns the wheel.
    pub fn turn(&mut self, _now: Now, _out: &mut Vec<Outcome>) {}
}
