//! Where the audit log hears of what happens: events of shards and of REST become records.

use super::rest::Rest;
use crate::{
    engine::door::Address,
    http::audit::{Entry, Scribe},
    observe::audit::Audit,
    realtime::audit::Record,
    runtime,
};
use std::fmt::Write;

/// Where the routes of one listener tell what happens.
pub(super) fn scribe(rest: &Rest) -> Scribe {
    let (on, audit, clock) = (rest.audit.clone(), rest.audit.clone(), rest.clock);
    let note = move |Entry { what, on, who, target, from, outcome, reason }| {
        let from = from.map_or(Address::UNKNOWN, |peer| runtime::address(peer.0)).bits();
        audit.note(Record { at: clock.now().wall, what, who, target, from, on, outcome, reason });
    };
    Scribe { is_on: Box::new(move || on.is_on()), note: Box::new(note) }
}

/// The metrics with those of the log behind them.
pub(super) fn metrics(mut text: String, audit: &Audit) -> String {
    const END: &str = "# EOF\n";
    if text.ends_with(END) {
        text.truncate(text.len() - END.len());
    }
    let levels = audit.levels();
    for (name, kind, help, suffix, value) in [
        ("homeroom_audit_records", "counter", "Events that are in the audit log", "_total", levels.written),
        ("homeroom_audit_lost", "counter", "Events that the audit log had no room for", "_total", levels.lost),
        ("homeroom_audit_waiting", "gauge", "Events that wait for the audit log", "", levels.waiting as u64),
        (
            "homeroom_audit_failing",
            "gauge",
            "Whether the audit log could not be written at the last try",
            "",
            u64::from(levels.is_failing),
        ),
    ] {
        // A String takes everything.
        let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n{name}{suffix} {value}\n");
    }
    text + END
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_metrics_stand_before_the_end() {
        let (audit, writer) = Audit::start().unwrap();
        let text = metrics("a 1\n# EOF\n".to_owned(), &audit);
        assert!(text.starts_with("a 1\n# HELP homeroom_audit_records ") && text.ends_with("homeroom_audit_failing 0\n# EOF\n"));
        assert_eq!(text.matches("# EOF").count(), 1);
        assert!(text.contains("\nhomeroom_audit_lost_total 0\n"), "{text}");
        audit.end(writer);
    }
}
