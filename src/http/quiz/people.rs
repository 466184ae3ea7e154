//! Participants, and events: streams of attempts that belong together.

use super::{
    Rooms,
    body::{self, check, has_chars},
    caller::{id, owner},
    envelope::{done, list, made, page},
    fault::Fault,
    ids,
    quizzes::keep,
    shapes::{EventShape, ParticipantShape},
};
use crate::{
    http::{answer::Answer, call::Call},
    protocols::quiz::record::{Event, Participant, Record},
};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct NewParticipant {
    alias: String,
}

/// POST /participants
pub(super) async fn make_participant<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let NewParticipant { alias } = body::object(&call, r#"expected {"alias": text}"#)?;
    let participant =
        Participant { id: ids::v7(&*call.house), owner, alias: checked_alias(&alias)?, created_at: call.house.now() };
    keep(&*call.house, Record::Participant(participant.clone())).await?;
    made(&ParticipantShape::from(&participant))
}

/// The display name of someone new. Others have it before them, some on a terminal.
pub(super) fn checked_alias(alias: &str) -> Result<Arc<str>, Fault> {
    let right = has_chars(alias, 1..=100) && !alias.chars().any(char::is_control);
    check(right, "alias is 1 to 100 characters, none of them a control character")?;
    Ok(alias.into())
}

/// GET /participants
pub(super) async fn participants<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let page = page(&call)?;
    list::<ParticipantShape<'_>, _>(&call.house.participants(owner, page).await?)
}

/// GET /participants/{participant}
pub(super) async fn participant<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let participant = call.house.participant(owner, id(&call, "participant")?).await?;
    done(&ParticipantShape::from(&participant.ok_or(Fault::NotFound)?))
}

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct NewEvent {
    title: String,
}

/// POST /events
pub(super) async fn make_event<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let NewEvent { title } = body::object(&call, r#"expected {"title": text}"#)?;
    check(has_chars(&title, 1..=200), "title is 1 to 200 characters")?;
    let event = Event { id: ids::v7(&*call.house), owner, title, created_at: call.house.now() };
    keep(&*call.house, Record::Event(event.clone())).await?;
    made(&EventShape::from(&event))
}

/// GET /events
pub(super) async fn events<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let page = page(&call)?;
    list::<EventShape<'_>, _>(&call.house.events(owner, page).await?)
}

/// GET /events/{event}
pub(super) async fn event<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let owner = owner(&call)?;
    let event = call.house.event(owner, id(&call, "event")?).await?;
    done(&EventShape::from(&event.ok_or(Fault::NotFound)?))
}
