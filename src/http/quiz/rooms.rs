//! What the quiz routes ask of the rest of the house. The runtime fulfils it; tests fulfil it from memory.

use crate::{
    http::rooms::Unverified,
    protocols::quiz::{
        asks::{Ask, Reply},
        model::{AttemptId, EventId, OwnerId, ParticipantId, Quiz, QuizId, Role, Status},
        record::{AnswerRow, AttemptFilter, AttemptRow, Event, FlagRow, FlagSummary, KeyRow, Listed, Page, Participant, QuizRow},
    },
    realtime::StoreFault,
};
use std::time::Duration;

/// The homes of quizzes. Futures stay on their shard, so they need not be `Send`.
#[allow(async_fn_in_trait)]
pub trait Quizzes {
    /// Asks the home of the ask's quiz; an [`Ask::Keep`], which concerns none, is answered on this shard. A new or revoked key is known on
    /// every shard before the answer comes.
    async fn ask(&self, ask: Ask) -> Reply;
}

/// What is on disk, to look at: each as the store reads it, on a thread that may wait. What an owner does not own is not there for him;
/// a list is none when what it is a list of is not there. Lists are newest first unless told otherwise.
#[allow(async_fn_in_trait)]
pub trait Library {
    /// Whose quiz it is.
    async fn owner_of(&self, quiz: QuizId) -> Result<Option<OwnerId>, StoreFault>;
    /// The quizzes of an owner, or those of one status.
    async fn quizzes(&self, owner: OwnerId, status: Option<Status>, page: Page) -> Result<Listed<QuizRow>, StoreFault>;
    /// One of them with its questions.
    async fn quiz(&self, owner: OwnerId, quiz: QuizId) -> Result<Option<Quiz>, StoreFault>;
    /// The participants of an owner.
    async fn participants(&self, owner: OwnerId, page: Page) -> Result<Listed<Participant>, StoreFault>;
    /// One of them.
    async fn participant(&self, owner: OwnerId, participant: ParticipantId) -> Result<Option<Participant>, StoreFault>;
    /// The events of an owner.
    async fn events(&self, owner: OwnerId, page: Page) -> Result<Listed<Event>, StoreFault>;
    /// One of them.
    async fn event(&self, owner: OwnerId, event: EventId) -> Result<Option<Event>, StoreFault>;
    /// The attempts at the quizzes of an owner that suit the filter.
    async fn attempts(&self, owner: OwnerId, filter: AttemptFilter, page: Page) -> Result<Listed<AttemptRow>, StoreFault>;
    /// One of them with the last answer to each question, in the order in which they came.
    async fn attempt(&self, owner: OwnerId, attempt: AttemptId) -> Result<Option<(AttemptRow, Vec<AnswerRow>)>, StoreFault>;
    /// The attempts at a quiz that are over, best first: score down, then time taken up.
    async fn results(&self, owner: OwnerId, quiz: QuizId, page: Page) -> Result<Option<Listed<AttemptRow>>, StoreFault>;
    /// All flags of an attempt, in their order.
    async fn flags(&self, owner: OwnerId, attempt: AttemptId) -> Result<Option<Vec<FlagRow>>, StoreFault>;
    /// The flags of a quiz, counted.
    async fn flag_summary(&self, owner: OwnerId, quiz: QuizId) -> Result<Option<FlagSummary>, StoreFault>;
    /// The API keys of an owner, also those that are good no more.
    async fn keys(&self, owner: OwnerId, page: Page) -> Result<Listed<KeyRow>, StoreFault>;
    /// The quizzes at which attempts of this event run.
    async fn running_of_event(&self, owner: OwnerId, event: EventId) -> Result<Option<Vec<QuizId>>, StoreFault>;
}

/// What requests prove themselves with.
#[allow(async_fn_in_trait)]
pub trait Credentials {
    /// Whether it is known here for certain which API keys are good. It is not where the server has just come to others.
    fn knows_keys(&self) -> bool;
    /// Whose access token (JWT) it is, checked now.
    fn token(&self, token: &str) -> Result<OwnerId, Unverified>;
    /// Whose API key it is, and what it may. None: no key that is good.
    fn api_key(&self, key: &str) -> Option<(OwnerId, Role)>;
    /// Which attempt a session token is of. Whether that still runs is not looked at.
    fn session(&self, token: &str) -> Option<(QuizId, AttemptId)>;
    /// The session token of an attempt.
    fn session_token(&self, quiz: QuizId, attempt: AttemptId) -> String;
    /// Whether accounts with passwords are served here: false where other issuers are configured.
    fn has_sign_in(&self) -> bool;
    /// An access token for a name and its password. Takes as long for a name that there is not.
    async fn sign_in(&self, name: String, password: String) -> Result<SignedIn, SignInRefused>;
    /// Makes an account, or gives one a new password.
    async fn new_account(&self, name: String, password: String) -> Result<(), StoreFault>;
}

/// Someone has signed in. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// A JWT.
    pub access_token: String,
    /// How long it is good, from now.
    pub lifetime: Duration,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// Why someone has not signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInRefused {
    /// The name or the password; which, is not told.
    Wrong,
    /// The store did not do its part, or ([`StoreFault::Busy`]) too many want to sign in.
    Store(StoreFault),
}

/// What cannot be foreseen.
pub trait Chance {
    /// Fills `bytes` with randomness that is good for keys.
    fn fill(&self, bytes: &mut [u8]);
}
