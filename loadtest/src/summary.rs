//! The report as at most 25 lines of text.

mod chat;
mod lab;
mod mixed;
mod reconnect;
mod rolling;
mod slow;
mod tasks;

use crate::{
    crew::{
        letters::Stage,
        offset::{HostFigures, between_ns},
    },
    pings::Spread,
    report::{LatencyFigures, Outcome, Report, StageCost, UNVERIFIED},
    tally::{Measure, QuizCounts, TaskCounts, When},
};
use std::{collections::BTreeMap, fmt::Write};

/// The summary has no more lines than these.
const MOST_LINES: usize = 25;
/// More kinds of errors than these are told as a sum; fewer are where there is no room.
const MOST_FAULTS: usize = 5;
/// More hosts than these are told as a number.
const MOST_HOSTS: usize = 3;

/// Draws the summary.
pub(crate) fn draw(report: &Report) -> String {
    let (mut out, mut rest) = (String::new(), String::new());
    head(&mut out, report);
    if report.phases.is_empty() {
        rates(&mut out, report);
        latencies(&mut out, report);
    } else {
        mixed::phases(&mut out, report);
    }
    row(&mut out, "events", &events(report));
    row(&mut rest, "server", &server(report));
    row(&mut rest, "generator", &generator(report));
    if !report.hosts.is_empty() {
        row(&mut rest, "clocks", &clocks(&report.hosts));
    }
    verdict(&mut rest, report);
    let room = MOST_LINES.saturating_sub(out.lines().count() + rest.lines().count());
    faults(&mut out, &report.faults, room);
    out + &rest
}

fn row(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "  {name:<11}{text}");
}

fn head(out: &mut String, report: &Report) {
    let asked = &report.asked;
    let [people, places] = if !report.phases.is_empty() {
        ["students", "classrooms"]
    } else {
        match (&report.quiz, &report.lab, &report.chat, &report.tasks) {
            (Some(_), ..) => ["participants", "quizzes"],
            (None, Some(_), ..) => ["sessions", "agents"],
            (None, None, Some(_), _) => ["sessions", "of them over HTTP"],
            (None, None, None, Some(_)) => ["users", "sockets each"],
            (None, None, None, None) => ["students", "classrooms"],
        }
    };
    let in_flight = match asked.in_flight {
        0 => String::new(),
        some => format!(", at most {} in flight", grouped(some)),
    };
    let pace = match asked.rate {
        Some(rate) => format!("{} a second", grouped(rate as u64)),
        // Each phase has rates of its own.
        None if !report.phases.is_empty() => "at the rates of its phases".to_owned(),
        None => "as fast as it goes".to_owned(),
    };
    let _ = writeln!(
        out,
        "{}: {} {}, {} {}, {pace}{in_flight}; {}",
        asked.scenario,
        grouped(asked.students),
        people,
        grouped(asked.classrooms.into()),
        places,
        asked.then
    );
    let sources = match asked.sources {
        0 if !report.phases.is_empty() => String::new(),
        0 => " and 1 source addresses".to_owned(),
        some => format!(" and {some} source addresses"),
    };
    let _ = writeln!(out, "{} from {} workers{sources}, seed {}", asked.url, asked.workers, asked.seed);
    if report.unverified {
        let _ = writeln!(out, "{UNVERIFIED}");
    }
    out.push('\n');
}

fn rates(out: &mut String, report: &Report) {
    let (rates, counts) = (&report.rates, &report.counts);
    if let Some(quiz) = &report.quiz {
        return quiz_rates(out, report, quiz);
    }
    if let Some(lab) = &report.lab {
        return lab::rates(out, report, lab);
    }
    if let Some(tasks) = &report.tasks {
        return tasks::rates(out, report, tasks);
    }
    if let Some(slow) = &report.slow {
        return slow::rates(out, report, slow);
    }
    if let Some(rolling) = &report.rolling {
        return rolling::rates(out, report, rolling);
    }
    if let Some(returns) = &report.reconnect {
        return reconnect::rates(out, report, returns);
    }
    if let Some(chat) = &report.chat {
        return chat::rates(out, report, chat);
    }
    let text = format!(
        "{} of {} in {:.2} s: {} a second",
        grouped(counts.signed_in),
        grouped(report.asked.students),
        rates.signing_in_s,
        grouped(rates.sign_ins_per_s as u64)
    );
    row(out, "sign-ins", &text);
    if counts.published > 0 {
        let text = format!(
            "{} in {:.2} s: {} a second, from {} publishes ({} a second)",
            grouped(counts.delivered),
            rates.delivering_s,
            grouped(rates.deliveries_per_s as u64),
            grouped(counts.published),
            grouped(rates.publishes_per_s as u64)
        );
        row(out, "deliveries", &text);
    }
    out.push('\n');
}

fn quiz_rates(out: &mut String, report: &Report, quiz: &QuizCounts) {
    let rates = &report.rates;
    let told = |done: u64, of: u64, seconds: f64, rate: f64| {
        format!("{} of {} in {seconds:.2} s: {} a second", grouped(done), grouped(of), grouped(rate as u64))
    };
    row(out, "starts", &told(quiz.started, report.asked.students, rates.starting_s, rates.starts_per_s));
    if quiz.answers_asked > 0 {
        row(out, "answers", &told(quiz.answered, quiz.answers_asked, rates.answering_s, rates.answers_per_s));
        let (on_screens, screens) = (grouped(quiz.updates_heard), grouped(quiz.watching));
        row(out, "screens", &format!("{on_screens} answers on {screens} screens, {} snapshots", grouped(quiz.snapshots)));
    }
    if let Some(pings) = &report.pings {
        for (name, spread) in [("100 ms", &pings.windows), ("4.1 ms", &pings.ticks)] {
            let Spread { windows, mean, most, least, above_twice } = spread;
            let text =
                format!("{mean:.1} on average, {least} to {most}; {above_twice} of {windows} with more than twice the average");
            row(out, if name == "100 ms" { "pings" } else { "" }, &format!("in {name}: {text}"));
        }
    }
    out.push('\n');
}

fn latencies(out: &mut String, report: &Report) {
    let others = report.lab.is_some() || report.chat.is_some() || report.tasks.is_some();
    let from = if report.quiz.is_some() || others {
        "from the intended moment"
    } else if report.asked.rate.is_some() {
        "sign-in: from its intended moment"
    } else {
        "sign-in: from the start of its own attempt"
    };
    let _ = writeln!(out, "  {:<11}{:>10}{:>10}{:>10}{:>10}{:>10}   {from}", "latency", "p50", "p90", "p99", "p99.9", "max");
    for (measure, figures) in &report.latencies {
        let LatencyFigures { p50, p90, p99, p999, max, .. } = figures;
        let columns: String = [p50, p90, p99, p999, max].iter().map(|ns| format!("{:>10}", time(**ns))).collect();
        row(out, name(*measure), &columns);
    }
    out.push('\n');
}

/// What a measure is called in a row.
pub(crate) fn name(measure: Measure) -> &'static str {
    match measure {
        Measure::SignIn => "sign-in",
        Measure::Return => "return",
        Measure::Connect => "· connect",
        Measure::Upgrade => "· upgrade",
        Measure::Admission => "· admission",
        Measure::Close => "close",
        Measure::Publish => "publish",
        Measure::Delivery => "delivery",
        Measure::Beside => "· beside",
        Measure::Start => "start",
        Measure::Answer => "answer",
        Measure::Screen => "· on screen",
        Measure::Behind => "· behind",
        Measure::Submit => "submit",
        Measure::Ending => "· closed",
        Measure::Create => "create",
        Measure::Watch => "watch",
        Measure::Key => "key to echo",
        Measure::Word => "word",
        Measure::FirstWord => "· the first",
        Measure::Reply => "· from ask",
        Measure::Gap => "gap off",
        Measure::CancelWord => "cancel",
        Measure::CancelEnd => "· to end",
        Measure::CancelGone => "· gone",
        Measure::Pending => "pending",
        Measure::Begun => "· progress",
        Measure::Ended => "· completed",
        Measure::Execution => "execution",
        Measure::FanOut => "fan-out",
        Measure::AtAdmins => "· at admins",
        Measure::Cancel => "cancel",
        Measure::List => "list",
        Measure::Look => "one task",
        Measure::Jitter => "ping off",
        Measure::Lag => "own lag",
    }
}

fn events(report: &Report) -> String {
    if let Some(quiz) = &report.quiz {
        return quiz_events(quiz);
    }
    if let Some(lab) = &report.lab {
        return lab::events(lab);
    }
    if let Some(tasks) = &report.tasks {
        return tasks::events(tasks);
    }
    if let Some(chat) = &report.chat {
        return chat::events(chat);
    }
    let counts = &report.counts;
    let all = [
        (counts.entered, "entered"),
        (counts.left, "left"),
        (counts.changed, "changed"),
        (counts.delivered, "ticks"),
        (counts.other, "others"),
        (counts.pings, "pings"),
    ];
    listed(&all)
}

fn quiz_events(quiz: &QuizCounts) -> String {
    listed(&[
        (quiz.begins_heard, "attempt_quiz"),
        (quiz.updates_heard, "attempt_update"),
        (quiz.ends_heard, "attempt_finished"),
        (quiz.closes_heard, "attempt_closed"),
        (quiz.pings, "pings"),
    ])
}

fn listed(all: &[(u64, &str)]) -> String {
    let heard: Vec<_> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{} {kind}", grouped(*count))).collect();
    if heard.is_empty() { "none heard".to_owned() } else { heard.join(", ") }
}

/// What went wrong, in at most `room` lines, but in one at least.
fn faults(out: &mut String, faults: &BTreeMap<When, BTreeMap<String, u64>>, room: usize) {
    let mut all: Vec<(u64, String)> = Vec::new();
    for (when, kinds) in faults {
        all.extend(kinds.iter().map(|(kind, count)| (*count, format!("{}: {kind}", during(*when)))));
    }
    all.sort_by(|a, b| b.cmp(a));
    if all.is_empty() {
        return row(out, "errors", "none");
    }
    // The last line is for the sum of those that have none of their own.
    let most = if all.len() <= room.min(MOST_FAULTS) { all.len() } else { room.saturating_sub(1).min(MOST_FAULTS) };
    let named = |place: usize| if place == 0 { "errors" } else { "" };
    for (place, (count, kind)) in all.iter().take(most).enumerate() {
        row(out, named(place), &format!("{} {kind}", grouped(*count)));
    }
    if let rest @ 1.. = all.iter().skip(most).map(|(count, _)| count).sum::<u64>() {
        let other = if most == 0 { "" } else { "other " };
        row(out, named(most), &format!("{} of {} {other}kinds (see --json)", grouped(rest), all.len() - most));
    }
}

/// When something went wrong, in words.
pub(crate) fn during(when: When) -> &'static str {
    match when {
        When::SignIn => "signing in",
        When::Member => "as a member",
        When::Closing => "closing",
        When::Publishing => "publishing",
        When::Watching => "watching",
        When::Starting => "starting",
        When::Answering => "answering",
        When::Submitting => "submitting",
        When::Listening => "listening",
        When::Proving => "proving",
        When::Serving => "serving",
        When::Viewing => "viewing",
        When::Talking => "talking",
        When::Asking => "asking",
        When::Working => "working",
        When::Looking => "looking",
    }
}

fn server(report: &Report) -> String {
    let Some(server) = &report.server else {
        return "not watched (no process of this host listens on the port; give --pid)".to_owned();
    };
    let mut text = format!("pid {}", server.pid);
    if let Some(us) = server.cpu_us_per_sign_in {
        let _ = write!(text, ", {us:.1} µs CPU a sign-in");
    }
    if let Some(us) = server.cpu_us_per_return {
        let _ = write!(text, ", {us:.1} µs CPU a return and what is published meanwhile");
    }
    if let Some(us) = server.cpu_us_per_delivery {
        let _ = write!(text, ", {us:.3} µs CPU a delivery");
    }
    if let Some(bytes) = server.bytes_per_cpu_second {
        let _ = write!(text, ", {} MB for each CPU second", grouped((bytes / 1e6) as u64));
    }
    if let Some(us) = server.cpu_us_per_key {
        let _ = write!(text, ", {us:.1} µs CPU a key and its echo");
    }
    if let Some(us) = server.cpu_us_per_task {
        let _ = write!(text, ", {us:.1} µs CPU a task");
    }
    if let Some(us) = server.cpu_us_per_word {
        let _ = write!(text, ", {us:.1} µs CPU a word");
    }
    if let Some(us) = server.cpu_us_per_answer {
        let _ = write!(text, ", {us:.1} µs CPU an answer");
    }
    if let Some(share) = server.cpu_share_held {
        let _ = write!(text, ", {:.1} % of a core while held", share * 100.0);
    }
    if let Some(share) = server.user_share_of_deliveries {
        let _ = write!(text, " ({:.0} % user space)", share * 100.0);
    }
    if let Some(bytes) = server.bytes_per_connection.filter(|bytes| *bytes > 0.0) {
        let _ = write!(text, ", {} bytes a held connection", grouped(bytes as u64));
    }
    if let Some(peak) = server.samples.iter().map(|seen| seen.sample.resident_bytes).max() {
        let _ = write!(text, ", {:.1} MiB resident", peak as f64 / f64::from(1 << 20));
    }
    text
}

fn generator(report: &Report) -> String {
    let each = |cpu_ns: u64, count: u64| if count > 0 { cpu_ns as f64 / 1e3 / count as f64 } else { 0.0 };
    let judged = together(report);
    let costs: Vec<_> = judged
        .iter()
        .map(|cost| {
            let (count, what, digits) = match cost.stage {
                Stage::Publish | Stage::Stall | Stage::Calm => (report.counts.delivered, "delivery", 3),
                Stage::Storm => (report.reconnect.as_ref().map_or(0, |returns| returns.returned), "return", 1),
                Stage::Start => (report.quiz.as_ref().map_or(0, |quiz| quiz.started), "start", 1),
                Stage::Answer => (report.quiz.as_ref().map_or(0, |quiz| quiz.answered), "answer", 1),
                Stage::Stream => {
                    return report.chat.as_ref().map_or_else(|| lab::generator(cost), |chat| chat::generator(cost, chat));
                }
                Stage::Ask => return tasks::generator(cost, report.tasks.as_ref().unwrap_or(&TaskCounts::default())),
                Stage::SignIn | Stage::Hold | Stage::Watch | Stage::Submit | Stage::Close | Stage::Prove => {
                    (report.counts.attempted - report.reconnect.as_ref().map_or(0, |returns| returns.begun), "sign-in", 1)
                }
                Stage::Join | Stage::View | Stage::Leave => (0, "viewer", 1),
            };
            format!(
                "{:.digits$} µs CPU a {what}, busiest worker {:.0} % of a core",
                each(cost.cpu_ns(), count),
                cost.busiest() * 100.0
            )
        })
        .collect();
    let ratio = report.server.as_ref().and_then(|server| server.generator_cpu_ratio);
    costs.into_iter().chain(ratio.map(|ratio| format!("{ratio:.2} of the server's CPU"))).collect::<Vec<_>>().join("; ")
}

/// The clocks of those who joined, and how wrong a latency from one host to another can be for them.
fn clocks(hosts: &[HostFigures]) -> String {
    let one = |host: &HostFigures| {
        let sign = if host.offset_ns < 0 { '−' } else { '+' };
        format!("{} {sign}{} ± {}", host.name, time(host.offset_ns.unsigned_abs()), time(host.uncertainty_ns))
    };
    let mut told: Vec<String> = hosts.iter().take(MOST_HOSTS).map(one).collect();
    if hosts.len() > MOST_HOSTS {
        told.push(format!("{} others (see --json)", hosts.len() - MOST_HOSTS));
    }
    format!("{}; from host to host ± {}", told.join(", "), time(between_ns(hosts)))
}

/// The judged stages, those of the same kind as one: rounds of a storm, publishing to all and beside some who do not read.
fn together(report: &Report) -> Vec<StageCost> {
    let kind = |stage: Stage| if stage == Stage::Stall { Stage::Publish } else { stage };
    let mut all: Vec<StageCost> = Vec::new();
    for cost in report.generator.iter().filter(|cost| cost.judged) {
        match all.iter_mut().find(|known| kind(known.stage) == kind(cost.stage)) {
            None => all.push(cost.clone()),
            Some(known) => known.workers.iter_mut().zip(&cost.workers).for_each(|(sum, more)| {
                sum.wall_ns += more.wall_ns;
                sum.cpu_ns += more.cpu_ns;
                sum.waited_ns += more.waited_ns;
            }),
        }
    }
    all
}

fn verdict(out: &mut String, report: &Report) {
    let agreed = report.checks.iter().filter(|check| check.holds()).count();
    let required: String = report.thresholds.iter().map(|threshold| format!("; {}", threshold.told())).collect();
    row(out, "checks", &format!("{agreed} of {} agree{required}", report.checks.len()));
    let (word, colour) = match report.verdict.outcome {
        Outcome::Passed => ("PASSED", 32),
        Outcome::Failed => ("FAILED", 31),
        Outcome::NotBelieved => ("NOT TO BE BELIEVED: the generator was the bottleneck", 33),
    };
    let reasons = report.verdict.reasons.join("; ");
    let stands = if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        format!("\x1b[1;{colour}m{word}\x1b[0m")
    } else {
        word.to_owned()
    };
    let _ = if reasons.is_empty() { writeln!(out, "\n{stands}") } else { writeln!(out, "\n{stands}: {reasons}") };
}

/// A time in three digits and its unit.
pub(crate) fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..=999 => return format!("{ns} ns"),
        1_000..=999_999 => (ns as f64 / 1e3, "µs"),
        1_000_000..=999_999_999 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let digits = 2 - (value.log10().floor() as usize).min(2);
    format!("{value:.digits$} {unit}")
}

/// A number with a comma behind every third digit.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_take_the_room_that_there_is() {
        let kinds = |count: u64| (1..=count).map(|kind| (format!("closed {kind}"), kind)).collect();
        let told = |count, room| {
            let mut out = String::new();
            faults(&mut out, &BTreeMap::from([(When::Member, kinds(count))]), room);
            (out.lines().count(), out)
        };
        for (count, room, lines) in [(0, 4, 1), (3, 9, 3), (5, 9, 5), (6, 9, 6), (9, 3, 3), (2, 1, 1), (2, 0, 1), (1, 1, 1)] {
            assert_eq!(told(count, room).0, lines, "{count} {room}: {}", told(count, room).1);
        }
        assert!(told(9, 3).1.contains("28 of 7 other kinds") && told(2, 1).1.contains("3 of 2 kinds"));
    }

    #[test]
    fn numbers_and_times_are_easy_to_read() {
        assert_eq!([grouped(0), grouped(999), grouped(1_000), grouped(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        let times = [time(0), time(999), time(1_234), time(56_789), time(123_456_789), time(2_000_000_000)];
        assert_eq!(times, ["0 ns", "999 ns", "1.23 µs", "56.8 µs", "123 ms", "2.00 s"]);
    }
}
