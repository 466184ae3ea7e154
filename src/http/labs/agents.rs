//! Agents: listed, counted, shown, drained, forgotten.

use super::{
    Rooms,
    auth::unexpected,
    caller::{admin, caller, path},
    fault::Fault,
    fields::Fields,
    params,
    rooms::Registry,
    shapes::{AgentDetails, AgentShape, DrainedShape, Statistics, Status, done, list, nothing},
};
use crate::{
    http::{answer::Answer, call::Call},
    protocols::labs::{
        asks::{AgentView, Ask, Refused, Reply},
        record::{Listed, Page},
    },
};

const ENTRIES: u32 = 20;
const STATUSES: [(&str, Status); 3] = [("online", Status::Online), ("offline", Status::Offline), ("draining", Status::Draining)];

/// GET /agents
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call).await?;
    let (platform, region) = (params::text(&call, "platform")?, params::text(&call, "region")?);
    let status = params::one_of(&call, "status", &STATUSES, "Expected online, offline or draining")?;
    let page = params::page(&call, ENTRIES)?;
    let mut agents = agents(&*call.house).await?;
    agents.retain(|view| {
        platform.as_ref().is_none_or(|platform| **platform == *view.agent.platform)
            && region.as_ref().is_none_or(|region| **region == *view.agent.region)
            && status.is_none_or(|status| status == Status::from(view))
    });
    Ok(list::<AgentShape<'_>, _>("agents", &cut(agents, page), page))
}

/// GET /agents/stats
pub(super) async fn stats<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call).await?;
    Ok(done(&Statistics::of(&agents(&*call.house).await?)))
}

/// GET /agents/{agent}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call).await?;
    let name = path(&call, "agent");
    let agents = agents(&*call.house).await?;
    let view = agents.iter().find(|view| *view.agent.name == *name).ok_or_else(|| Fault::NoAgent(name.to_owned()))?;
    let may_see = |user: &str| caller.is_admin() || user == caller.user.username;
    Ok(done(&AgentDetails::new(view, call.house.now(), may_see)))
}

/// PATCH /agents/{agent}
pub(super) async fn change<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admin(&call).await?;
    let draining = match Fields::of(&call)?.needed("status")?.as_str() {
        "online" => false,
        "draining" => true,
        _ => return Err(Fault::Field("status", "Expected online or draining; offline is set by the control plane")),
    };
    let name = path(&call, "agent");
    match call.house.ask(Ask::Drain { agent: name.into(), draining }).await {
        Reply::Agent(view) => Ok(done(&DrainedShape::from(&*view))),
        Reply::Refused(Refused::NoAgent) => Err(Fault::NoAgent(name.to_owned())),
        other => Err(unexpected(other)),
    }
}

/// DELETE /agents/{agent}
pub(super) async fn forget<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    admin(&call).await?;
    let name = path(&call, "agent");
    match call.house.ask(Ask::Forget { agent: name.into() }).await {
        Reply::Agent(_) => Ok(nothing()),
        Reply::Refused(Refused::NoAgent) => Err(Fault::NoAgent(name.to_owned())),
        other => Err(unexpected(other)),
    }
}

/// All of them, oldest first.
async fn agents(house: &impl Registry) -> Result<Vec<AgentView>, Fault> {
    match house.ask(Ask::Agents).await {
        Reply::Agents(mut agents) => {
            agents.sort_by(|a, b| (a.agent.created_at, &a.agent.name).cmp(&(b.agent.created_at, &b.agent.name)));
            Ok(agents)
        }
        other => Err(unexpected(other)),
    }
}

/// A page of what is at hand as a whole.
fn cut(all: Vec<AgentView>, page: Page) -> Listed<AgentView> {
    let total = all.len() as u64;
    let skipped = u64::from(page.page - 1) * u64::from(page.limit);
    let items = all.into_iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX)).take(page.limit as usize).collect();
    Listed { items, total }
}
