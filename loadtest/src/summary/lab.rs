//! What the summary says of a lab.

use super::{grouped, listed, row};
use crate::{
    report::{Report, StageCost},
    tally::LabCounts,
};

/// How many bytes, how many keys.
pub(super) fn rates(out: &mut String, report: &Report, lab: &LabCounts) {
    let rates = &report.rates;
    for (name, heard, sent) in [("to viewers", lab.down_heard, lab.down_sent), ("to agents", lab.up_heard, lab.up_sent)] {
        if sent > 0 {
            let (seconds, mb) = (rates.streaming_s, heard as f64 / 1e6 / rates.streaming_s.max(1e-9));
            row(out, name, &format!("{} of {} bytes in {seconds:.2} s: {mb:.1} MB a second", grouped(heard), grouped(sent)));
        }
    }
    if lab.keys_sent > 0 {
        let told = [lab.keys_heard, lab.keys_sent, rates.keys_per_s as u64].map(grouped);
        row(out, "keys", &format!("{} of {} echoed: {} a second", told[0], told[1], told[2]));
    }
    out.push('\n');
}

/// What agents and viewers heard.
pub(super) fn events(lab: &LabCounts) -> String {
    listed(&[
        (lab.starts, "sessions started"),
        (lab.tunnels, "tunnels"),
        (lab.stops, "sessions stopped"),
        (lab.reproached, "errors at agents"),
        (lab.pings, "pings"),
    ])
}

/// What the traffic cost the generator.
pub(super) fn generator(cost: &StageCost) -> String {
    format!("{:.2} s CPU, busiest worker {:.0} % of a core", cost.cpu_ns() as f64 / 1e9, cost.busiest() * 100.0)
}
