//! Phases of a day, told: percentiles of each part in each of them.

use super::LatencyFigures;
use crate::tally::{Latencies, Measure, Phases};
use std::collections::BTreeMap;

/// The phases of a day, in their order.
pub(crate) const PHASES: [&str; 4] = ["ramp", "steady", "storm", "drain"];

/// By phase, part and measure.
pub(crate) type PhaseFigures = BTreeMap<&'static str, BTreeMap<&'static str, BTreeMap<String, LatencyFigures>>>;

/// The part to which a measure belongs, and its name there; none: it is of the generator, or of no part of a day.
pub(crate) fn part(measure: Measure) -> Option<(&'static str, String)> {
    let (part, name) = match measure {
        Measure::SignIn | Measure::Return => ("presence", "enter".to_owned()),
        Measure::Delivery => ("presence", "deliver".to_owned()),
        Measure::Close | Measure::Publish => ("presence", measure.name()),
        Measure::Start | Measure::Answer | Measure::Screen | Measure::Behind | Measure::Submit | Measure::Ending => {
            ("quiz", measure.name())
        }
        Measure::Word | Measure::FirstWord | Measure::Reply | Measure::Gap => ("chat", measure.name()),
        Measure::Pending
        | Measure::Begun
        | Measure::Ended
        | Measure::Execution
        | Measure::FanOut
        | Measure::List
        | Measure::Look => ("tasks", measure.name()),
        Measure::Connect | Measure::Upgrade | Measure::Admission | Measure::Lag | Measure::Jitter | Measure::Beside => {
            return None;
        }
        // Before the day begins.
        Measure::Create => return None,
        Measure::Watch | Measure::Key => ("labs", measure.name()),
        Measure::CancelWord | Measure::CancelEnd | Measure::CancelGone | Measure::AtAdmins | Measure::Cancel => return None,
    };
    Some((part, name))
}

/// What was measured in each phase, of each part that was there.
pub(crate) fn figures(phases: &Phases) -> PhaseFigures {
    let mut all = PhaseFigures::new();
    for (name, phase) in PHASES.iter().zip(phases.all()) {
        let mut parts: BTreeMap<&'static str, BTreeMap<String, Latencies>> = BTreeMap::new();
        for (measure, latencies) in &phase.measures {
            let Some((part, measure)) = part(*measure) else { continue };
            // Sign-ins and returns are both enterings.
            parts.entry(part).or_default().entry(measure).or_default().merge(latencies);
        }
        let told = |(measure, latencies): (String, Latencies)| (measure, LatencyFigures::of(&latencies));
        all.insert(name, parts.into_iter().map(|(part, measures)| (part, measures.into_iter().map(told).collect())).collect());
    }
    all
}
