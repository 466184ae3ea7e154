//! What is read of the records of quizzes: by homes as they begin, by routes that only look.

use crate::{
    protocols::quiz::{
        model::{AttemptId, EventId, OwnerId, ParticipantId, Quiz, QuizId, Status},
        record::{
            Account, AnswerRow, AttemptFilter, AttemptRow, Event, FlagRow, FlagSummary, Key, KeyRow, Listed, Loaded, Page,
            Participant, QuizRow,
        },
    },
    realtime::{StoreFault, UnixMicros},
};

/// The result of a read. [`StoreFault::Busy`] while another holds the records, [`StoreFault::Failed`] when they cannot be read.
pub type Read<T> = Result<T, StoreFault>;

/// Reads of what is on disk. All of them block: call them on a thread that may wait. Each sees one moment.
///
/// `owner` is an [`OwnerId`]: what another owns is not there. A list with `Option` is none when what it is a
/// list of is not there.
pub trait Library: Send + Sync {
    /// All that the home of a quiz must know. Attempts in the order in which they began, answers of each by question.
    fn quiz(&self, quiz: QuizId) -> Read<Option<Box<Loaded>>>;

    /// Every quiz with a running attempt, ascending.
    fn running(&self) -> Read<Vec<QuizId>>;

    /// Every key that is good, of all owners, by their beginning.
    fn keys(&self) -> Read<Vec<Key>>;

    /// Everyone who signs in here: the name, and when the password was set.
    fn accounts(&self) -> Read<Vec<(String, UnixMicros)>>;

    /// One who signs in here.
    fn account(&self, name: &str) -> Read<Option<Account>>;

    /// An owner's keys, revoked ones too, newest first.
    fn keys_of(&self, owner: &str, page: Page) -> Read<Listed<KeyRow>>;

    /// An owner's quizzes, newest first.
    fn quizzes(&self, owner: &str, status: Option<Status>, page: Page) -> Read<Listed<QuizRow>>;

    /// Whose quiz it is.
    fn owner_of(&self, quiz: QuizId) -> Read<Option<OwnerId>>;

    /// A quiz with its questions.
    fn quiz_of(&self, owner: &str, quiz: QuizId) -> Read<Option<Quiz>>;

    /// Newest first.
    fn participants(&self, owner: &str, page: Page) -> Read<Listed<Participant>>;

    /// One of them.
    fn participant(&self, owner: &str, participant: ParticipantId) -> Read<Option<Participant>>;

    /// Newest first.
    fn events(&self, owner: &str, page: Page) -> Read<Listed<Event>>;

    /// One of them.
    fn event(&self, owner: &str, event: EventId) -> Read<Option<Event>>;

    /// Attempts at an owner's quizzes that the filter lets through, newest first.
    fn attempts(&self, owner: &str, filter: &AttemptFilter, page: Page) -> Read<Listed<AttemptRow>>;

    /// One of them, with the last answer to each question, in the order of the questions; to those that are no more, after them.
    fn attempt(&self, owner: &str, attempt: AttemptId) -> Read<Option<(AttemptRow, Vec<AnswerRow>)>>;

    /// Attempts that are over, best first: score down, then time taken up, then id. The first has rank 1.
    fn results(&self, owner: &str, quiz: QuizId, page: Page) -> Read<Option<Listed<AttemptRow>>>;

    /// An attempt's flags, in the order in which they came.
    fn flags(&self, owner: &str, attempt: AttemptId) -> Read<Option<Vec<FlagRow>>>;

    /// What flags the attempts at a quiz have.
    fn flag_summary(&self, owner: &str, quiz: QuizId) -> Read<Option<FlagSummary>>;

    /// Every quiz with a running attempt of this event, ascending.
    fn running_of_event(&self, owner: &str, event: EventId) -> Read<Vec<QuizId>>;
}
