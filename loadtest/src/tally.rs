//! What a worker counts and measures, and how the counts of several become one without loss.

use hdrhistogram::Histogram;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeSeq};
use std::{collections::BTreeMap, time::Duration};

/// What is measured, each in its own histogram.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// From the intended moment to `connect_success`.
    SignIn,
    /// From `connect()` until the socket is writable.
    Connect,
    /// From the upgrade request to its complete answer.
    Upgrade,
    /// From the `connect_request` to `connect_success`.
    Admission,
    /// From our Close frame until the server ended the connection.
    Close,
    /// From a publish's intended moment to the answer of the internal route.
    Publish,
    /// From a publish's intended moment until one member has it.
    Delivery,
    /// How much later than intended the generator began an operation, where nothing but itself held it up.
    Lag,
}

impl Measure {
    /// All, in the order in which they are told.
    pub(crate) const ALL: [Measure; 8] = {
        use Measure::{Admission, Close, Connect, Delivery, Lag, Publish, SignIn, Upgrade};
        [SignIn, Connect, Upgrade, Admission, Close, Publish, Delivery, Lag]
    };
}

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
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Plain counts. Merged by addition.
        #[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        pub(crate) struct Counts { $($(#[$doc])* pub(crate) $name: u64,)* }

        impl Counts {
            /// Adds another's.
            pub(crate) fn add(&mut self, other: &Counts) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counts! {
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
    measures: [Latencies; Measure::ALL.len()],
    /// Counts.
    pub(crate) counts: Counts,
    /// What went wrong, by kind.
    pub(crate) faults: BTreeMap<When, BTreeMap<String, u64>>,
    /// From the start of the sign-ins to the last `connect_success` (churn: to the last end of a connection).
    pub(crate) signing_in: Span,
    /// From the first moment of publishing to the last delivery.
    pub(crate) delivering: Span,
}

impl Tally {
    /// Records one duration.
    pub(crate) fn record(&mut self, measure: Measure, ns: u64) {
        self.measures[measure as usize].record(ns);
    }

    /// The histogram of a measure.
    pub(crate) fn measure(&self, measure: Measure) -> &Latencies {
        &self.measures[measure as usize]
    }

    /// Counts one fault.
    pub(crate) fn blame(&mut self, when: When, fault: &impl ToString) {
        *self.faults.entry(when).or_default().entry(fault.to_string()).or_default() += 1;
    }

    /// Adds another's.
    pub(crate) fn merge(&mut self, other: &Tally) {
        for (mine, theirs) in self.measures.iter_mut().zip(&other.measures) {
            mine.merge(theirs);
        }
        self.counts.add(&other.counts);
        for (when, faults) in &other.faults {
            let mine = self.faults.entry(*when).or_default();
            for (fault, count) in faults {
                *mine.entry(fault.clone()).or_default() += count;
            }
        }
        self.signing_in.merge(other.signing_in);
        self.delivering.merge(other.delivering);
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
