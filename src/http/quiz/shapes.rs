//! What answers are made of, field by field as the reference has it.

use crate::{
    protocols::quiz::{
        asks::{End, View},
        model::{AccessType, Availability, Given, Kind, Question, Quiz, Reason, Role, Status, SubmissionMode, iso},
        record::{AnswerRow, AttemptRow, Event, FlagRow, KeyRow, Participant, QuizRow},
    },
    realtime::UnixMicros,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use uuid::Uuid;

/// A time as the contract writes it.
#[derive(Clone, Copy, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(super) struct Iso(pub(super) UnixMicros);

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&iso(self.0))
    }
}

/// A quiz; in lists without its questions.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct QuizShape<'a> {
    id: i64,
    title: &'a str,
    status: Status,
    access_type: AccessType,
    access_code: &'a str,
    availability: Availability,
    opens_at: Option<Iso>,
    closes_at: Option<Iso>,
    time_limit_seconds: u32,
    max_attempts: u32,
    submission_mode: SubmissionMode,
    client_only: bool,
    questions_count: u32,
    created_at: Iso,
    updated_at: Iso,
    #[serde(skip_serializing_if = "Option::is_none")]
    questions: Option<Vec<QuestionShape<'a>>>,
}

impl<'a> From<&'a QuizRow> for QuizShape<'a> {
    fn from(QuizRow { quiz, questions_count }: &'a QuizRow) -> QuizShape<'a> {
        QuizShape { questions_count: *questions_count, ..QuizShape::from(quiz) }
    }
}

impl<'a> From<&'a Quiz> for QuizShape<'a> {
    fn from(quiz: &'a Quiz) -> QuizShape<'a> {
        let rules = &quiz.rules;
        QuizShape {
            id: quiz.id.0,
            title: &rules.title,
            status: quiz.status,
            access_type: rules.access_type,
            access_code: &quiz.access_code,
            availability: rules.availability,
            opens_at: rules.opens_at.map(Iso),
            closes_at: rules.closes_at.map(Iso),
            time_limit_seconds: rules.time_limit_seconds,
            max_attempts: rules.max_attempts,
            submission_mode: rules.submission_mode,
            client_only: rules.client_only,
            questions_count: quiz.questions.len() as u32,
            created_at: Iso(quiz.created_at),
            updated_at: Iso(quiz.updated_at),
            questions: None,
        }
    }
}

impl<'a> QuizShape<'a> {
    /// With its questions.
    pub(super) fn with(self, questions: &'a [Question]) -> QuizShape<'a> {
        let questions = (1..).zip(questions).map(|(order, question)| QuestionShape::new(order, question));
        QuizShape { questions: Some(questions.collect()), ..self }
    }
}

/// A question as its owner sees it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct QuestionShape<'a> {
    id: Uuid,
    order: u32,
    text: &'a str,
    points: f64,
    #[serde(flatten)]
    kind: &'a Kind,
}

impl<'a> QuestionShape<'a> {
    pub(super) fn new(order: u32, question: &'a Question) -> QuestionShape<'a> {
        let Question { id, text, points, kind } = question;
        QuestionShape { id: *id, order, text, points: *points, kind }
    }
}

/// A question as a participant sees it: without what is right.
#[derive(Serialize, utoipa::ToSchema)]
struct AskedShape<'a> {
    id: Uuid,
    order: u32,
    text: &'a str,
    points: f64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<&'a [String]>,
}

impl<'a> AskedShape<'a> {
    fn new(order: u32, question: &'a Question) -> AskedShape<'a> {
        let (r#type, options) = match &question.kind {
            Kind::MultipleChoice { options, correct: _ } => ("multiple_choice", Some(options.as_slice())),
            Kind::MultipleSelect { options, correct: _ } => ("multiple_select", Some(options.as_slice())),
            Kind::TrueFalse { correct: _ } => ("true_false", None),
            Kind::ShortText { correct: _ } => ("short_text", None),
        };
        AskedShape { id: question.id, order, text: &question.text, points: question.points, r#type, options }
    }
}

/// An attempt as its participant sees it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ViewShape<'a> {
    attempt_id: Uuid,
    quiz_id: i64,
    participant_id: Uuid,
    alias: &'a str,
    event_id: Option<Uuid>,
    title: &'a str,
    started_at: Iso,
    deadline: Option<Iso>,
    submission_mode: SubmissionMode,
    questions: Vec<AskedShape<'a>>,
    answered: &'a [Uuid],
    result: Option<EndShape>,
}

impl<'a> From<&'a View> for ViewShape<'a> {
    fn from(view: &'a View) -> ViewShape<'a> {
        let questions = (1..).zip(&view.quiz.questions).map(|(order, question)| AskedShape::new(order, question));
        ViewShape {
            attempt_id: view.attempt,
            quiz_id: view.quiz.id.0,
            participant_id: view.participant,
            alias: &view.alias,
            event_id: view.event,
            title: &view.quiz.rules.title,
            started_at: Iso(view.started_at),
            deadline: view.deadline.map(Iso),
            submission_mode: view.quiz.rules.submission_mode,
            questions: questions.collect(),
            answered: &view.answered,
            result: view.end.map(EndShape::from),
        }
    }
}

/// How an attempt ended.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct EndShape {
    reason: Reason,
    score: f64,
    answered_count: u32,
    submitted_at: Iso,
}

impl From<End> for EndShape {
    fn from(End { reason, at, score, answered_count }: End) -> EndShape {
        EndShape { reason, score, answered_count, submitted_at: Iso(at) }
    }
}

/// An attempt as its owner sees it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct AttemptShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u64>,
    attempt_id: Uuid,
    quiz_id: i64,
    participant_id: Uuid,
    alias: &'a str,
    event_id: Option<Uuid>,
    started_at: Iso,
    deadline: Option<Iso>,
    status: &'static str,
    reason: Option<Reason>,
    submitted_at: Option<Iso>,
    score: f64,
    answered_count: u32,
    flags_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Vec<AnswerShape<'a>>>,
}

impl<'a> From<&'a AttemptRow> for AttemptShape<'a> {
    fn from(row: &'a AttemptRow) -> AttemptShape<'a> {
        AttemptShape {
            rank: None,
            attempt_id: row.id,
            quiz_id: row.quiz.0,
            participant_id: row.participant,
            alias: &row.alias,
            event_id: row.event,
            started_at: Iso(row.started_at),
            deadline: row.deadline.map(Iso),
            status: if row.ended_at.is_some() { "ended" } else { "running" },
            reason: row.reason,
            submitted_at: row.ended_at.map(Iso),
            score: row.score,
            answered_count: row.answered_count,
            flags_count: row.flags,
            answers: None,
        }
    }
}

/// With its rank, from 1.
impl<'a> From<&'a (u64, AttemptRow)> for AttemptShape<'a> {
    fn from((rank, row): &'a (u64, AttemptRow)) -> AttemptShape<'a> {
        AttemptShape { rank: Some(*rank), ..AttemptShape::from(row) }
    }
}

impl<'a> AttemptShape<'a> {
    /// With its answers.
    pub(super) fn with(self, answers: &'a [AnswerRow]) -> AttemptShape<'a> {
        AttemptShape { answers: Some(answers.iter().map(AnswerShape::from).collect()), ..self }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct AnswerShape<'a> {
    answer_id: Uuid,
    question_id: Uuid,
    answer: &'a Given,
    is_correct: Option<bool>,
    score: f64,
    answered_at: Iso,
}

impl<'a> From<&'a AnswerRow> for AnswerShape<'a> {
    fn from(AnswerRow { id, question, given, grade, at }: &'a AnswerRow) -> AnswerShape<'a> {
        AnswerShape {
            answer_id: *id,
            question_id: *question,
            answer: given,
            is_correct: grade.is_correct,
            score: grade.score,
            answered_at: Iso(*at),
        }
    }
}

/// A flag in a timeline.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct FlagShape<'a> {
    label: &'a str,
    #[schema(value_type = Value)]
    detail: Option<&'a RawValue>,
    question_id: Option<Uuid>,
    occurred_at: Iso,
    flagged_at: Iso,
}

impl<'a> From<&'a FlagRow> for FlagShape<'a> {
    fn from(FlagRow { flag, flagged_at }: &'a FlagRow) -> FlagShape<'a> {
        FlagShape {
            label: &flag.label,
            // It was JSON when it was taken.
            detail: flag.detail.as_deref().and_then(|detail| serde_json::from_str(detail).ok()),
            question_id: flag.question,
            occurred_at: Iso(flag.occurred_at),
            flagged_at: Iso(*flagged_at),
        }
    }
}

/// A participant.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ParticipantShape<'a> {
    id: Uuid,
    alias: &'a str,
    created_at: Iso,
}

impl<'a> From<&'a Participant> for ParticipantShape<'a> {
    fn from(participant: &'a Participant) -> ParticipantShape<'a> {
        ParticipantShape { id: participant.id, alias: &participant.alias, created_at: Iso(participant.created_at) }
    }
}

/// An event.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct EventShape<'a> {
    id: Uuid,
    title: &'a str,
    created_at: Iso,
}

impl<'a> From<&'a Event> for EventShape<'a> {
    fn from(event: &'a Event) -> EventShape<'a> {
        EventShape { id: event.id, title: &event.title, created_at: Iso(event.created_at) }
    }
}

/// An API key in a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct KeyShape<'a> {
    id: Uuid,
    label: &'a str,
    role: Role,
    hint: &'a str,
    created_at: Iso,
    revoked_at: Option<Iso>,
}

impl<'a> From<&'a KeyRow> for KeyShape<'a> {
    fn from(KeyRow { key, revoked_at }: &'a KeyRow) -> KeyShape<'a> {
        KeyShape {
            id: key.id,
            label: &key.label,
            role: key.role,
            hint: &key.hint,
            created_at: Iso(key.created_at),
            revoked_at: revoked_at.map(Iso),
        }
    }
}
