//! What the REST routes ask of homes, and what these answer.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use super::{
    model::{AccessType, AnswerId, AttemptId, EventId, Given, Grade, OwnerId, ParticipantId, QuestionId, Quiz, QuizId, Reason},
    record::{Edit, Flag, Kept, Record},
};
use crate::realtime::{StoreFault, UnixMicros};
use std::sync::Arc;

/// A question to the home of one quiz; [`Ask::Keep`] to the shard that it is asked on.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Ask {
    /// Write what concerns no home: a new quiz, a participant, an event, an owner, a key.
    Keep(Record),
    /// Change a quiz.
    Edit {
        /// Which.
        quiz: QuizId,
        /// Who must own it.
        owner: OwnerId,
        /// How.
        edit: Edit,
        /// The quiz's [`Quiz::updated_at`] when the edit was thought of; none: it holds whatever the quiz is now.
        seen: Option<UnixMicros>,
    },
    /// Begin an attempt. One that the same entrant has begun under this id is shown as it is now.
    Start {
        /// At which quiz.
        quiz: QuizId,
        /// The new attempt's id.
        attempt: AttemptId,
        /// Who begins it.
        entrant: Entrant,
        /// Of which stream. Known to be the owner's.
        event: Option<EventId>,
        /// What the request came with.
        pass: Pass,
    },
    /// What a participant may see of an attempt.
    Look {
        /// At which quiz.
        quiz: QuizId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// Answer a question.
    Answer {
        /// Of which quiz.
        quiz: QuizId,
        /// In which attempt.
        attempt: AttemptId,
        /// Which question.
        question: QuestionId,
        /// The new answer's id.
        id: AnswerId,
        /// What is said.
        given: Given,
    },
    /// End an attempt.
    Submit {
        /// At which quiz.
        quiz: QuizId,
        /// Which attempt.
        attempt: AttemptId,
    },
    /// Take a batch of flags.
    Flag {
        /// At which quiz.
        quiz: QuizId,
        /// Which attempt.
        attempt: AttemptId,
        /// Checked: 1 to 20, labels upper case.
        flags: Vec<Flag>,
    },
    /// End every running attempt at a quiz, or those of one event.
    Force {
        /// At which quiz.
        quiz: QuizId,
        /// Who must own it.
        owner: OwnerId,
        /// Only those of this stream.
        event: Option<EventId>,
    },
}

/// Who begins an attempt.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Entrant {
    /// An id: new, or of a participant whom the owner has.
    pub participant: ParticipantId,
    /// The owner whose participant it is, when it is not new.
    pub known_to: Option<OwnerId>,
    /// The display name.
    pub alias: Arc<str>,
}

/// What lets someone begin.
#[derive(Clone, PartialEq, Eq, Debug, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Pass {
    /// A credential of this owner, of either role.
    pub owner: Option<OwnerId>,
    /// The quiz's access code, as it was sent.
    pub code: Option<String>,
}

/// The home's answer to an [`Ask`]: for each ask the variant of its name, or [`Reply::Refused`].
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Reply {
    /// To [`Ask::Keep`].
    Kept(Kept),
    /// To [`Ask::Edit`]: the quiz as it is now.
    Edited(Box<Quiz>),
    /// To [`Ask::Start`].
    Started(Box<View>),
    /// To [`Ask::Look`].
    Looked(Box<View>),
    /// To [`Ask::Answer`].
    Answered {
        /// Its record.
        id: AnswerId,
        /// What it is worth; none: told when the attempt is over.
        grade: Option<Grade>,
        /// Questions answered so far.
        answered_count: u32,
        /// When.
        at: UnixMicros,
    },
    /// To [`Ask::Submit`].
    Submitted(End),
    /// To [`Ask::Flag`]: labels once each, in their order.
    Flagged {
        /// Upper case.
        labels: Vec<String>,
        /// When.
        at: UnixMicros,
    },
    /// To [`Ask::Force`]: how many it ended.
    Forced(u64),
    /// No.
    Refused(Refused),
}

/// An attempt as its participant may see it.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct View {
    /// The quiz with its questions; what is right is in it, and not to be shown.
    pub quiz: Arc<Quiz>,
    /// Which.
    pub attempt: AttemptId,
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
    /// Which questions have an answer; none once it is over, when only the store knows.
    pub answered: Vec<QuestionId>,
    /// How it ended.
    pub end: Option<End>,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: UnixMicros,
    /// Points.
    pub score: f64,
    /// Questions answered.
    pub answered_count: u32,
}

/// Why an [`Ask`] was not fulfilled. Nothing was written, but where it has waited too long ([`StoreFault::Busy`]): its record may be on its
/// way then, and holds when it is on disk. To ask again is safe for an answer, an end and a beginning (which waits for the store's own
/// word); a batch of flags may be there twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub enum Refused {
    /// There is no such quiz, attempt or question, or it is another's.
    NotFound,
    /// The quiz is not what it was when the edit was thought of.
    Changed,
    /// The quiz has running attempts: G-001.
    ActiveAttempts,
    /// The quiz is archived, and stays as it is.
    Archived,
    /// A quiz without questions is not published.
    NoQuestions,
    /// A quiz has at most 500 questions.
    TooManyQuestions,
    /// An order must name every question once.
    WrongOrder,
    /// The quiz is not published.
    NotPublished,
    /// It is not open now.
    NotOpen,
    /// The pass does not suit the quiz's access.
    NoPass(AccessType),
    /// The participant has begun it as often as allowed.
    NoAttemptsLeft,
    /// The attempt is over.
    Over,
    /// The answer does not suit the question.
    WrongAnswer,
    /// The attempt has as many flags as it may.
    TooManyFlags,
    /// Too many requests wait for this attempt or quiz, or as many attempts run as may.
    Crowded,
    /// The store did not do its part.
    Store(StoreFault),
}

impl Ask {
    /// The record of an ask that concerns no quiz.
    pub fn kept(&self) -> Option<&Record> {
        match self {
            Ask::Keep(record) => Some(record),
            Ask::Edit { .. } | Ask::Start { .. } | Ask::Look { .. } | Ask::Answer { .. } => None,
            Ask::Submit { .. } | Ask::Flag { .. } | Ask::Force { .. } => None,
        }
    }

    /// The quiz whose home answers it.
    pub fn quiz(&self) -> Option<QuizId> {
        match self {
            Ask::Keep(_) => None,
            Ask::Edit { quiz, .. } | Ask::Start { quiz, .. } | Ask::Look { quiz, .. } | Ask::Answer { quiz, .. } => Some(*quiz),
            Ask::Submit { quiz, .. } | Ask::Flag { quiz, .. } | Ask::Force { quiz, .. } => Some(*quiz),
        }
    }
}
