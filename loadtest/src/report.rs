//! One run as data. Every view of it (the summary on the terminal, JSON, pages) is drawn from this alone.

mod phases;
pub(crate) mod series;
mod slow;
pub(crate) mod spread;

use crate::{
    crew::{letters::Stage, offset::HostFigures},
    host::Environment,
    pings::PingFigures,
    require::Threshold,
    server::ServerFigures,
    tally::{
        ChatCounts, Counts, LabCounts, Latencies, Measure, QuizCounts, ReturnCounts, RollingCounts, Tally, TaskCounts, When,
    },
    usage::Usage,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) use phases::{PHASES, PhaseFigures, figures as phase_figures, part};
pub(crate) use series::SeriesFigures;
pub(crate) use slow::SlowFigures;

/// A worker that wanted a CPU for more than this share of a stage had none to spare.
pub(crate) const BUSIEST: f64 = 0.85;
/// What is said of a run that believes everybody.
pub(crate) const UNVERIFIED: &str = "NOT VERIFIED: with --insecure anybody may have answered in the server's place";
/// A generator that begins this late at p99 does not keep its schedule.
pub(crate) const LATEST_LAG_NS: u64 = 10_000_000;
/// Stages shorter than this are not judged by their CPU: start-up is most of them.
pub(crate) const SHORTEST_JUDGED_NS: u64 = 250_000_000;

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The form of this record; counted up when a reader must change.
    pub(crate) version: u32,
    /// What to make of it.
    pub(crate) verdict: Verdict,
    /// What was asked for.
    pub(crate) asked: Asked,
    /// Whether whoever answered was believed to be the server, whatever its certificate was.
    pub(crate) unverified: bool,
    /// Operations a second and what else is derived.
    pub(crate) rates: Rates,
    /// Percentiles and raw histograms.
    pub(crate) latencies: BTreeMap<Measure, LatencyFigures>,
    /// How far a figure would move if the run were taken again, by its name and in its unit (see [`spread`]).
    pub(crate) spreads: BTreeMap<String, f64>,
    /// Percentiles by phase of a day, part and measure.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) phases: PhaseFigures,
    /// What happened when.
    pub(crate) series: SeriesFigures,
    /// Counts.
    pub(crate) counts: Counts,
    /// Counts of those who drop and come back, in their scenarios.
    pub(crate) reconnect: Option<ReturnCounts>,
    /// Counts of those whose nodes restart, in their scenario.
    pub(crate) rolling: Option<RollingCounts>,
    /// What became of the messages that members of the rooms were meant to have: each for each member. They add up to `meant`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) fates: BTreeMap<&'static str, u64>,
    /// What became of members who read slowly, and of the others beside them.
    pub(crate) slow: Option<SlowFigures>,
    /// Counts of quizzes, in their scenarios.
    pub(crate) quiz: Option<QuizCounts>,
    /// Counts of labs, in their scenario.
    pub(crate) lab: Option<LabCounts>,
    /// Counts of chat, in its scenario.
    pub(crate) chat: Option<ChatCounts>,
    /// Counts of tasks, in their scenario.
    pub(crate) tasks: Option<TaskCounts>,
    /// How Pings came, where they were held.
    pub(crate) pings: Option<PingFigures>,
    /// What went wrong, by when and kind.
    pub(crate) faults: BTreeMap<When, BTreeMap<String, u64>>,
    /// What must agree, and whether it does.
    pub(crate) checks: Vec<Check>,
    /// What was required, and what was found.
    pub(crate) thresholds: Vec<Threshold>,
    /// The server, where it could be watched.
    pub(crate) server: Option<ServerFigures>,
    /// The generator itself, stage by stage and worker by worker.
    pub(crate) generator: Vec<StageCost>,
    /// Workers that joined from other hosts, and their clocks.
    pub(crate) hosts: Vec<HostFigures>,
    /// Where it ran.
    pub(crate) environment: Environment,
}

/// What to make of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Verdict {
    /// The outcome.
    pub(crate) outcome: Outcome,
    /// Why it is not `passed`, a sentence each.
    pub(crate) reasons: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Everything asked was done, and everything agrees.
    Passed,
    /// Something failed or does not agree.
    Failed,
    /// The generator was the bottleneck: the figures say nothing about the server.
    NotBelieved,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Asked {
    /// The scenario.
    pub(crate) scenario: &'static str,
    /// The WebSocket route.
    pub(crate) url: String,
    /// Sign-ins, participants, sessions or users.
    pub(crate) students: u64,
    /// Rooms, quizzes, agents or sockets of a user.
    pub(crate) classrooms: u32,
    /// Sign-ins, starts or tasks a second; none: as fast as it goes.
    pub(crate) rate: Option<f64>,
    /// Sign-ins in flight at once, all workers together.
    pub(crate) in_flight: u64,
    /// Processes.
    pub(crate) workers: u32,
    /// Source addresses; 0: the kernel's choice.
    pub(crate) sources: usize,
    /// The seed.
    pub(crate) seed: u64,
    /// A sentence on what was done with those who signed in.
    pub(crate) then: String,
}

/// What is derived from counts and times.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Rates {
    /// How long the sign-ins took, seconds.
    pub(crate) signing_in_s: f64,
    /// Sign-ins a second (churn: whole lives of a connection).
    pub(crate) sign_ins_per_s: f64,
    /// How long publishing took to the last delivery, seconds.
    pub(crate) delivering_s: f64,
    /// Publishes a second.
    pub(crate) publishes_per_s: f64,
    /// Deliveries a second.
    pub(crate) deliveries_per_s: f64,
    /// How long the starts of attempts took, seconds.
    pub(crate) starting_s: f64,
    /// Attempts begun a second.
    pub(crate) starts_per_s: f64,
    /// How long answering took, seconds.
    pub(crate) answering_s: f64,
    /// Answers accepted a second.
    pub(crate) answers_per_s: f64,
    /// How long the traffic of a lab, or the answers of chat, took, seconds.
    pub(crate) streaming_s: f64,
    /// Bytes a second that came through tunnels, both ways together.
    pub(crate) bytes_per_s: f64,
    /// Keys echoed a second.
    pub(crate) keys_per_s: f64,
    /// Words of answers heard a second.
    pub(crate) words_per_s: f64,
    /// How long tasks took, from the first moment of asking to the last end, seconds.
    pub(crate) working_s: f64,
    /// Tasks and executions that ended a second.
    pub(crate) tasks_per_s: f64,
    /// Messages about tasks heard a second.
    pub(crate) messages_per_s: f64,
}

impl Rates {
    /// From the tally's counts and spans.
    pub(crate) fn of(tally: &Tally) -> Rates {
        let (signing_in_s, delivering_s) = (tally.signing_in.length().as_secs_f64(), tally.delivering.length().as_secs_f64());
        let (starting_s, answering_s) = (tally.starting.length().as_secs_f64(), tally.answering.length().as_secs_f64());
        let streaming_s = tally.streaming.length().as_secs_f64();
        let (tasks, working_s) = (&tally.tasks, tally.working.length().as_secs_f64());
        let per = |count: u64, seconds: f64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Rates {
            signing_in_s,
            // Who comes back is no part of the time in which all come.
            sign_ins_per_s: per(tally.counts.signed_in.saturating_sub(tally.reconnect.returned), signing_in_s),
            delivering_s,
            publishes_per_s: per(tally.counts.answered, delivering_s),
            deliveries_per_s: per(tally.counts.delivered, delivering_s),
            starting_s,
            starts_per_s: per(tally.quiz.started, starting_s),
            answering_s,
            answers_per_s: per(tally.quiz.answered, answering_s),
            streaming_s,
            bytes_per_s: per(tally.lab.down_heard + tally.lab.up_heard, streaming_s),
            keys_per_s: per(tally.lab.keys_heard, streaming_s),
            words_per_s: per(tally.chat.words_heard + tally.chat.words_of_cancelled, streaming_s),
            working_s,
            tasks_per_s: per(tasks.ended(), working_s),
            messages_per_s: per(tasks.users_heard + tasks.admins_heard, working_s),
        }
    }
}

/// One histogram, told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LatencyFigures {
    /// How many values.
    pub(crate) count: u64,
    /// Nanoseconds, as are all that follow.
    pub(crate) min: u64,
    /// Mean.
    pub(crate) mean: f64,
    /// Median.
    pub(crate) p50: u64,
    /// 90 %.
    pub(crate) p90: u64,
    /// 99 %.
    pub(crate) p99: u64,
    /// 99.9 %.
    pub(crate) p999: u64,
    /// 99.99 %.
    pub(crate) p9999: u64,
    /// The greatest.
    pub(crate) max: u64,
    /// Every bucket that holds something: `[highest value, count]`. Three significant digits; merging these loses nothing.
    pub(crate) buckets: Vec<(u64, u64)>,
}

impl LatencyFigures {
    fn of(latencies: &Latencies) -> LatencyFigures {
        LatencyFigures {
            count: latencies.count(),
            min: latencies.least(),
            mean: latencies.mean(),
            p50: latencies.at(0.5),
            p90: latencies.at(0.9),
            p99: latencies.at(0.99),
            p999: latencies.at(0.999),
            p9999: latencies.at(0.9999),
            max: latencies.greatest(),
            buckets: latencies.buckets().collect(),
        }
    }

    /// Of every measure that has values.
    pub(crate) fn all(tally: &Tally) -> BTreeMap<Measure, LatencyFigures> {
        let measures = Measure::ALL.into_iter().filter(|measure| tally.measure(*measure).count() > 0);
        measures.map(|measure| (measure, LatencyFigures::of(tally.measure(measure)))).collect()
    }
}

/// Two numbers that must be equal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    /// What is compared.
    pub(crate) what: String,
    /// As it must be.
    pub(crate) expected: u64,
    /// As it was.
    pub(crate) found: u64,
}

impl Check {
    /// Compares `found` with `expected`.
    pub(crate) fn new(what: &str, expected: u64, found: u64) -> Check {
        Check { what: what.to_owned(), expected, found }
    }

    /// Whether they agree.
    pub(crate) fn holds(&self) -> bool {
        self.expected == self.found
    }
}

/// What one stage cost the generator.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StageCost {
    /// Which.
    pub(crate) stage: Stage,
    /// Whether the figures of the run come from it, so that it is judged.
    pub(crate) judged: bool,
    /// Worker by worker.
    pub(crate) workers: Vec<Usage>,
}

impl StageCost {
    /// The busiest worker's share of a core, 0 to 1.
    pub(crate) fn busiest(&self) -> f64 {
        self.workers.iter().map(Usage::busy).fold(0.0, f64::max)
    }

    /// CPU of all workers.
    pub(crate) fn cpu_ns(&self) -> u64 {
        self.workers.iter().map(|usage| usage.cpu_ns).sum()
    }

    fn long_enough(&self) -> bool {
        self.workers.iter().any(|usage| usage.wall_ns >= SHORTEST_JUDGED_NS)
    }
}

impl Verdict {
    /// Judges a run. A generator that was the bottleneck outweighs all else: such figures are not even failures of the server.
    pub(crate) fn of(tally: &Tally, checks: &[Check], generator: &[StageCost]) -> Verdict {
        let doubts = doubts(tally, generator);
        if !doubts.is_empty() {
            return Verdict { outcome: Outcome::NotBelieved, reasons: doubts };
        }
        let faults: u64 = tally.faults.values().flat_map(BTreeMap::values).sum();
        let mut reasons: Vec<String> = (faults > 0).then(|| format!("{faults} faults")).into_iter().collect();
        reasons.extend(
            checks
                .iter()
                .filter(|check| !check.holds())
                .map(|check| format!("{}: {} instead of {}", check.what, check.found, check.expected)),
        );
        let outcome = if reasons.is_empty() { Outcome::Passed } else { Outcome::Failed };
        Verdict { outcome, reasons }
    }

    /// There are other reasons not to believe the figures; none is nothing.
    pub(crate) fn doubt(&mut self, doubts: Vec<String>) {
        if doubts.is_empty() {
            return;
        }
        if self.outcome != Outcome::NotBelieved {
            *self = Verdict { outcome: Outcome::NotBelieved, reasons: Vec::new() };
        }
        self.reasons.extend(doubts);
    }
}

impl Verdict {
    /// Judges by what was required, too. A run that is not believed stays that.
    pub(crate) fn hold(&mut self, thresholds: &[Threshold]) {
        if self.outcome == Outcome::NotBelieved || thresholds.iter().all(|threshold| threshold.met) {
            return;
        }
        self.outcome = Outcome::Failed;
        self.reasons.extend(thresholds.iter().filter(|threshold| !threshold.met).map(Threshold::told));
    }
}

/// Reasons to believe that the generator, not the server, set the figures.
fn doubts(tally: &Tally, generator: &[StageCost]) -> Vec<String> {
    let busy = generator.iter().filter(|cost| cost.judged && cost.long_enough() && cost.busiest() > BUSIEST);
    let mut doubts: Vec<String> = busy
        .map(|cost| {
            let worst = cost.workers.iter().max_by(|a, b| a.busy().total_cmp(&b.busy())).copied().unwrap_or_default();
            let share = |ns: u64| ns as f64 / worst.wall_ns.max(1) as f64 * 100.0;
            format!(
                "a worker wanted {:.0} % of a core in {:?} ({:.0} % had, {:.0} % waited for)",
                worst.busy() * 100.0,
                cost.stage,
                share(worst.cpu_ns),
                share(worst.waited_ns)
            )
        })
        .collect();
    let lag_ns = tally.measure(Measure::Lag).at(0.99);
    if lag_ns > LATEST_LAG_NS {
        doubts.push(format!("the generator began {:.1} ms late at p99", lag_ns as f64 / 1e6));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(cpu_ms: u64, waited_ms: u64) -> Vec<StageCost> {
        let usage = Usage { wall_ns: 1_000_000_000, cpu_ns: cpu_ms * 1_000_000, waited_ns: waited_ms * 1_000_000 };
        vec![StageCost { stage: Stage::SignIn, judged: true, workers: vec![usage] }]
    }

    #[test]
    fn a_generator_without_cpu_to_spare_is_not_believed() {
        let outcome = |cost: &[StageCost]| Verdict::of(&Tally::default(), &[], cost).outcome;
        assert_eq!(outcome(&cost(500, 100)), Outcome::Passed);
        assert_eq!(outcome(&cost(900, 0)), Outcome::NotBelieved);
        assert_eq!(outcome(&cost(300, 600)), Outcome::NotBelieved);
        assert_eq!(outcome(&[StageCost { judged: false, ..cost(900, 0).remove(0) }]), Outcome::Passed);
    }

    #[test]
    fn a_doubt_outweighs_a_failure() {
        let mut verdict = Verdict::of(&Tally::default(), &[Check::new("told", 2, 1)], &[]);
        verdict.doubt(Vec::new());
        assert_eq!(verdict.outcome, Outcome::Failed);
        verdict.doubt(vec!["a worker was busy".to_owned()]);
        assert_eq!((verdict.outcome, verdict.reasons), (Outcome::NotBelieved, vec!["a worker was busy".to_owned()]));
    }

    #[test]
    fn a_late_generator_is_not_believed() {
        let mut tally = Tally::default();
        (0..1_000).for_each(|_| tally.record(Measure::Lag, 20_000_000));
        assert_eq!(Verdict::of(&tally, &[], &cost(100, 0)).outcome, Outcome::NotBelieved);
    }

    #[test]
    fn faults_and_counts_that_do_not_agree_fail_a_run() {
        let mut tally = Tally::default();
        assert_eq!(Verdict::of(&tally, &[Check::new("held", 5, 5)], &[]).outcome, Outcome::Passed);
        assert_eq!(Verdict::of(&tally, &[Check::new("held", 5, 4)], &[]).reasons, ["held: 4 instead of 5"]);
        tally.blame(When::Member, &"replaced");
        assert_eq!(Verdict::of(&tally, &[], &[]).outcome, Outcome::Failed);
    }
}
