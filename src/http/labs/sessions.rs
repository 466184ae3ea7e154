//! Sessions: asked for, listed, shown, moved, deleted.

use super::{
    Rooms,
    auth::unexpected,
    caller::{Caller, caller, path},
    fault::Fault,
    fields::Fields,
    given::{self, is_name},
    params,
    shapes::{MadeSession, MovedSession, SessionDetails, SessionShape, done, list, nothing},
};
use crate::{
    http::{
        answer::{self, Answer},
        call::Call,
    },
    protocols::labs::{
        asks::{Ask, Creation, Refused, Reply, Target},
        model::{Resources, Session, SessionId, State, Template},
        record::{SessionFilter, SortBy},
    },
};
use http::StatusCode;
use std::sync::Arc;

const ENTRIES: u32 = 20;

/// POST /sessions
pub(super) async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call).await?;
    let wish = Wish::read(Fields::of(&call)?)?;
    if !caller.is_admin() && wish.user != caller.user.username {
        return Err(Fault::Forbidden("Sessions for other users are for users of role admin"));
    }
    let template = match is_name(&wish.template) {
        true => call.house.template(wish.template.clone()).await?,
        false => None,
    };
    let template = template.ok_or_else(|| Fault::NoTemplateToStart(wish.template.clone()))?;
    let mut suffixes = [[0; 3]; 4];
    suffixes.iter_mut().for_each(|suffix| call.house.fill(suffix));
    let platform = wish.platform.clone();
    let creation = wish.of(template, given::v4(&*call.house), suffixes);
    match call.house.ask(Ask::Create(Box::new(creation))).await {
        Reply::Session(session) => Ok(answer::json(StatusCode::ACCEPTED, &MadeSession::new(&session, call.house.namespace()))),
        Reply::Refused(Refused::NoAgents) => Err(Fault::NoAgents(platform)),
        other => Err(unexpected(other)),
    }
}

/// The body of POST, checked.
struct Wish {
    user: String,
    template: String,
    platform: Option<String>,
    region: Option<String>,
    hibernated: bool,
    memory: Option<String>,
    cpu: Option<String>,
    persistent_home: Option<bool>,
    idle_timeout: Option<String>,
    tags: Vec<String>,
}

impl Wish {
    fn read(mut fields: Fields) -> Result<Wish, Fault> {
        let (user, template) = (fields.needed("user")?, fields.needed("template")?);
        if !is_name(&user) {
            return Err(Fault::Field("user", given::NAME));
        }
        let hibernated = match fields.text("state")?.as_deref() {
            None | Some("running") => false,
            Some("hibernated") => true,
            Some(_) => return Err(Fault::Field("state", "Expected running or hibernated")),
        };
        let mut resources = fields.object("resources")?;
        let tags = fields.texts("tags")?.unwrap_or_default();
        if !given::are_tags(&tags) {
            return Err(Fault::Field("tags", given::TAGS));
        }
        Ok(Wish {
            user,
            template,
            platform: fields.checked("platform", is_name, given::NAME)?,
            region: fields.checked("region", is_name, given::NAME)?,
            hibernated,
            memory: resources.checked("memory", given::is_memory, given::MEMORY).map_err(of_resources)?,
            cpu: resources.checked("cpu", given::is_cpu, given::CPU).map_err(of_resources)?,
            persistent_home: fields.flag("persistent_home")?,
            idle_timeout: fields.checked("idle_timeout", given::is_idle, given::IDLE)?,
            tags,
        })
    }

    /// What is not wished for is as the template has it.
    fn of(self, template: Template, session: SessionId, suffixes: [[u8; 3]; 4]) -> Creation {
        let defaults = &template.default_resources;
        Creation {
            session,
            suffixes,
            user: self.user.into(),
            platform: self.platform.map(Arc::from),
            region: self.region.map(Arc::from),
            hibernated: self.hibernated,
            resources: Resources {
                memory: self.memory.unwrap_or_else(|| defaults.memory.clone()),
                cpu: self.cpu.unwrap_or_else(|| defaults.cpu.clone()),
                storage: None,
            },
            persistent_home: self.persistent_home.unwrap_or(template.persistent_home),
            idle_timeout: self.idle_timeout.unwrap_or_else(|| template.idle_timeout.clone()),
            tags: self.tags,
            template: Box::new(template),
        }
    }
}

/// A field inside of `resources`, by its whole name.
fn of_resources(fault: Fault) -> Fault {
    match fault {
        Fault::Field("memory", expected) => Fault::Field("resources.memory", expected),
        Fault::Field("cpu", expected) => Fault::Field("resources.cpu", expected),
        other => other,
    }
}

/// The states that a name on the wire stands for. `failed` is one that the contract does not list.
const STATES: [(&str, &[State]); 6] = [
    ("pending", &[State::Pending, State::Waking]),
    ("running", &[State::Running, State::Hibernating]),
    ("hibernated", &[State::Hibernated]),
    ("terminating", &[State::Terminating]),
    ("terminated", &[State::Terminated]),
    ("failed", &[State::Failed]),
];
const SORTS: [(&str, SortBy); 4] =
    [("created_at", SortBy::Created), ("updated_at", SortBy::Updated), ("user", SortBy::User), ("state", SortBy::State)];

/// GET /sessions
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call).await?;
    let states = params::one_of(&call, "state", &STATES, "Expected pending, running, hibernated, terminating or terminated")?;
    let sort = params::one_of(&call, "sort", &SORTS, "Expected created_at, updated_at, user or state")?;
    let descending = params::one_of(&call, "order", &[("asc", false), ("desc", true)], "Expected asc or desc")?;
    let tags = params::text(&call, "tags")?.unwrap_or_default();
    let mut filter = SessionFilter {
        user: params::text(&call, "user")?,
        template: params::text(&call, "template")?,
        platform: params::text(&call, "platform")?,
        agent: params::text(&call, "agent_id")?.map(Arc::from),
        states: states.unwrap_or_default().to_vec(),
        tags: tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        sort: sort.unwrap_or_default(),
        descending: descending.unwrap_or(true),
    };
    let page = params::page(&call, ENTRIES)?;
    if !caller.is_admin() {
        if filter.user.as_ref().is_some_and(|user| *user != caller.user.username) {
            return Err(Fault::Forbidden("Sessions of other users are for users of role admin"));
        }
        filter.user = Some(caller.user.username);
    }
    let listed = call.house.sessions(filter, page).await?;
    Ok(list::<SessionShape<'_>, _>("sessions", &listed, page))
}

/// GET /sessions/{session}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call).await?;
    let session = look(&call, &caller, id(&call)?).await?;
    Ok(done(&SessionDetails::new(&session, call.house.namespace())))
}

/// PATCH /sessions/{session}
pub(super) async fn change<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    const EXPECTED: &str = "Expected running, hibernated, terminating or terminated";
    let caller = caller(&call).await?;
    let id = id(&call)?;
    let to = match Fields::of(&call)?.needed("state")?.as_str() {
        "running" => Target::Running,
        "hibernated" => Target::Hibernated,
        "terminating" => Target::Terminating,
        "terminated" if caller.is_admin() => Target::Terminated,
        "terminated" => return Err(Fault::Forbidden("To force an end is for users of role admin")),
        // A state, but not one that can be asked for.
        "pending" => return Err(Fault::Transition(look(&call, &caller, id).await?.state, "pending")),
        _ => return Err(Fault::Field("state", EXPECTED)),
    };
    Ok(done(&MovedSession::from(&moved(&call, &caller, id, to).await?)))
}

/// DELETE /sessions/{session}
pub(super) async fn remove<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call).await?;
    let id = id(&call)?;
    let to = if params::flag(&call, "force", false)? { Target::Terminated } else { Target::Terminating };
    moved(&call, &caller, id, to).await.map(|_| nothing())
}

/// The session in the path. What is no id is not there.
pub(super) fn id<S>(call: &Call<S>) -> Result<SessionId, Fault> {
    let text = path(call, "session");
    // Such as the contract writes them, and not the other ways of writing the same number.
    let id = SessionId::try_parse(text).ok().filter(|id| id.to_string().eq_ignore_ascii_case(text));
    id.ok_or_else(|| Fault::NoSession(text.to_owned()))
}

/// A session as it is now, if the caller may see it.
pub(super) async fn look<S: Rooms>(call: &Call<S>, caller: &Caller, id: SessionId) -> Result<Session, Fault> {
    match call.house.ask(Ask::Look { session: id, caller: caller.asks() }).await {
        Reply::Session(session) => Ok(*session),
        Reply::Refused(Refused::NoSession) => over(call, caller, id).await,
        other => Err(unexpected(other)),
    }
}

/// A session that the registry has forgotten: one that ended some time ago.
pub(super) async fn over<S: Rooms>(call: &Call<S>, caller: &Caller, id: SessionId) -> Result<Session, Fault> {
    let session = call.house.session(id).await?.ok_or_else(|| Fault::NoSession(id.to_string()))?;
    if caller.is_admin() || *session.user == *caller.user.username { Ok(session) } else { Err(Fault::Refused(Refused::NotYours)) }
}

async fn moved<S: Rooms>(call: &Call<S>, caller: &Caller, id: SessionId, to: Target) -> Result<Session, Fault> {
    match call.house.ask(Ask::Move { session: id, caller: caller.asks(), to }).await {
        Reply::Session(session) => Ok(*session),
        Reply::Refused(Refused::NoSuchMove(from)) => Err(Fault::Transition(from, name(to))),
        Reply::Refused(Refused::NoSession) => {
            let session = over(call, caller, id).await?;
            match to {
                Target::Terminating | Target::Terminated => Ok(session),
                Target::Running | Target::Hibernated => Err(Fault::Transition(session.state, name(to))),
            }
        }
        other => Err(unexpected(other)),
    }
}

fn name(to: Target) -> &'static str {
    match to {
        Target::Running => "running",
        Target::Hibernated => "hibernated",
        Target::Terminating => "terminating",
        Target::Terminated => "terminated",
    }
}
