//! Metrics as they leave the process: families of samples, in the text format of Prometheus, in that of OpenMetrics, or as its protocol
//! buffers, which alone carry native histograms (<https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/native_histograms/>).
//!
//! The crate `prometheus-client` writes OpenMetrics alone, with histograms that are classic.

mod accept;
mod protobuf;
mod text;

use crate::realtime::Distribution;

/// What a family's samples are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows, until the process ends. Its samples are called `…_total`, the family is not.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Whoever named it did not say.
    Unknown,
    /// Times in seconds. Classic buckets end at these powers of two of a second, each `step` behind the last.
    Histogram {
        /// Of the first bucket.
        from: i32,
        /// Of the last one before that without an end, or above.
        to: i32,
        /// Between two.
        step: u8,
    },
}

impl Kind {
    /// The powers of two that are the classic buckets' bounds, in seconds; none of other kinds.
    pub fn exponents(self) -> impl Iterator<Item = i32> {
        let (from, to, step) = match self {
            Kind::Histogram { from, to, step } => (from, to, step),
            Kind::Counter | Kind::Gauge | Kind::Unknown => (1, 0, 1),
        };
        (from..=to).step_by(step.into())
    }
}

/// One number, or many times.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A number of things.
    Whole(u64),
    /// A measure.
    Real(f64),
    /// Of a histogram.
    Times(Distribution),
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Whole(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Real(number)
    }
}

impl From<Distribution> for Value {
    fn from(times: Distribution) -> Value {
        Value::Times(times)
    }
}

/// Names and what they are here.
pub type Labels = Vec<(&'static str, String)>;

/// One metric: its samples, each with its labels.
#[derive(Clone, PartialEq, Debug)]
pub struct Family {
    /// With its unit, where it has one; without `_total`.
    pub name: &'static str,
    /// One line. No full stop.
    pub help: &'static str,
    /// What the samples are.
    pub kind: Kind,
    /// The unit at the end of the name.
    pub unit: Option<&'static str>,
    /// All of them, no labels twice.
    pub samples: Vec<(Labels, Value)>,
}

/// How metrics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The text format of Prometheus, 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Protocol buffers, each family behind its length.
    Protobuf,
}

impl Form {
    /// The form that `Accept` asks for. OpenMetrics where it leaves the choice, or can have none of them.
    pub fn asked<'a>(accept: impl IntoIterator<Item = &'a str>) -> Form {
        accept::best(accept)
    }

    /// `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Text => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Form::Protobuf => "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        }
    }

    /// All of them that have samples.
    pub fn write(self, families: &[Family]) -> Vec<u8> {
        let told = families.iter().filter(|family| !family.samples.is_empty());
        match self {
            Form::Text => text::write(told, false).into_bytes(),
            Form::OpenMetrics => text::write(told, true).into_bytes(),
            Form::Protobuf => protobuf::write(told),
        }
    }
}

#[cfg(test)]
mod tests;
