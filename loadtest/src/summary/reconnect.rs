//! What the summary says of members who drop and come back.

use super::{grouped, row};
use crate::{report::Report, tally::ReturnCounts};

/// How many came back, and what those who stayed were told.
pub(super) fn rates(out: &mut String, report: &Report, returns: &ReturnCounts) {
    let [back, dropped] = [returns.returned, returns.left + returns.reset].map(grouped);
    let text = format!("{back} of {dropped} who dropped; {} while their own close was under way", grouped(returns.waited));
    row(out, "returns", &text);
    fates(out, report);
    let [left, came] = [returns.leavings_heard, returns.comings_heard].map(grouped);
    row(out, "told", &format!("{left} leavings and {came} comings back, to those who stayed"));
    out.push('\n');
}

/// What became of each message for each member.
pub(super) fn fates(out: &mut String, report: &Report) {
    let Some(meant) = report.fates.get("meant") else { return };
    let parts: Vec<String> = report
        .fates
        .iter()
        .filter(|(name, count)| **name != "meant" && **count > 0)
        .map(|(name, count)| format!("{} {}", grouped(*count), name.replace('_', " ")))
        .collect();
    row(out, "messages", &format!("{} meant: {}", grouped(*meant), parts.join(", ")));
}
