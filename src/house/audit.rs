//! Where the audit log hears of what happens: events of shards and of REST become records.

use super::rest::Rest;
use crate::{
    engine::door::Address,
    http::audit::{Entry, Scribe},
    observe::{
        audit::Audit,
        exposition::{Family, Kind},
    },
    realtime::audit::Record,
    runtime,
};

/// Where the routes of one listener tell what happens.
pub(super) fn scribe(rest: &Rest) -> Scribe {
    let (on, audit, clock) = (rest.audit.clone(), rest.audit.clone(), rest.clock);
    let note = move |Entry { what, on, who, target, from, outcome, reason }| {
        let from = from.map_or(Address::UNKNOWN, |peer| runtime::address(peer.0)).bits();
        audit.note(Record { at: clock.now().wall, what, who, target, from, on, outcome, reason });
    };
    Scribe { is_on: Box::new(move || on.is_on()), note: Box::new(note) }
}

/// The metrics of the log.
pub(super) fn metrics(audit: &Audit) -> Vec<Family> {
    let levels = audit.levels();
    let is_failing = u64::from(levels.is_failing);
    [
        ("homeroom_audit_records", Kind::Counter, "Events that are in the audit log", levels.written),
        ("homeroom_audit_lost", Kind::Counter, "Events that the audit log had no room for", levels.lost),
        ("homeroom_audit_waiting", Kind::Gauge, "Events that wait for the audit log", levels.waiting as u64),
        ("homeroom_audit_failing", Kind::Gauge, "Whether the audit log could not be written at the last try", is_failing),
    ]
    .map(|(name, kind, help, value)| Family { name, help, kind, unit: None, samples: vec![(Vec::new(), value.into())] })
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::exposition::Form;

    #[test]
    fn the_log_tells_what_it_has_and_what_it_lost() {
        let (audit, writer) = Audit::start().unwrap();
        let text = String::from_utf8(Form::OpenMetrics.write(&metrics(&audit))).unwrap();
        for line in [
            "homeroom_audit_records_total 0",
            "homeroom_audit_lost_total 0",
            "homeroom_audit_waiting 0",
            "homeroom_audit_failing 0",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} in\n{text}");
        }
        audit.end(writer);
    }
}
