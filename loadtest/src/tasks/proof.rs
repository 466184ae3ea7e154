//! What REST has, read when all is over, and held against what the sockets were told. It also tells which ask each task was, and so how
//! long after its intended moment each was told.

use super::{
    Office,
    contract::{CANCELLED, ExecutionRow, PAGE, Status, TaskRow},
    course,
    ledger::{End, Ledger},
    plan::Way,
};
use crate::{
    fault::Fault,
    tally::{Measure, When},
    wire::rest::Rest,
};
use serde_json::value::RawValue;
use std::io;

/// How far it has come: the next user.
#[derive(Default)]
pub(super) struct Proof {
    user: usize,
}

impl Office {
    /// One step: the rows of one user. Blocks: no socket is open any more.
    pub(super) fn prove(&mut self) -> u64 {
        let Some(mut proof) = self.proof.take() else { return u64::MAX };
        if proof.user < self.order.users.len() {
            if let Err(fault) = self.prove_user(proof.user as u32) {
                self.blame(When::Proving, &Fault::Contract(fault.to_string()));
            }
            proof.user += 1;
            self.proof = Some(proof);
        }
        0
    }

    fn prove_user(&mut self, user: u32) -> io::Result<()> {
        let mut rest = Rest::new(&self.order.target, &self.order.users[user as usize].0, self.order.timeout);
        let (run, mut kept) = (self.order.run, 0);
        pages(&mut rest, "/tasks", |text| {
            let rows: Vec<TaskRow<'_>> = serde_json::from_slice(text)?;
            let before = kept;
            for (row, number) in rows.iter().filter_map(|row| Some((row, row.number(run)?))) {
                self.prove_task(user, row, number);
                kept += 1;
            }
            Ok(kept > before && rows.len() == PAGE)
        })?;
        // What the user was told of and REST does not have is somebody else's, as far as all that he asked for is there.
        let told = self.ledgers.iter().filter(|ledger| ledger.owner == Some(user)).count() as u64;
        let lost = self.asked_by(user).saturating_sub(kept);
        self.tally.tasks.misdirected += told.saturating_sub(kept + lost);
        self.tally.tasks.kept += kept;
        if self.order.course.is_none() {
            return Ok(());
        }
        pages(&mut rest, "/orchestration/executions", |text| {
            let rows: Vec<ExecutionRow<'_>> = serde_json::from_slice(text)?;
            let before = self.tally.tasks.executions_kept;
            for (row, number) in rows.iter().filter_map(|row| Some((row, row.number(run)?))) {
                self.prove_execution(row, number);
                self.tally.tasks.executions_kept += 1;
            }
            Ok(self.tally.tasks.executions_kept > before && rows.len() == PAGE)
        })
    }

    /// How many tasks a user was to ask for.
    fn asked_by(&self, user: u32) -> u64 {
        let plan = &self.order.plan;
        let asks = (u64::from(self.order.user(user))..plan.asks).step_by(plan.users as usize);
        asks.filter(|number| !matches!(plan.way(*number), Way::Execution(_))).count() as u64
    }

    fn prove_task(&mut self, user: u32, row: &TaskRow<'_>, number: u64) {
        let due_ns = self.schedule.due_ns(self.order.plan.due_ns(number));
        let found = self.by_task.get(&row.id).map(|ledger| &self.ledgers[*ledger as usize]);
        let ledger = found.filter(|ledger| ledger.owner == Some(user));
        let tasks = &mut self.tally.tasks;
        tasks.row_faults += u64::from(!ledger.is_some_and(|ledger| is_row_of(ledger, row)));
        match (row.status, row.error.as_deref()) {
            (Status::Completed, _) => tasks.completed += 1,
            (Status::Failed, Some(CANCELLED)) => tasks.cancelled += 1,
            (Status::Failed, _) => tasks.failed += 1,
            (Status::Pending | Status::InProgress | Status::Verifying, _) => {}
        }
        let Some(ledger) = ledger else { return };
        let [pending, begun, ended] = ledger.moments_ns();
        let ended = ended.filter(|_| row.status == Status::Completed);
        for (measure, at_ns) in [(Measure::Pending, pending), (Measure::Begun, begun), (Measure::Ended, ended)] {
            if let Some(at_ns) = at_ns {
                self.tally.record_past(measure, at_ns.saturating_sub(due_ns), at_ns);
            }
        }
    }

    fn prove_execution(&mut self, row: &ExecutionRow<'_>, number: u64) {
        let due_ns = self.schedule.due_ns(self.order.plan.due_ns(number));
        let course = self.by_execution.get(&row.id).map(|course| &self.courses[*course as usize]);
        let steps = self.order.course.as_ref().map_or(&[][..], |course| &course.steps);
        let is_true = course.is_some_and(|course| {
            let told = course::told(steps, row.current_step_id.as_deref(), row.status);
            course.id == row.id && told.is_some() && course.told == told && is_sum(row, steps)
        });
        self.tally.tasks.row_faults += u64::from(!is_true);
        self.tally.tasks.failed += u64::from(row.status == Status::Failed);
        self.tally.tasks.executions_completed += u64::from(row.status == Status::Completed);
        if let Some(ended_ns) = course.and_then(|course| course.ended_ns).filter(|_| row.status == Status::Completed) {
            self.tally.record_past(Measure::Execution, ended_ns.saturating_sub(due_ns), ended_ns);
        }
    }
}

/// Whether a completed execution has what every step gave, and the sum of what they cost.
fn is_sum(row: &ExecutionRow<'_>, steps: &[String]) -> bool {
    let cost: f64 = row.results.iter().map(|result| result.cost).sum();
    let is_whole = steps.iter().all(|step| row.results.iter().filter(|result| result.step_id == *step).count() == 1);
    row.status != Status::Completed || (is_whole && (row.cost - cost).abs() < 1e-9)
}

/// Whether a task is as it was told.
fn is_row_of(ledger: &Ledger, row: &TaskRow<'_>) -> bool {
    let Some(End { status, result, error, cost }) = &ledger.end else { return false };
    let progress = if *status == Status::Completed { 1.0 } else { ledger.progress() };
    // An error tells no cost.
    let costs = *status == Status::Failed || *cost == row.cost;
    let results = same(result.as_deref(), row.result);
    (row.status, row.progress, row.error.as_deref()) == (*status, progress, error.as_deref()) && costs && results
}

/// Whether two texts are the same JSON.
fn same(one: Option<&str>, other: Option<&RawValue>) -> bool {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    match (one, other) {
        (Some(one), Some(other)) => one == other.get() || value(one) == value(other.get()),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Reads a list from its newest row on, page by page, as long as `take` wants more.
fn pages(rest: &mut Rest, path: &str, mut take: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
    let mut offset = 0;
    loop {
        let (status, text) = rest.exchange("GET", &format!("{path}?limit={PAGE}&offset={offset}"), "")?;
        if status != 200 {
            return Err(io::Error::other(format!("GET {path}: http {status}")));
        }
        if !take(&text).map_err(|fault| io::Error::other(format!("GET {path}: {fault}")))? {
            return Ok(());
        }
        offset += PAGE;
    }
}
