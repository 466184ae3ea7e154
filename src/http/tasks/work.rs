//! Tasks: made, listed, shown, changed, removed, cancelled.

use super::{
    Rooms,
    agents::named,
    caller::{caller, id},
    fault::Fault,
    rooms::Chance,
    shapes::{TaskShape, done, list},
};
use crate::{
    http::{
        answer::Answer,
        call::Call,
        fields::{Fields, Misfit},
        params,
    },
    protocols::tasks::{
        Ask, Reply, TaskId,
        asks::{Edit, Refused},
        model::{Caller, Kind, Status, Task},
        record::Filter,
        work::Parameters,
    },
    realtime::StoreFault,
};
use std::sync::Arc;
use uuid::{Builder, Uuid};

const WHAT: &str = "Task";
const TITLE_CHARS: usize = 200;
const TITLE: &str = "expected at most 200 characters";
pub(super) const PARAMETERS_BYTES: usize = 64 << 10;
const PARAMETERS: &str = "expected an object of at most 64 KiB";
const KIND: &str = "expected code, design, test, security or analysis";
const PRIORITY: &str = "expected low, medium or high";
const STATUS: &str = "expected pending, in_progress, verifying, completed or failed";
const STATUSES: [(&str, Status); 5] = [
    ("pending", Status::Pending),
    ("in_progress", Status::InProgress),
    ("verifying", Status::Verifying),
    ("completed", Status::Completed),
    ("failed", Status::Failed),
];
const ENTRIES: u32 = 10;
const ENTRIES_MAX: u32 = 100;

/// POST /tasks
pub(super) async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call)?;
    let fields = Fields::of(&call)?;
    let agent = fields.text("agent_id")?;
    let mut task = made(&call, &caller, &fields, agent.as_deref())?;
    let kind = agent.as_deref().map_or(Kind::default(), Kind::of);
    task.kind = fields.field("type", KIND)?.unwrap_or(kind);
    taken(&call, task).await
}

/// The task that a body asks for, of this agent.
pub(super) fn made<S: Rooms>(
    call: &Call<S>,
    caller: &Caller,
    fields: &Fields<'_>,
    agent: Option<&str>,
) -> Result<Box<Task>, Fault> {
    let title = fields.short("title", TITLE_CHARS, TITLE)?.filter(|title| !title.trim().is_empty());
    let text = match (fields.text("task")?, fields.text("description")?) {
        (Some(task), _) | (None, Some(task)) => task,
        (None, None) => title.clone().ok_or(Misfit::Wrong("task", "required"))?,
    };
    if text.trim().is_empty() || text.len() > call.house.settings().max_task_bytes {
        return Err(Misfit::Wrong("task", "empty, or too long").into());
    }
    let agent = agent.map(|name| named(call, name)).transpose()?;
    let model = fields.text("model_id")?;
    if model.is_some() && agent.is_none_or(|agent| agent.model_named(model.as_deref()).is_none()) {
        return Err(Fault::NoModel);
    }
    let parameters = fields.object("parameters", PARAMETERS_BYTES, PARAMETERS)?.unwrap_or("{}");
    if !Parameters::read(parameters).are_possible() {
        return Err(Misfit::Wrong("parameters", "the temperature must be between 0 and 2").into());
    }
    let mut task = Task::new(v4(&*call.house), caller.user.clone(), &text, call.house.now());
    task.title = title.map_or(task.title, Arc::from);
    task.priority = fields.field("priority", PRIORITY)?.unwrap_or_default();
    task.agent = agent.map(|agent| agent.name.clone());
    task.model = model.map(Arc::from);
    task.parameters = parameters.into();
    Ok(Box::new(task))
}

/// A random id.
pub(super) fn v4(house: &impl Chance) -> Uuid {
    let mut bytes = [0; 16];
    house.fill(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}

/// Gives a task to its home.
pub(super) async fn taken<S: Rooms>(call: &Call<S>, task: Box<Task>) -> Result<Answer, Fault> {
    told(call.house.ask(Ask::Create(task)).await)
}

/// GET /tasks
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call)?;
    let tasks = call.house.tasks(filter(&call, &caller)?).await?;
    Ok(list::<TaskShape<'_>, _>(&tasks))
}

/// `?limit=&offset=&status=`, for one who asks.
pub(super) fn filter<S>(call: &Call<S>, caller: &Caller) -> Result<Filter, Fault> {
    let limit = params::number(call, "limit", ENTRIES, 1..=ENTRIES_MAX, "expected a whole number from 1 to 100")?;
    let offset = params::number(call, "offset", 0, 0..=u32::MAX, "expected a whole number from 0")?;
    let status = params::one_of(call, "status", &STATUSES, STATUS)?;
    let owner = Some(caller.user.clone()).filter(|_| !caller.admin);
    Ok(Filter { owner, status, offset: offset.into(), limit })
}

/// GET /tasks/{task}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, task) = (caller(&call)?, id(&call, "task", WHAT)?);
    match call.house.ask(Ask::Look { task, caller: caller.clone() }).await {
        Reply::Refused(Refused::NotHere) => Ok(done(&TaskShape::from(&stored(&call, task, &caller).await?))),
        reply => told(reply),
    }
}

/// As the store has it, if the caller may see it.
async fn stored<S: Rooms>(call: &Call<S>, task: TaskId, caller: &Caller) -> Result<Task, Fault> {
    let found = call.house.task(task).await?;
    found.filter(|task| caller.admin || task.owner == caller.user).ok_or(Fault::Missing(WHAT))
}

/// PATCH /tasks/{task}
pub(super) async fn change<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, task) = (caller(&call)?, id(&call, "task", WHAT)?);
    let fields = Fields::of(&call)?;
    let progress: Option<f64> = fields.field("progress", "expected a number")?;
    if progress.is_some_and(|progress| !(0.0..=1.0).contains(&progress)) {
        return Err(Misfit::Wrong("progress", "expected a number from 0 to 1").into());
    }
    let edit = Edit {
        status: fields.field("status", STATUS)?,
        progress,
        title: fields.short("title", TITLE_CHARS, TITLE)?.map(Arc::from),
        priority: fields.field("priority", PRIORITY)?,
        kind: fields.field("type", KIND)?,
        result: fields.object("result", PARAMETERS_BYTES, PARAMETERS)?.map(Arc::from),
        error: fields.short("error", TITLE_CHARS, TITLE)?.map(Arc::from),
    };
    told(call.house.ask(Ask::Edit { task, caller, edit }).await)
}

/// DELETE /tasks/{task}
pub(super) async fn remove<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, task) = (caller(&call)?, id(&call, "task", WHAT)?);
    told(call.house.ask(Ask::Remove { task, caller }).await)
}

/// POST /tasks/{task}/cancel
pub(super) async fn cancel<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, task) = (caller(&call)?, id(&call, "task", WHAT)?);
    told(call.house.ask(Ask::Cancel { task, caller }).await)
}

fn told(reply: Reply) -> Result<Answer, Fault> {
    match reply {
        Reply::Task(task) => Ok(done(&TaskShape::from(&*task))),
        Reply::Refused(why) => Err(Fault::of(WHAT, why)),
        Reply::Execution(_) => Err(unexpected()),
    }
}

/// The reply is not the one of its ask's name.
pub(super) fn unexpected() -> Fault {
    tracing::warn!("a home of tasks answered what was not asked");
    Fault::Store(StoreFault::Failed)
}
