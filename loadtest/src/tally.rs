//! What a worker counts and measures, and how the counts of several become one without loss.

mod measure;
mod phases;
mod series;

pub(crate) use measure::Measure;
pub(crate) use phases::Phases;
pub(crate) use series::{Buckets, Series, Slice};

use crate::chat::order::Name;
use hdrhistogram::Histogram;
use measure::Measures;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeSeq};
use std::{collections::BTreeMap, time::Duration};

/// Nanoseconds from 1 to one hour at three significant digits. What is longer counts as one hour.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

const LONGEST: Duration = Duration::from_secs(3600);
const DIGITS: u8 = 3;

impl Default for Latencies {
    fn default() -> Self {
        let longest_ns = LONGEST.as_nanos() as u64;
        Latencies(Histogram::new_with_bounds(1, longest_ns, DIGITS).expect("the bounds are constants in range"))
    }
}

impl Latencies {
    /// Counts one value.
    pub(crate) fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Adds all values of another, bucket by bucket: nothing is lost.
    pub(crate) fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many values.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value in nanoseconds that the share `quantile` (0 to 1) of all values does not exceed; 0 when there are none.
    pub(crate) fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// The smallest value in nanoseconds.
    pub(crate) fn least(&self) -> u64 {
        self.0.min()
    }

    /// The greatest value in nanoseconds.
    pub(crate) fn greatest(&self) -> u64 {
        self.0.max()
    }

    /// The mean in nanoseconds.
    pub(crate) fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// Every bucket that holds something: its highest value and its count.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for bucket in self.buckets() {
            seq.serialize_element(&bucket)?;
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut latencies = Latencies::default();
        for (value, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            latencies.0.saturating_record_n(value, count);
        }
        Ok(latencies)
    }
}

macro_rules! counts {
    ($of:ident: $($(#[$doc:meta])* $name:ident,)*) => {
        /// Plain counts. Merged by addition.
        #[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        pub(crate) struct $of { $($(#[$doc])* pub(crate) $name: u64,)* }

        impl $of {
            /// Adds another's.
            pub(crate) fn add(&mut self, other: &$of) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

mod chat;
mod lab;
mod reconnect;
mod rolling;
mod slow;
mod tasks;
pub(crate) use chat::ChatCounts;
pub(crate) use lab::LabCounts;
pub(crate) use reconnect::ReturnCounts;
pub(crate) use rolling::RollingCounts;
pub(crate) use slow::SlowCounts;
pub(crate) use tasks::TaskCounts;

counts! { Counts:
    /// Sign-ins begun.
    attempted,
    /// `connect_success` heard, once for each connection.
    signed_in,
    /// Members whose connection ended before we closed it.
    lost,
    /// Connections that we closed and that the server ended properly.
    closed,
    /// `connect_success` heard a second time.
    doubled,
    /// Events heard before `connect_success`.
    early,
    /// Sign-ins that waited because as many as allowed were in flight.
    held_back,
    /// Pings answered.
    pings,
    /// "entered" events.
    entered,
    /// "left" events.
    left,
    /// Coalesced "changed" events.
    changed,
    /// Other events and texts.
    other,
    /// Publishes sent.
    published,
    /// Publishes answered with 200.
    answered,
    /// Members that the answers of all publishes named.
    owed,
    /// Members that the rooms of all answered publishes have when everybody is in.
    meant,
    /// Ticks heard.
    delivered,
    /// Ticks whose sequence number was not above the one before on that connection.
    disordered,
    /// Publishes that some member of this worker had not heard within the time-out.
    overdue,
    /// Where members come and go: messages that one who was in did not hear, those that one heard again, and those that one heard who
    /// was away when they were published.
    undelivered,
    twice,
    stale,
    /// Bytes read from WebSockets.
    bytes_read,
}

counts! { QuizCounts:
    /// Owners' screens that were subscribed to all they asked for.
    watching,
    /// Attempts asked for, and begun.
    starts_asked,
    started,
    /// Participants' sockets that heard to what they are subscribed.
    listening,
    /// Answers sent, and accepted.
    answers_asked,
    answered,
    /// Submits sent, and answered.
    submits_asked,
    submitted,
    /// `attempt_quiz` heard by screens, and how many must be.
    begins_heard,
    begins_owed,
    /// `attempt_update` heard by screens, and how many must be.
    updates_heard,
    updates_owed,
    /// `attempt_finished` heard by screens, and how many must be.
    ends_heard,
    ends_owed,
    /// `attempt_closed` heard by participants, and how many must be.
    closes_heard,
    closes_owed,
    /// Accepted answers of which a screen did not hear, for each screen.
    unheard,
    /// Accepted answers of which a screen heard again, for each time.
    doubled,
    /// What a screen heard of an attempt out of its order.
    disordered,
    /// What was heard and is not what a participant did.
    untrue,
    /// Snapshots heard.
    snapshots,
    /// Snapshots beyond five a second and channel.
    hurried,
    /// Leaderboards compared with what the participants did, and what is wrong in them.
    boards,
    board_faults,
    /// Results compared with what the participants did, and what is wrong in them.
    results,
    result_faults,
    /// Answers of the sample compared with what the participants did, and what is wrong in them.
    details,
    detail_faults,
    /// Sockets that ended before they should.
    lost,
    /// Sockets that ended as they should.
    closed,
    /// Pings answered.
    pings,
    /// Lines of participants that were opened again after a pause.
    redialled,
    /// Answers that waited because the one before was under way.
    held_back,
    /// Bytes read from WebSockets.
    bytes_read,
}

/// When something went wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    /// Before `connect_success`.
    SignIn,
    /// Between `connect_success` and our Close.
    Member,
    /// After our Close.
    Closing,
    /// On the internal listener.
    Publishing,
    /// An owner's screen.
    Watching,
    /// A participant begins.
    Starting,
    /// A participant answers.
    Answering,
    /// A participant submits.
    Submitting,
    /// A participant's socket.
    Listening,
    /// The records are read back.
    Proving,
    /// An agent.
    Serving,
    /// A viewer.
    Viewing,
    /// One who talks to an agent.
    Talking,
    /// A user asks for a task, or cancels it.
    Asking,
    /// Tasks are done.
    Working,
    /// A user looks at tasks by REST.
    Looking,
}

/// A span of time, nanoseconds of CLOCK_MONOTONIC. Merged by taking both ends as far out as they go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Span(Option<(u64, u64)>);

impl Span {
    /// Widens the span to hold this moment.
    pub(crate) fn hold(&mut self, at_ns: u64) {
        let (from, to) = self.0.unwrap_or((at_ns, at_ns));
        self.0 = Some((from.min(at_ns), to.max(at_ns)));
    }

    /// Widens the span to hold another.
    pub(crate) fn merge(&mut self, other: Span) {
        if let Some((from, to)) = other.0 {
            self.hold(from);
            self.hold(to);
        }
    }

    /// Its length; zero when it holds nothing.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_nanos(self.0.map_or(0, |(from, to)| to - from))
    }
}

/// All that a worker found out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    measures: Measures,
    /// What happened when.
    pub(crate) series: Series,
    /// What was measured in each phase of a day.
    pub(crate) phases: Phases,
    /// Counts of classrooms.
    pub(crate) counts: Counts,
    /// Counts of those who drop and come back.
    pub(crate) reconnect: ReturnCounts,
    /// Counts of those whose nodes restart.
    pub(crate) rolling: RollingCounts,
    /// Counts of those who read slowly.
    pub(crate) slow: SlowCounts,
    /// How slow members were ended, by kind.
    pub(crate) slow_ends: BTreeMap<String, u64>,
    /// Counts of quizzes.
    pub(crate) quiz: QuizCounts,
    /// Counts of labs.
    pub(crate) lab: LabCounts,
    /// Counts of chat.
    pub(crate) chat: ChatCounts,
    /// When answers were cancelled, and when the model's requests for answers were gone: nanoseconds of CLOCK_MONOTONIC.
    pub(crate) cancelled: Vec<(Name, u64)>,
    pub(crate) gone: Vec<(Name, u64)>,
    /// Counts of tasks.
    pub(crate) tasks: TaskCounts,
    /// When the Pings of a hold came to participants' sockets: nanoseconds of CLOCK_REALTIME, by the kernel of
    /// their host; of the run's clock when the worker has finished.
    pub(crate) pinged_at_ns: Vec<u64>,
    /// What went wrong, by kind.
    pub(crate) faults: BTreeMap<When, BTreeMap<String, u64>>,
    /// From the start of the sign-ins to the last `connect_success` (churn: to the last end of a connection).
    pub(crate) signing_in: Span,
    /// From the first moment of publishing to the last delivery.
    pub(crate) delivering: Span,
    /// From the first moment of answering to the last accepted answer.
    pub(crate) answering: Span,
    /// From the first moment of starting to the last attempt begun.
    pub(crate) starting: Span,
    /// From the first moment of a lab's traffic to the last byte of it.
    pub(crate) streaming: Span,
    /// From the first moment of asking for tasks to the end of the last one.
    pub(crate) working: Span,
}

impl Tally {
    /// Records one duration.
    pub(crate) fn record(&mut self, measure: Measure, ns: u64) {
        self.measures.record(measure, ns);
        self.phases.record(measure, ns);
    }

    /// Records one duration whose end, at `at_ns` of CLOCK_MONOTONIC, is found out only now.
    pub(crate) fn record_past(&mut self, measure: Measure, ns: u64, at_ns: u64) {
        self.phases.record_from(measure, ns, at_ns.saturating_sub(ns));
        if self.series.place(at_ns, measure, ns) {
            self.measures.record_past(measure, ns);
        } else {
            self.measures.record(measure, ns);
        }
    }

    /// Puts the open slice of time away and returns it, with what was measured in it; `is_last`: the run ends in the middle of it.
    pub(crate) fn put_slice(&mut self, now_ns: u64, mut slice: Slice, is_last: bool) -> Slice {
        slice.measures = self.measures.take_fresh();
        self.series.put(now_ns, &slice, is_last);
        slice
    }

    /// The histogram of a measure.
    pub(crate) fn measure(&self, measure: Measure) -> &Latencies {
        self.measures.of(measure)
    }

    /// Counts one fault.
    pub(crate) fn blame(&mut self, when: When, fault: &impl ToString) {
        *self.faults.entry(when).or_default().entry(fault.to_string()).or_default() += 1;
    }

    /// Measures how long after its cancel each request was gone: one worker knows the one, another the other.
    pub(crate) fn match_cancels(&mut self) {
        let gone: BTreeMap<Name, u64> = self.gone.iter().copied().collect();
        for (name, at_ns) in std::mem::take(&mut self.cancelled) {
            if let Some(gone_ns) = gone.get(&name) {
                self.record(Measure::CancelGone, gone_ns.saturating_sub(at_ns));
            }
        }
    }

    /// Adds another's.
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.measures.merge(&other.measures);
        self.series.merge(&other.series);
        self.phases.merge(&other.phases);
        self.counts.add(&other.counts);
        self.reconnect.add(&other.reconnect);
        self.rolling.add(&other.rolling);
        self.slow.add(&other.slow);
        for (end, count) in &other.slow_ends {
            *self.slow_ends.entry(end.clone()).or_default() += count;
        }
        self.quiz.add(&other.quiz);
        self.lab.add(&other.lab);
        self.chat.add(&other.chat);
        self.cancelled.extend_from_slice(&other.cancelled);
        self.gone.extend_from_slice(&other.gone);
        self.tasks.add(&other.tasks);
        self.pinged_at_ns.extend_from_slice(&other.pinged_at_ns);
        for (when, faults) in &other.faults {
            let mine = self.faults.entry(*when).or_default();
            for (fault, count) in faults {
                *mine.entry(fault.clone()).or_default() += count;
            }
        }
        self.signing_in.merge(other.signing_in);
        self.delivering.merge(other.delivering);
        self.answering.merge(other.answering);
        self.starting.merge(other.starting);
        self.streaming.merge(other.streaming);
        self.working.merge(other.working);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: impl Iterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        values.for_each(|ns| latencies.record(ns));
        latencies
    }

    #[test]
    fn histograms_survive_the_wire_and_merge_without_loss() {
        let all = sample((1..20_000).map(|i| i * 1_733));
        let mut merged = Latencies::default();
        for part in 0..3 {
            let share = sample((1..20_000).filter(|i| i % 3 == part).map(|i| i * 1_733));
            let wire = serde_json::to_string(&share).unwrap();
            merged.merge(&serde_json::from_str(&wire).unwrap());
        }
        assert_eq!(merged.buckets().collect::<Vec<_>>(), all.buckets().collect::<Vec<_>>());
        assert_eq!((merged.at(0.999), merged.count()), (all.at(0.999), all.count()));
    }

    #[test]
    fn percentiles_are_those_of_the_values_within_a_thousandth() {
        let latencies = sample(1..=100_000);
        for (quantile, exact) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0), (0.999, 99_900.0)] {
            let found = latencies.at(quantile) as f64;
            assert!((found / exact - 1.0).abs() < 0.001, "{quantile}: {found} is not {exact}");
        }
    }

    #[test]
    fn tallies_add_up() {
        let mut one = Tally::default();
        one.counts.signed_in = 2;
        one.blame(When::SignIn, &"reset");
        one.signing_in.hold(10);
        let mut two = one.clone();
        two.signing_in.hold(25);
        one.merge(&two);
        assert_eq!(one.counts.signed_in, 4);
        assert_eq!(one.faults[&When::SignIn]["reset"], 2);
        assert_eq!(one.signing_in.length(), Duration::from_nanos(15));
    }
}
