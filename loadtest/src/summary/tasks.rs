//! What the summary says of tasks.

use super::{grouped, listed, row};
use crate::{
    report::{Report, StageCost},
    tally::TaskCounts,
};

/// How many tasks, and how much was told of them.
pub(super) fn rates(out: &mut String, report: &Report, tasks: &TaskCounts) {
    let rates = &report.rates;
    let asked = tasks.asked_by_socket + tasks.asked_by_rest + tasks.executions_asked;
    let told = [tasks.ended(), asked, rates.tasks_per_s as u64].map(grouped);
    let heard = [tasks.users_heard + tasks.admins_heard, rates.messages_per_s as u64, tasks.listening].map(grouped);
    let text = format!(
        "{} of {} ended in {:.2} s: {} a second; {} messages ({} a second) at {} sockets",
        told[0], told[1], rates.working_s, told[2], heard[0], heard[1], heard[2]
    );
    row(out, "tasks", &text);
    out.push('\n');
}

/// How they ended, and what else was done.
pub(super) fn events(tasks: &TaskCounts) -> String {
    listed(&[
        (tasks.completed, "completed"),
        (tasks.executions_completed, "executions completed"),
        (tasks.cancelled, "cancelled"),
        (tasks.cancels_late, "cancelled too late"),
        (tasks.failed, "failed"),
        (tasks.states_heard, "watched alone"),
        (tasks.pings, "pings"),
    ])
}

/// What asking and hearing cost the generator.
pub(super) fn generator(cost: &StageCost, tasks: &TaskCounts) -> String {
    let heard = (tasks.users_heard + tasks.admins_heard).max(1) as f64;
    let us = cost.cpu_ns() as f64 / 1e3 / heard;
    format!("{us:.1} µs CPU a message, busiest worker {:.0} % of a core", cost.busiest() * 100.0)
}
