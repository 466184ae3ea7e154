//! Workflows, and their executions: begun, listed, shown, cancelled.

use super::{
    Rooms,
    caller::{caller, id},
    fault::Fault,
    shapes::{ExecutionShape, WorkflowShape, done, list},
    work::{PARAMETERS_BYTES, filter, unexpected, v4},
};
use crate::{
    http::{answer::Answer, call::Call, fields::Fields},
    protocols::tasks::{
        Ask, Reply,
        asks::Refused,
        model::{Execution, Workflow},
    },
};
use std::sync::Arc;

const WHAT: &str = "Execution";

/// GET /orchestration/workflows
pub(super) async fn workflows<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call)?;
    let workflows: Vec<WorkflowShape<'_>> =
        call.house.workflows().values().map(|workflow| WorkflowShape::from(&**workflow)).collect();
    Ok(done(&workflows))
}

/// GET /orchestration/workflows/{workflow}
pub(super) async fn workflow<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    caller(&call)?;
    Ok(done(&WorkflowShape::from(&**named(&call, call.text("workflow").unwrap_or_default())?)))
}

fn named<'a, S: Rooms>(call: &'a Call<S>, id: &str) -> Result<&'a Arc<Workflow>, Fault> {
    call.house.workflows().get(id).ok_or(Fault::Missing("Workflow"))
}

/// POST /orchestration/executions
pub(super) async fn make<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call)?;
    let fields = Fields::of(&call)?;
    let workflow = named(&call, &fields.needed("workflow_id")?)?;
    let input = fields.object("input", PARAMETERS_BYTES, "expected an object of at most 64 KiB")?;
    let now = call.house.now();
    let execution = Execution::new(v4(&*call.house), caller.user, workflow.id.clone(), input.unwrap_or("{}").into(), now);
    told(call.house.ask(Ask::Execute(Box::new(execution))).await)
}

/// GET /orchestration/executions
pub(super) async fn all<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let caller = caller(&call)?;
    let executions = call.house.executions(filter(&call, &caller)?).await?;
    Ok(list::<ExecutionShape<'_>, _>(&executions))
}

/// GET /orchestration/executions/{execution}
pub(super) async fn one<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, execution) = (caller(&call)?, id(&call, "execution", WHAT)?);
    match call.house.ask(Ask::LookExecution { execution, caller: caller.clone() }).await {
        Reply::Refused(Refused::NotHere) => {
            let found = call.house.execution(execution).await?;
            let found = found.filter(|execution| caller.admin || execution.owner == caller.user);
            Ok(done(&ExecutionShape::from(&found.ok_or(Fault::Missing(WHAT))?)))
        }
        reply => told(reply),
    }
}

/// POST /orchestration/executions/{execution}/cancel
pub(super) async fn cancel<S: Rooms>(call: Call<S>) -> Result<Answer, Fault> {
    let (caller, execution) = (caller(&call)?, id(&call, "execution", WHAT)?);
    told(call.house.ask(Ask::CancelExecution { execution, caller }).await)
}

fn told(reply: Reply) -> Result<Answer, Fault> {
    match reply {
        Reply::Execution(execution) => Ok(done(&ExecutionShape::from(&*execution))),
        Reply::Refused(why) => Err(Fault::of(WHAT, why)),
        Reply::Task(_) => Err(unexpected()),
    }
}
