//! What the summary says of nodes that restart one after the other.

use super::{grouped, reconnect::fates, row};
use crate::{report::Report, tally::RollingCounts};

/// Who moved, and what became of what was said meanwhile.
pub(super) fn rates(out: &mut String, report: &Report, rolling: &RollingCounts) {
    let [moved, told, retried, bare] = [rolling.moved, rolling.told, rolling.retried, rolling.bare].map(grouped);
    row(out, "moves", &format!("{moved} of {told} who were told to; {retried} tried again; {bare} times without a connection"));
    let [gone, published, unsure] = [rolling.gone, report.counts.published, rolling.unsure].map(grouped);
    row(out, "nodes", &format!("{gone} times not ready; {published} publishes, {unsure} of them without an answer"));
    fates(out, report);
    out.push('\n');
}
