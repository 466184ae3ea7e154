//! What participants do: begin an attempt, look at it, answer, submit.

use super::{
    Rooms,
    body::{self, check, has_chars},
    caller::{Caller, caller, id, session},
    envelope::{done, made},
    fault::Fault,
    given::Said,
    ids,
    people::checked_alias,
    shapes::{EndShape, Iso, ViewShape},
};
use crate::{
    http::{answer::Answer, call::Call},
    protocols::quiz::{
        asks::{Ask, Entrant, Pass, Reply, View},
        model::{AttemptId, EventId, OwnerId, ParticipantId, QuestionId, QuizId},
    },
};
use serde::{Deserialize, Serialize};
use uuid::{Uuid, Version};

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Beginning {
    alias: Option<String>,
    #[schema(value_type = Option<Uuid>)]
    participant_id: Option<ParticipantId>,
    #[schema(value_type = Option<Uuid>)]
    event_id: Option<EventId>,
    access_code: Option<String>,
    request_id: Option<Uuid>,
}

impl Beginning {
    /// The ids of the attempt, and of a participant who is new. With a `request_id` they are made of what is asked for, so that to ask
    /// again, for who has not heard the answer, makes nothing else.
    fn ids<S: Rooms>(&self, call: &Call<S>, quiz: QuizId, owner: Option<&OwnerId>) -> Result<(AttemptId, ParticipantId), Fault> {
        let Some(request) = self.request_id else { return Ok((ids::v7(&*call.house), ids::v7(&*call.house))) };
        // The session token is told to whoever knows it.
        check(request.get_version() == Some(Version::Random), "request_id is a random UUID (version 4)")?;
        let quiz = quiz.0.to_be_bytes();
        let made = |what: &[u8]| {
            ids::v8(&[
                what,
                &quiz,
                owner.map_or(&[], |owner| owner.as_bytes()),
                self.alias.as_ref().map_or(&[], String::as_bytes),
                self.participant_id.as_ref().map_or(&[], |id| id.as_bytes()),
                self.event_id.as_ref().map_or(&[], |id| id.as_bytes()),
                request.as_bytes(),
            ])
        };
        Ok((made(b"attempt"), made(b"participant")))
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Begun<'a> {
    session_token: &'a str,
    #[serde(flatten)]
    view: ViewShape<'a>,
}

/// POST /quizzes/{quiz}/attempts
pub(super) async fn begin<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    const EXPECTED: &str = r#"expected {"alias": text} or {"participant_id": uuid}, and "event_id"?: uuid, "access_code"?: text, "request_id"?: uuid"#;
    let owner = caller(&call)?.map(Caller::into_owner);
    let quiz = id(&call, "quiz")?;
    let beginning: Beginning = body::object(&call, EXPECTED)?;
    let (attempt, new_participant) = beginning.ids(&call, quiz, owner.as_ref())?;
    let Beginning { alias, participant_id, event_id, access_code, request_id: _ } = beginning;
    let entrant = match (alias, participant_id) {
        (Some(alias), None) => Entrant { participant: new_participant, known_to: None, alias: checked_alias(&alias)? },
        (None, Some(participant)) => known(&call, owner.clone(), participant).await?,
        (None, None) | (Some(_), Some(_)) => return Err(Fault::Invalid(EXPECTED)),
    };
    if let Some(event) = event_id {
        check_event(&call, quiz, event).await?;
    }
    // No code is as long, so that a longer one needs no carrying about.
    let code = access_code.filter(|code| has_chars(code, 1..=100));
    let ask = Ask::Start { quiz, attempt, entrant, event: event_id, pass: Pass { owner, code } };
    match call.house.ask(ask).await {
        Reply::Started(view) => {
            let view = whole(&call, view).await?;
            let session_token = &call.house.session_token(quiz, attempt);
            made(&Begun { session_token, view: ViewShape::from(&*view) })
        }
        other => Err(other.into()),
    }
}

async fn known<S: Rooms>(call: &Call<S>, owner: Option<OwnerId>, id: ParticipantId) -> Result<Entrant, Fault> {
    let owner = owner.ok_or(Fault::Unknown("participant_id needs a credential of the quiz's owner"))?;
    let participant = call.house.participant(owner, id).await?.ok_or(Fault::NotFound)?;
    Ok(Entrant { participant: participant.id, known_to: Some(participant.owner), alias: participant.alias })
}

/// The event belongs to the owner of the quiz, whoever begins.
async fn check_event<S: Rooms>(call: &Call<S>, quiz: QuizId, event: EventId) -> Result<(), Fault> {
    let owner = call.house.owner_of(quiz).await?.ok_or(Fault::NotFound)?;
    call.house.event(owner, event).await?.map(drop).ok_or(Fault::NotFound)
}

/// GET /attempts/{attempt}
pub(super) async fn look<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (quiz, attempt) = session(&call)?;
    match call.house.ask(Ask::Look { quiz, attempt }).await {
        Reply::Looked(view) => done(&ViewShape::from(&*whole(&call, view).await?)),
        other => Err(other.into()),
    }
}

/// With the questions that had an answer at the end, in the quiz's order: a home does not keep that.
async fn whole<S: Rooms>(call: &Call<S>, mut view: Box<View>) -> Result<Box<View>, Fault> {
    if view.end.is_none() {
        return Ok(view);
    }
    let found = call.house.attempt(view.quiz.owner.clone(), view.attempt).await?;
    let answers = found.map_or(Vec::new(), |(_, answers)| answers);
    let questions = view.quiz.questions.iter().map(|question| question.id);
    view.answered = questions.filter(|id| answers.iter().any(|answer| answer.question == *id)).collect();
    Ok(view)
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct Answering {
    #[schema(value_type = Uuid)]
    question_id: QuestionId,
    #[schema(value_type = crate::protocols::quiz::model::Given)]
    answer: Said,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Answered {
    answer_id: Uuid,
    answered_count: u32,
    answered_at: Iso,
    is_correct: Option<bool>,
    score: Option<f64>,
}

/// POST /attempts/{attempt}/answers
pub(super) async fn answer<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    const EXPECTED: &str = r#"expected {"question_id": uuid, "answer": the place of an option | [place, …] | boolean | text}"#;
    let (quiz, attempt) = session(&call)?;
    let Answering { question_id, answer: Said(given) } = body::object(&call, EXPECTED)?;
    let ask = Ask::Answer { quiz, attempt, question: question_id, id: ids::v4(&*call.house), given };
    match call.house.ask(ask).await {
        Reply::Answered { id, grade, answered_count, at } => made(&Answered {
            answer_id: id,
            answered_count,
            answered_at: Iso(at),
            is_correct: grade.and_then(|grade| grade.is_correct),
            score: grade.map(|grade| grade.score),
        }),
        other => Err(other.into()),
    }
}

/// POST /attempts/{attempt}/submit
pub(super) async fn submit<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (quiz, attempt) = session(&call)?;
    match call.house.ask(Ask::Submit { quiz, attempt }).await {
        Reply::Submitted(end) => done(&EndShape::from(end)),
        other => Err(other.into()),
    }
}
