//! What the summary says of members who read slowly.

use super::{grouped, reconnect::fates, row};
use crate::report::{Report, SlowFigures};
use std::fmt::Write;

/// What became of the slow ones, and what the others noticed.
pub(super) fn rates(out: &mut String, report: &Report, slow: &SlowFigures) {
    let ends: Vec<String> = slow.ends.iter().map(|(end, count)| format!("{} {end}", grouped(*count))).collect();
    let ends = if ends.is_empty() { String::new() } else { format!(": {}", ends.join(", ")) };
    let mut text = format!("{} of {} cut off{ends}", grouped(slow.cut_off), grouped(slow.members));
    if let (Some(first), Some(last)) = (slow.first_cut_off_s, slow.last_cut_off_s) {
        let _ = write!(text, "; the first after {first:.1} s, the last after {last:.1} s");
    }
    row(out, "slow", &text);
    if let (Some(half), Some(tail)) = (slow.p50_ratio, slow.p99_ratio) {
        let mut text = format!("waited {half:.2} times as long at p50, {tail:.2} times at p99, as when all read");
        if let Some(bytes) = slow.server_growth_bytes {
            let _ = write!(text, "; the server grew by {:.1} MiB", bytes as f64 / f64::from(1 << 20));
        }
        row(out, "the others", &text);
    }
    fates(out, report);
    out.push('\n');
}
