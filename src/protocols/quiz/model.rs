//! What a quiz is made of: the words that routes, homes and the store share.

// What rkyv derives for enums has fields without a word about them.
#![allow(missing_docs)]

use crate::realtime::UnixMicros;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};
use uuid::Uuid;

/// A quiz. Counted from 1 by the store; a whole number that JavaScript holds exactly (below 2^53).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[serde(transparent)]
pub struct QuizId(pub i64);

impl QuizId {
    /// The largest.
    pub const MAX: i64 = (1 << 53) - 1;

    /// What the hash ring places.
    pub fn place(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for QuizId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Not the number of a quiz that there could be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoQuizId;

impl FromStr for QuizId {
    type Err = NoQuizId;

    /// Decimal digits only: no sign, no leading zero.
    fn from_str(text: &str) -> Result<QuizId, NoQuizId> {
        let plain = !text.starts_with('0') && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if plain { text.parse().ok() } else { None };
        number.filter(|&number| number <= QuizId::MAX).map(QuizId).ok_or(NoQuizId)
    }
}

/// Whose quizzes: `audience/subject` of the account ([`owner_of`]).
pub type OwnerId = Arc<str>;
/// One try of one participant at one quiz. UUID version 7.
pub type AttemptId = Uuid;
/// One who takes quizzes. UUID version 7.
pub type ParticipantId = Uuid;
/// A stream of attempts that belong together, over several quizzes. UUID version 7.
pub type EventId = Uuid;
/// UUID version 4.
pub type QuestionId = Uuid;
/// The record of one answer. UUID version 4.
pub type AnswerId = Uuid;
/// UUID version 7.
pub type KeyId = Uuid;

/// The owner that an account is. A slash in the audience (which only its part behind a colon can have, by the settings' check) is
/// escaped, so that the first slash ends the audience and no two accounts are one owner.
pub fn owner_of(account: &crate::auth::Account) -> OwnerId {
    let audience = account.audience.replace('%', "%25").replace('/', "%2F");
    [audience.as_str(), "/", account.subject.as_str()].concat().into()
}

/// Where a quiz stands. Participants may only begin one that is published.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made.
    Draft,
    /// Open to participants.
    Published,
    /// Closed to new attempts for good.
    Archived,
}

/// Who may begin an attempt.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AccessType {
    /// Whoever has the quiz's access code.
    Shared,
    /// Whoever comes with a credential of the owner, of either role: a school's own service on behalf of its members.
    Private,
    /// Everyone.
    Public,
}

/// When a published quiz may be begun.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// At any time.
    Always,
    /// From `opens_at` until `closes_at`, each of which may be absent.
    Scheduled,
}

/// What a participant learns of an answer.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SubmissionMode {
    /// At once whether it is right, and the points.
    Immediate,
    /// Nothing until the attempt is over.
    OnSubmit,
}

/// What an owner chooses for a quiz.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Rules {
    /// 1 to 200 characters.
    pub title: String,
    /// Who.
    pub access_type: AccessType,
    /// When.
    pub availability: Availability,
    /// Begins to be open.
    #[serde(serialize_with = "iso_or_null")]
    pub opens_at: Option<UnixMicros>,
    /// Ends to be open. Attempts under way go on.
    #[serde(serialize_with = "iso_or_null")]
    pub closes_at: Option<UnixMicros>,
    /// From the start of an attempt to its end; 0: none. At most a week.
    pub time_limit_seconds: u32,
    /// For each participant; 0: as many as they like.
    pub max_attempts: u32,
    /// What is told of an answer.
    pub submission_mode: SubmissionMode,
    /// Carried for clients that show the quiz themselves; nothing here depends on it.
    pub client_only: bool,
}

/// A quiz as the store has it.
#[derive(Clone, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Quiz {
    /// Its number.
    pub id: QuizId,
    /// Whose.
    pub owner: OwnerId,
    /// Where it stands.
    pub status: Status,
    /// For [`AccessType::Shared`]. Made with the quiz, never changed.
    pub access_code: String,
    /// What was chosen.
    pub rules: Rules,
    /// In their order: the first is `question_order` 1.
    pub questions: Vec<Question>,
    /// Made.
    pub created_at: UnixMicros,
    /// Last changed, questions included.
    pub updated_at: UnixMicros,
}

/// One question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Question {
    /// Its own.
    pub id: QuestionId,
    /// 1 to 4,000 characters.
    pub text: String,
    /// For the right answer. 0 to 1,000.
    pub points: f64,
    /// What is asked, and what is right.
    #[serde(flatten)]
    pub kind: Kind,
}

/// The kinds of questions. Options are meant by their place, from 0.
#[derive(
    Clone, PartialEq, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, utoipa::ToSchema,
)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// One option is right.
    MultipleChoice {
        /// 2 to 20, of 1 to 1,000 characters.
        options: Vec<String>,
        /// The right one.
        correct: u16,
    },
    /// Several are, and an answer is right when it names exactly these.
    MultipleSelect {
        /// 2 to 20, of 1 to 1,000 characters.
        options: Vec<String>,
        /// The right ones, ascending, at least one.
        correct: Vec<u16>,
    },
    /// True or false.
    TrueFalse {
        /// What is right.
        correct: bool,
    },
    /// A short text. Compared trimmed and case-folded.
    ShortText {
        /// Each is right. With none at all a teacher grades by hand: the answer gets no points here and `is_correct` is null.
        correct: Vec<String>,
    },
}

/// An answer as a participant gives it: a number, a list of numbers, a boolean or a text.
#[derive(
    Clone, PartialEq, Debug, Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, utoipa::ToSchema,
)]
#[serde(untagged)]
pub enum Given {
    /// To a multiple choice.
    Option(u16),
    /// To a multiple select.
    Options(Vec<u16>),
    /// To true or false.
    Truth(bool),
    /// To a short text; at most 4,000 characters.
    Text(String),
}

/// What an answer is worth.
#[derive(Clone, Copy, PartialEq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Grade {
    /// None: graded by hand.
    pub is_correct: Option<bool>,
    /// Points.
    pub score: f64,
}

/// Why an attempt ended, as the contract names it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The participant submitted it.
    Submitted,
    /// Its time was up.
    TimeUp,
    /// The owner ended it.
    ForcedByOwner,
}

/// The role of an API key.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// All that its owner may, but keys.
    Owner,
    /// Begins attempts at private quizzes, and nothing else.
    User,
}

/// `2026-06-11T14:30:00+00:00`: whole seconds, rounded down, in UTC, as all examples of the contract have it.
pub fn iso(at: UnixMicros) -> String {
    let time = jiff::Timestamp::from_second(at.seconds()).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn iso_or_null<S: serde::Serializer>(at: &Option<UnixMicros>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(iso).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Account;

    #[test]
    fn no_two_accounts_are_one_owner() {
        let owner =
            |audience: &str, subject: &str| owner_of(&Account { audience: audience.to_owned(), subject: subject.to_owned() });
        assert_eq!(&*owner("school.example", "head"), "school.example/head");
        let accounts = [("a:b/c", "d"), ("a:b", "c/d"), ("a:b%2Fc", "d"), ("a:b%252Fc", "d"), ("a", "b/c/d")];
        let owners: std::collections::HashSet<OwnerId> =
            accounts.iter().map(|(audience, subject)| owner(audience, subject)).collect();
        assert_eq!(owners.len(), accounts.len());
    }
}
