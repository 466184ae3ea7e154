//! Sessions: made, shown, listed, ended.

use super::{
    Rooms,
    caller::{caller, seen, session},
    fault::Fault,
    rooms::Chance,
    shapes::{self, EndedShape, MadeShape, SessionShape, Shown, done},
};
use crate::{
    http::{
        answer::{self, Answer},
        call::Call,
        fields::Fields,
        params,
    },
    protocols::chat::{
        Ask, Reply,
        asks::Refused,
        model::{Caller, Session, Status},
        record::{Listed, Page, SessionFilter},
    },
    realtime::{StoreFault, UnixMicros},
};
use http::StatusCode;
use std::sync::Arc;
use uuid::{Builder, Uuid};

const TITLE_CHARS: usize = 200;
const AGENT_CHARS: usize = 128;
const METADATA_BYTES: usize = 64 << 10;
const ENTRIES: u32 = 20;
const ENTRIES_MAX: u32 = 100;

/// POST /sessions/
pub(super) async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call)?;
    let made = made(&call, &caller)?;
    match call.house.ask(Ask::Create(Box::new(made))).await {
        Reply::Session(session) => Ok(answer::json(StatusCode::CREATED, &MadeShape::from(&shown(&call, *session)))),
        Reply::Refused(Refused::Store(_)) => Err(Fault::Code("SESSION_CREATE_FAILED", "the session could not be stored")),
        other => Err(unexpected(other)),
    }
}

/// What the body asks for.
fn made<S: Rooms>(call: &Call<S>, caller: &Caller) -> Result<Session, Fault> {
    let fields = Fields::of_any(call)?;
    let title = fields.short("title", TITLE_CHARS, "expected at most 200 characters")?;
    let agent = fields.short("agent_id", AGENT_CHARS, "expected at most 128 characters")?.filter(|agent| !agent.is_empty());
    let metadata = fields.object("metadata", METADATA_BYTES, "expected an object of at most 64 KiB")?;
    let (settings, catalog) = (call.house.settings(), call.house.catalog());
    if agent.is_some() && settings.agent(agent.as_deref(), catalog).is_none() {
        return Err(Fault::Code("AGENT_NOT_FOUND", "there is no such agent"));
    }
    let now = call.house.now();
    Ok(Session {
        id: v4(&*call.house),
        owner: caller.id,
        title: title.as_deref().unwrap_or_default().trim().into(),
        agent: agent.map(Arc::from),
        status: Status::Active,
        require_approval: fields.flag("require_approval")?.unwrap_or(false),
        metadata: metadata.unwrap_or("{}").into(),
        message_count: 0,
        created_at: now,
        updated_at: now,
        ended_at: None,
    })
}

/// A random id.
pub(super) fn v4(house: &impl Chance) -> Uuid {
    let mut bytes = [0; 16];
    house.fill(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}

/// GET /sessions/{session}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, session) = (caller(&call)?, session(&call)?);
    let found = match call.house.ask(Ask::Look { session, caller: caller.clone() }).await {
        Reply::Session(session) => *session,
        Reply::Refused(Refused::NotHere) => aged(&call, seen(call.house.session(session).await?, &caller)?),
        Reply::Refused(Refused::Store(fault)) => return Err(Fault::Store(fault)),
        other => return Err(unexpected(other)),
    };
    Ok(done(&SessionShape::from(&shown(&call, found))))
}

/// POST /sessions/{session}/end
pub(super) async fn end<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, session) = (caller(&call)?, session(&call)?);
    match call.house.ask(Ask::End { session, caller }).await {
        Reply::Session(session) => Ok(done(&EndedShape::from(&*session))),
        other => Err(not_updated(other)),
    }
}

const STATUSES: [(&str, shapes::Status); 3] =
    [("active", shapes::Status::Active), ("ended", shapes::Status::Ended), ("suspended", shapes::Status::Suspended)];

/// GET /sessions/
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call)?;
    let page = params::number(&call, "page", 1, 1..=u32::MAX, "expected a whole number from 1")?;
    let size = params::number(&call, "page_size", ENTRIES, 1..=ENTRIES_MAX, "expected a whole number from 1 to 100")?;
    let status = params::one_of(&call, "status", &STATUSES, "expected active, suspended or ended")?;
    let agent = params::text(&call, "agent_id")?.map(Arc::from);
    let page = Page { page, size };
    let filter = SessionFilter { owner: caller.id, status: None, agent, expired_before: expired_before(&call) };
    let listed = listed(&call, filter, status, page).await?;
    Ok(done(&shapes::list(&listed, page)))
}

/// Those that have this status as it is shown: the store knows nothing of agents that are not configured any more.
async fn listed<S: Rooms>(
    call: &Call<S>,
    filter: SessionFilter,
    status: Option<shapes::Status>,
    page: Page,
) -> Result<Listed<Shown>, Fault> {
    let stored = match status {
        None => None,
        Some(shapes::Status::Active | shapes::Status::Suspended) => Some(Status::Active),
        Some(shapes::Status::Ended) => Some(Status::Ended),
    };
    let filter = SessionFilter { status: stored, ..filter };
    let can_suspend = call.house.settings().agent(Some(""), call.house.catalog()).is_none();
    match status {
        Some(status) if can_suspend && stored == Some(Status::Active) => sifted(call, filter, status, page).await,
        Some(shapes::Status::Suspended) => Ok(Listed { items: Vec::new(), total: 0 }),
        None | Some(shapes::Status::Active | shapes::Status::Ended) => {
            let Listed { items, total } = call.house.sessions(filter, page).await?;
            Ok(Listed { items: items.into_iter().map(|session| shown(call, aged(call, session))).collect(), total })
        }
    }
}

/// A page of those that are shown so, of all that are active: the limit on creations and the expiry keep these few.
async fn sifted<S: Rooms>(
    call: &Call<S>,
    filter: SessionFilter,
    status: shapes::Status,
    page: Page,
) -> Result<Listed<Shown>, Fault> {
    let mut found = Vec::new();
    for number in 1.. {
        let part = call.house.sessions(filter.clone(), Page { page: number, size: ENTRIES_MAX }).await?;
        let is_last = part.items.len() < ENTRIES_MAX as usize;
        let sessions = part.items.into_iter().map(|session| shown(call, aged(call, session)));
        found.extend(sessions.filter(|shown| shown.status == status));
        if is_last {
            break;
        }
    }
    let (total, skipped) = (found.len() as u64, u64::from(page.page - 1) * u64::from(page.size));
    let items = found.into_iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)).take(page.size as usize);
    Ok(Listed { items: items.collect(), total })
}

/// Who has said nothing since has ended.
fn expired_before<S: Rooms>(call: &Call<S>) -> UnixMicros {
    let expiry = i64::try_from(call.house.settings().session_expiry.as_micros()).unwrap_or(i64::MAX);
    UnixMicros(call.house.now().0.saturating_sub(expiry))
}

/// A session that was read, with what time has made of it. A home knows better: an answer that waits for leave is no silence.
fn aged<S: Rooms>(call: &Call<S>, session: Session) -> Session {
    let has_ended = session.updated_at < expired_before(call);
    Session { status: if has_ended { Status::Ended } else { session.status }, ..session }
}

/// A session as it is shown.
fn shown<S: Rooms>(call: &Call<S>, session: Session) -> Shown {
    let has_agent = call.house.settings().agent(session.agent.as_deref(), call.house.catalog()).is_some();
    let status = match session.status {
        Status::Ended => shapes::Status::Ended,
        Status::Active if has_agent => shapes::Status::Active,
        Status::Active => shapes::Status::Suspended,
    };
    Shown { session, status }
}

/// A refusal of what changes a session.
pub(super) fn not_updated(reply: Reply) -> Fault {
    match reply {
        Reply::Refused(Refused::Store(_)) => Fault::Code("SESSION_UPDATE_FAILED", "the change could not be stored"),
        other => unexpected(other),
    }
}

/// A refusal, or a reply that is not the one of its ask's name.
pub(super) fn unexpected(reply: Reply) -> Fault {
    match reply {
        Reply::Refused(refused) => Fault::from(refused),
        Reply::Session(_) | Reply::Approvals(_) | Reply::Decided(_) => {
            tracing::warn!("the home of a session answered what was not asked");
            Fault::Store(StoreFault::Failed)
        }
    }
}
