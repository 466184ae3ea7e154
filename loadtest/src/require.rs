//! What a run must reach: `--require 'delivery.p99<20ms'`, by the names of the JSON report.

use crate::{
    report::{PHASES, Rates, Report, SlowFigures, part},
    server::ServerFigures,
    summary::time,
    tally::{ChatCounts, Counts, LabCounts, Measure, QuizCounts, ReturnCounts, RollingCounts, TaskCounts},
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt, io};

/// The times that are told of each measure.
const TIMES: [&str; 8] = ["p50", "p90", "p99", "p999", "p9999", "min", "mean", "max"];
/// So many names are offered for one that is not there.
const NEAREST: usize = 3;
/// What people write, and what the report says.
const SPELLINGS: [(&str, &str); 2] = [(".p99.99", ".p9999"), (".p99.9", ".p999")];

/// One thing that a run must reach.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Requirement {
    /// As it was given.
    text: String,
    name: String,
    place: Place,
    comparison: Comparison,
    /// Nanoseconds, or a plain number.
    bound: f64,
}

/// Where a figure stands in the report, and what it is.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    /// A JSON pointer (RFC 6901).
    pointer: String,
    unit: Unit,
}

/// What a figure is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// A time in nanoseconds.
    Ns,
    /// How many values a measure has: none where nothing was measured.
    Count,
    /// Any other number, in the unit of its name.
    Number,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

/// What was required, and what was found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct Threshold {
    /// As it was given.
    pub(crate) required: String,
    /// The figure's name.
    pub(crate) name: String,
    /// What `bound` and `found` are.
    pub(crate) unit: Unit,
    /// The number behind the comparison.
    pub(crate) bound: f64,
    /// The figure; none where nothing of it was measured.
    pub(crate) found: Option<f64>,
    /// Whether it holds.
    pub(crate) met: bool,
}

impl Threshold {
    /// What was found, and whether it was enough.
    pub(crate) fn told(&self) -> String {
        let verb = if self.met { "holds" } else { "is not met" };
        let found = match (self.found, self.unit) {
            (None, _) => "nothing of it was measured".to_owned(),
            (Some(ns), Unit::Ns) => time(ns as u64),
            (Some(number), Unit::Count | Unit::Number) => format!("{number}"),
        };
        format!("{} {verb}: {found}", self.required)
    }
}

impl Requirement {
    /// Reads one: a name of the report, a comparison, a bound with its unit.
    ///
    /// # Errors
    /// A sentence for the user; a name that is not there is answered with those nearest to it.
    pub(crate) fn parse(text: &str) -> Result<Requirement, String> {
        let at = text.find(['<', '>', '=']).ok_or_else(|| format!("{text:?} has no <, <=, >, >= or ="))?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let (comparison, bound) = Comparison::split(rest);
        let (name, place) = find(name)?;
        let bound = read_bound(bound.trim(), place.unit)?;
        Ok(Requirement { text: text.trim().to_owned(), name, place, comparison, bound })
    }

    fn judge(&self, report: &Value) -> Threshold {
        let missing = (self.place.unit == Unit::Count).then_some(0.0);
        let found = report.pointer(&self.place.pointer).and_then(Value::as_f64).or(missing);
        Threshold {
            required: self.text.clone(),
            name: self.name.clone(),
            unit: self.place.unit,
            bound: self.bound,
            found,
            met: found.is_some_and(|found| self.comparison.holds(found, self.bound)),
        }
    }
}

impl Comparison {
    /// The comparison with which a text begins, and what is behind it.
    fn split(text: &str) -> (Comparison, &str) {
        let all = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("==", Comparison::Equal),
            ("<", Comparison::Below),
            (">", Comparison::Above),
        ];
        let found = all.into_iter().find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)));
        found.unwrap_or_else(|| (Comparison::Equal, text.strip_prefix('=').unwrap_or(text)))
    }

    #[expect(clippy::float_cmp, reason = "counts are whole, and `=` means what it says")]
    fn holds(self, found: f64, bound: f64) -> bool {
        match self {
            Comparison::Below => found < bound,
            Comparison::AtMost => found <= bound,
            Comparison::Above => found > bound,
            Comparison::AtLeast => found >= bound,
            Comparison::Equal => found == bound,
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Holds a report against what was required of it.
///
/// # Errors
/// None that a report can cause: only those of writing JSON.
pub(crate) fn judge(required: &[Requirement], report: &Report) -> io::Result<Vec<Threshold>> {
    if required.is_empty() {
        return Ok(Vec::new());
    }
    let report = serde_json::to_value(report)?;
    Ok(required.iter().map(|one| one.judge(&report)).collect())
}

/// The name of a figure as the report has it, and where it stands.
fn find(name: &str) -> Result<(String, Place), String> {
    let mut catalogue = catalogue();
    let written = SPELLINGS.iter().fold(name.to_owned(), |name, (from, to)| spelled(&name, from, to));
    // What people write of the whole run; of a phase it is called that.
    let written = written.strip_prefix("deliver.").map_or(written.clone(), |rest| format!("delivery.{rest}"));
    if let Some(place) = catalogue.remove(&written) {
        return Ok((written, place));
    }
    let mut near: Vec<(f64, &String)> =
        catalogue.keys().map(|known| (strsim::normalized_damerau_levenshtein(&written, known), known)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<&str> = near.iter().take(NEAREST).map(|(_, known)| known.as_str()).collect();
    Err(format!("there is no {name:?} in a report; nearest are {}", near.join(", ")))
}

/// A spelling that begins with a dot is the end of a name, another one its beginning.
fn spelled(name: &str, from: &str, to: &str) -> String {
    let replaced = if from.starts_with('.') {
        name.strip_suffix(from).map(|rest| format!("{rest}{to}"))
    } else {
        name.strip_prefix(from).map(|rest| format!("{to}{rest}"))
    };
    replaced.unwrap_or_else(|| name.to_owned())
}

/// Every figure that can be required. The names are those with which the record is written.
fn catalogue() -> BTreeMap<String, Place> {
    let mut all = BTreeMap::new();
    for measure in Measure::ALL {
        let measure = measure.name();
        for time in TIMES {
            let pointer = format!("/latencies/{measure}/{time}");
            all.insert(format!("{measure}.{time}"), Place { pointer, unit: Unit::Ns });
        }
        let pointer = format!("/latencies/{measure}/count");
        all.insert(format!("{measure}.count"), Place { pointer, unit: Unit::Count });
    }
    for phase in PHASES {
        for (part_name, measure) in Measure::ALL.into_iter().filter_map(part) {
            let pointer = format!("/phases/{phase}/{part_name}/{measure}");
            for time in TIMES {
                let place = Place { pointer: format!("{pointer}/{time}"), unit: Unit::Ns };
                all.insert(format!("{phase}.{part_name}.{measure}.{time}"), place);
            }
            let place = Place { pointer: format!("{pointer}/count"), unit: Unit::Count };
            all.insert(format!("{phase}.{part_name}.{measure}.count"), place);
        }
    }
    let sections = [
        ("counts", serde_json::to_value(Counts::default())),
        ("reconnect", serde_json::to_value(ReturnCounts::default())),
        ("rolling", serde_json::to_value(RollingCounts::default())),
        ("slow", serde_json::to_value(SlowFigures::default())),
        ("quiz", serde_json::to_value(QuizCounts::default())),
        ("lab", serde_json::to_value(LabCounts::default())),
        ("chat", serde_json::to_value(ChatCounts::default())),
        ("tasks", serde_json::to_value(TaskCounts::default())),
        ("rates", serde_json::to_value(Rates::default())),
        ("server", serde_json::to_value(ServerFigures::default())),
    ];
    for (section, fields) in sections {
        let fields = fields.ok().and_then(|fields| fields.as_object().cloned()).unwrap_or_default();
        // Of the server only what is derived: the rest is no figure of the run.
        for (name, _) in fields.iter().filter(|(_, value)| !value.is_object() && (section != "server" || value.is_null())) {
            let place = Place { pointer: format!("/{section}/{name}"), unit: Unit::Number };
            all.insert(format!("{section}.{name}"), place);
        }
    }
    all
}

fn read_bound(text: &str, unit: Unit) -> Result<f64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: f64 =
        number.parse().map_err(|_| format!("{text:?} is no bound: a number, with ns, us, ms or s where it is a time"))?;
    match (unit, suffix.trim()) {
        (Unit::Ns, "ns") => Ok(number),
        (Unit::Ns, "us" | "µs") => Ok(number * 1e3),
        (Unit::Ns, "ms") => Ok(number * 1e6),
        (Unit::Ns, "s") => Ok(number * 1e9),
        (Unit::Ns, _) => Err(format!("{text:?}: a time needs its unit, ns, us, ms or s")),
        (Unit::Count | Unit::Number, "") => Ok(number),
        (Unit::Count | Unit::Number, _) => Err(format!("{text:?}: this is a plain number, without a unit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(required: &str, report: &Value) -> Threshold {
        Requirement::parse(required).unwrap().judge(report)
    }

    #[test]
    fn each_comparison_and_unit_means_what_it_says() {
        let report = json!({ "latencies": { "delivery": { "p99": 20_000_000, "count": 7 } }, "counts": { "lost": 0 } });
        for (required, met) in [
            ("delivery.p99<20ms", false),
            ("delivery.p99<=20ms", true),
            ("delivery.p99 > 19999us", true),
            ("delivery.p99>=0.02s", true),
            ("delivery.p99=20000000ns", true),
            ("deliver.p99<20.1ms", true),
            ("delivery.count==7", true),
            ("counts.lost=0", true),
            ("counts.lost>0", false),
        ] {
            assert_eq!(judged(required, &report).met, met, "{required}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_met_but_counts_as_none() {
        let report = json!({ "latencies": {}, "server": null });
        let threshold = judged("delivery.p99<20ms", &report);
        assert_eq!((threshold.found, threshold.met), (None, false));
        assert!(threshold.told().ends_with("nothing of it was measured"), "{}", threshold.told());
        assert!(judged("delivery.count=0", &report).met);
        assert!(!judged("server.cpu_us_per_sign_in<100", &report).met);
    }

    #[test]
    fn names_that_are_not_there_are_answered_with_the_nearest() {
        let wrong = Requirement::parse("delivry.p99<20ms").unwrap_err();
        assert!(wrong.contains("nearest are delivery.p99, "), "{wrong}");
        let wrong = Requirement::parse("rates.signins_per_s>3").unwrap_err();
        assert!(wrong.contains("rates.sign_ins_per_s"), "{wrong}");
        for wrong in ["delivery.p99", "delivery.p99<20", "delivery.p99<ms", "delivery.p42<1s", "counts.lost<1ms", "<1", ""] {
            assert!(Requirement::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn figures_of_a_phase_are_found_by_part() {
        let report = json!({ "phases": { "storm": { "presence": { "enter": { "p99": 3_000_000 } } } } });
        assert!(judged("storm.presence.enter.p99<4ms", &report).met && !judged("storm.presence.enter.p99<2ms", &report).met);
        assert!(!judged("steady.chat.first_word.p50<1s", &report).met);
        assert!(Requirement::parse("storm.presence.deliver.p99.9<1s").is_ok());
        assert!(Requirement::parse("storm.presence.entr.p99<1s").unwrap_err().contains("storm.presence.enter.p99"));
    }

    #[test]
    fn percentiles_may_be_written_with_their_point() {
        let place = |text| Requirement::parse(text).map(|one| one.place.pointer);
        assert_eq!(place("sign_in.p99.9<1s"), Ok("/latencies/sign_in/p999".to_owned()));
        assert_eq!(place("sign_in.p99.99<1s"), Ok("/latencies/sign_in/p9999".to_owned()));
        assert!(place("server.pid>1").is_err());
    }
}
