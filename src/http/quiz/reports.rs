//! What owners see of attempts, and how they end them.

use super::{
    Rooms,
    caller::{id, owner},
    envelope::{done, list, page},
    fault::Fault,
    shapes::AttemptShape,
};
use crate::{
    http::{answer::Answer, call::Call},
    protocols::quiz::{
        asks::{Ask, Reply},
        model::{EventId, OwnerId, QuizId},
        record::{AttemptFilter, Listed},
    },
};
use serde::Serialize;
use std::str::FromStr;

/// GET /info/attempts
pub(super) async fn attempts<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let filter = filter(&call)?;
    let page = page(&call)?;
    list::<AttemptShape<'_>, _>(&call.house.attempts(owner, filter, page).await?)
}

fn filter<S>(call: &Call<S>) -> Result<AttemptFilter, Fault> {
    Ok(AttemptFilter {
        quiz: parsed(call, "quiz_id", "quiz_id is the number of a quiz")?,
        event: parsed(call, "event_id", "event_id is a uuid")?,
        participant: parsed(call, "participant_id", "participant_id is a uuid")?,
        ended: choice(call, "status", ["running", "ended"], "status is running or ended")?,
        flagged: choice(call, "isFlagged", ["false", "true"], "isFlagged is true or false")?,
    })
}

fn parsed<S, T: FromStr>(call: &Call<S>, name: &'static str, expected: &'static str) -> Result<Option<T>, Fault> {
    match call.query(name)? {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| Fault::Invalid(expected)),
    }
}

/// Whether it is the second.
fn choice<S>(call: &Call<S>, name: &'static str, of: [&str; 2], expected: &'static str) -> Result<Option<bool>, Fault> {
    match call.query(name)?.as_deref() {
        None => Ok(None),
        Some(text) if text == of[0] => Ok(Some(false)),
        Some(text) if text == of[1] => Ok(Some(true)),
        Some(_) => Err(Fault::Invalid(expected)),
    }
}

/// GET /info/attempts/{attempt}
pub(super) async fn attempt<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let (row, answers) = call.house.attempt(owner, id(&call, "attempt")?).await?.ok_or(Fault::NotFound)?;
    done(&AttemptShape::from(&row).with(&answers))
}

/// GET /quizzes/{quiz}/results
pub(super) async fn results<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let quiz = id(&call, "quiz")?;
    let page = page(&call)?;
    let listed = call.house.results(owner, quiz, page).await?.ok_or(Fault::NotFound)?;
    let ranks = u64::from(page.offset) + 1..;
    let ranked = Listed { items: ranks.zip(listed.items).collect(), total: listed.total };
    list::<AttemptShape<'_>, _>(&ranked)
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Closed {
    closed: u64,
}

/// POST /quizzes/{quiz}/force-submit
pub(super) async fn force_quiz<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let closed = forced(&call, id(&call, "quiz")?, owner, None).await?;
    done(&Closed { closed })
}

/// POST /events/{event}/force-submit
pub(super) async fn force_event<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let event = id(&call, "event")?;
    let quizzes = call.house.running_of_event(owner.clone(), event).await?.ok_or(Fault::NotFound)?;
    let mut closed = 0;
    let mut fault = None;
    for quiz in quizzes {
        // One home that cannot is no reason to let the attempts at the others run on.
        match forced(&call, quiz, owner.clone(), Some(event)).await {
            Ok(more) => closed += more,
            Err(found) => fault = Some(found),
        }
    }
    fault.map_or_else(|| done(&Closed { closed }), Err)
}

async fn forced<S: Rooms>(call: &Call<S>, quiz: QuizId, owner: OwnerId, event: Option<EventId>) -> Result<u64, Fault> {
    match call.house.ask(Ask::Force { quiz, owner, event }).await {
        Reply::Forced(closed) => Ok(closed),
        other => Err(other.into()),
    }
}
