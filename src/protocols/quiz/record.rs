//! What quizzes keep, and what they read back. The store fulfils it.
//!
//! A [`Record`] is one change; it is answered once it is on disk. Reads are views, one for each route that only looks.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::model::{
    AnswerId, AttemptId, EventId, Given, Grade, KeyId, OwnerId, ParticipantId, Question, QuestionId, Quiz, QuizId, Reason, Role,
    Rules, Status,
};
use crate::realtime::UnixMicros;
use std::sync::Arc;

/// One change. Those of one quiz are fulfilled in the order in which they were asked.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Record {
    /// A new quiz, draft and without questions; answered with [`Kept::Quiz`].
    NewQuiz(Box<NewQuiz>),
    /// A quiz changes. The home has looked at the rules.
    Edited {
        /// Which.
        quiz: QuizId,
        /// How.
        edit: Edit,
        /// When.
        at: UnixMicros,
    },
    /// A participant. The id is new.
    Participant(Participant),
    /// An event. The id is new.
    Event(Event),
    /// An owner who signs in with a password, or a new password of one. The hash is a PHC string.
    Owner(Account),
    /// An API key. Id and hash are new.
    Key(Key),
    /// A key is good no more. An id that the owner has not is answered [`Kept::Missing`].
    Revoked {
        /// Whose.
        owner: OwnerId,
        /// Which.
        key: KeyId,
        /// When.
        at: UnixMicros,
    },
    /// An attempt begins. Where the participant is new, it is written with it.
    Started(Box<Started>),
    /// An answer, or another one to the same question: the last one counts.
    Answered(Box<Answered>),
    /// An attempt ends.
    Closed(Closed),
    /// A batch of flags.
    Flagged {
        /// Of which attempt.
        attempt: AttemptId,
        /// When it came.
        at: UnixMicros,
        /// Which, in their order.
        flags: Vec<Flag>,
    },
}

/// What the store answers to a [`Record`] that is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Kept {
    /// It is.
    Done,
    /// The new quiz has this number.
    Quiz(QuizId),
    /// What it was to change is not there; nothing was written.
    Missing,
}

/// See [`Record::NewQuiz`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct NewQuiz {
    /// Whose.
    pub owner: OwnerId,
    /// What was chosen.
    pub rules: Rules,
    /// For sharing.
    pub access_code: String,
    /// When.
    pub at: UnixMicros,
}

/// What can change in a quiz.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Edit {
    /// All of what the owner chose.
    Rules(Box<Rules>),
    /// Published, archived.
    Status(Status),
    /// A question at the end, or another text of one that is there.
    Question(Box<Question>),
    /// A question less.
    NoQuestion(QuestionId),
    /// Another order: every question, once.
    Order(Vec<QuestionId>),
}

/// See [`Record::Started`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Started {
    /// The new id.
    pub attempt: AttemptId,
    /// Of which quiz.
    pub quiz: QuizId,
    /// Whose quiz.
    pub owner: OwnerId,
    /// Whose attempt.
    pub participant: ParticipantId,
    /// Whether the participant is written with it.
    pub new_participant: bool,
    /// The display name.
    pub alias: Arc<str>,
    /// Of which stream.
    pub event: Option<EventId>,
    /// When.
    pub started_at: UnixMicros,
    /// When its time is up.
    pub deadline: Option<UnixMicros>,
}

/// See [`Record::Answered`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Answered {
    /// The new id.
    pub id: AnswerId,
    /// Of which attempt.
    pub attempt: AttemptId,
    /// To which question.
    pub question: QuestionId,
    /// What was said.
    pub given: Given,
    /// What it is worth.
    pub grade: Grade,
    /// When.
    pub at: UnixMicros,
}

/// See [`Record::Closed`].
#[derive(Clone, Copy, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Closed {
    /// Which.
    pub attempt: AttemptId,
    /// Why.
    pub reason: Reason,
    /// When. For [`Reason::TimeUp`]: when its time was up.
    pub at: UnixMicros,
    /// Points.
    pub score: f64,
    /// Questions answered.
    pub answered_count: u32,
}

/// One flag of a batch.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Flag {
    /// Upper case, at most 50 characters.
    pub label: String,
    /// JSON as it came, at most 1 KiB.
    pub detail: Option<Box<str>>,
    /// Where it happened.
    pub question: Option<QuestionId>,
    /// When, as the client says; else when it came.
    pub occurred_at: UnixMicros,
}

/// One who takes quizzes of one owner.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Participant {
    /// UUID.
    pub id: ParticipantId,
    /// Whose participant.
    pub owner: OwnerId,
    /// The display name, 1 to 100 characters.
    pub alias: Arc<str>,
    /// When made.
    pub created_at: UnixMicros,
}

/// A stream of attempts.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Event {
    /// UUID.
    pub id: EventId,
    /// Whose.
    pub owner: OwnerId,
    /// 1 to 200 characters.
    pub title: String,
    /// When made.
    pub created_at: UnixMicros,
}

/// One who signs in here.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Account {
    /// The name; the subject of its tokens.
    pub name: String,
    /// PHC string of the password's hash. Never shown.
    pub password_hash: String,
    /// When made or changed.
    pub at: UnixMicros,
}

/// An API key. The key itself is nowhere.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Key {
    /// UUID.
    pub id: KeyId,
    /// Whose.
    pub owner: OwnerId,
    /// What for, in the owner's words, 1 to 100 characters.
    pub label: String,
    /// What it may.
    pub role: Role,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// Its last four characters.
    pub hint: String,
    /// When made.
    pub created_at: UnixMicros,
}

/// What every shard must hear of keys and passwords.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum KeyChange {
    /// It is good.
    Added(Box<Key>),
    /// It is good no more.
    Revoked(KeyId),
    /// An account has a password since then.
    Password {
        /// Its name.
        name: String,
        /// See [`Account::at`].
        set_at: UnixMicros,
    },
}

impl KeyChange {
    /// What decides which shard writes it.
    pub fn place(&self) -> &[u8] {
        match self {
            KeyChange::Added(key) => key.id.as_bytes(),
            KeyChange::Revoked(key) => key.as_bytes(),
            KeyChange::Password { name, .. } => name.as_bytes(),
        }
    }
}

impl Record {
    /// Of a change of keys or passwords: what decides which shard writes it.
    pub fn key_place(&self) -> Option<&[u8]> {
        match self {
            Record::Key(key) => Some(key.id.as_bytes()),
            Record::Revoked { key, .. } => Some(key.as_bytes()),
            Record::Owner(account) => Some(account.name.as_bytes()),
            Record::NewQuiz(_) | Record::Edited { .. } | Record::Participant(_) | Record::Event(_) => None,
            Record::Started(_) | Record::Answered(_) | Record::Closed(_) | Record::Flagged { .. } => None,
        }
    }
}

// --- what homes read at their beginning

/// A quiz with all that its home must know.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// Settings and questions.
    pub quiz: Quiz,
    /// Every attempt there ever was, the running ones with their answers.
    pub attempts: Vec<LoadedAttempt>,
}

/// One of them.
#[derive(Clone, PartialEq, Debug)]
pub struct LoadedAttempt {
    /// Which.
    pub id: AttemptId,
    /// Whose.
    pub participant: ParticipantId,
    /// The display name.
    pub alias: Arc<str>,
    /// Of which stream.
    pub event: Option<EventId>,
    /// When.
    pub started_at: UnixMicros,
    /// When its time is up.
    pub deadline: Option<UnixMicros>,
    /// When its last answer came (`at` of the latest of its answer records), also of one that is over: ranks need it.
    pub last_answer: Option<UnixMicros>,
    /// How many flags it has.
    pub flags: u32,
    /// How it ended, if it did.
    pub end: Option<Closed>,
    /// Of a running one: what the last answer to each question was worth.
    pub answers: Vec<(QuestionId, Grade)>,
}

// --- what routes read

/// A part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// How many to leave out.
    pub offset: u32,
    /// How many at most, 1 to 200.
    pub limit: u32,
}

/// A part of a list, and how long all of it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed<T> {
    /// The part.
    pub items: Vec<T>,
    /// The whole.
    pub total: u64,
}

/// Which attempts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AttemptFilter {
    /// Of this quiz.
    pub quiz: Option<QuizId>,
    /// Of this stream.
    pub event: Option<EventId>,
    /// Of this participant.
    pub participant: Option<ParticipantId>,
    /// Running (false), over (true).
    pub ended: Option<bool>,
    /// With a flag, without.
    pub flagged: Option<bool>,
}

/// An attempt in a list.
#[derive(Clone, PartialEq, Debug)]
pub struct AttemptRow {
    /// Which.
    pub id: AttemptId,
    /// Of which quiz.
    pub quiz: QuizId,
    /// Whose.
    pub participant: ParticipantId,
    /// The display name.
    pub alias: String,
    /// Of which stream.
    pub event: Option<EventId>,
    /// When.
    pub started_at: UnixMicros,
    /// When its time is up.
    pub deadline: Option<UnixMicros>,
    /// How it ended.
    pub reason: Option<Reason>,
    /// When it ended.
    pub ended_at: Option<UnixMicros>,
    /// Points: the sum of the answers so far, or the final ones.
    pub score: f64,
    /// Questions answered.
    pub answered_count: u32,
    /// How many flags.
    pub flags: u32,
}

/// An answer in a result.
#[derive(Clone, PartialEq, Debug)]
pub struct AnswerRow {
    /// Its record.
    pub id: AnswerId,
    /// To which question.
    pub question: QuestionId,
    /// What was said.
    pub given: Given,
    /// What it is worth.
    pub grade: Grade,
    /// When.
    pub at: UnixMicros,
}

/// A flag in a timeline.
#[derive(Clone, PartialEq, Debug)]
pub struct FlagRow {
    /// What.
    pub flag: Flag,
    /// When its batch came.
    pub flagged_at: UnixMicros,
}

/// A quiz in a list.
#[derive(Clone, PartialEq, Debug)]
pub struct QuizRow {
    /// Without its questions.
    pub quiz: Quiz,
    /// How many it has.
    pub questions_count: u32,
}

/// A key in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRow {
    /// What it is.
    pub key: Key,
    /// Since when it is good no more.
    pub revoked_at: Option<UnixMicros>,
}

/// The flags of a quiz.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlagSummary {
    /// All of them.
    pub flags: u64,
    /// How many attempts have one at least.
    pub attempts: u64,
    /// For each label; the most frequent first, then by name.
    pub labels: Vec<FlagCount>,
}

/// A label in a summary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlagCount {
    /// Upper case.
    pub label: String,
    /// How many flags.
    pub flags: u64,
    /// Of how many attempts.
    pub attempts: u64,
}
