//! `io.prometheus.client.MetricFamily`, as `metrics.proto` of prometheus/client_model has it; of its fields those that are used here.
//! Histograms are native, with the classic buckets beside them for whoever does not take those.

use super::{Family, Kind, Labels, Value};
use crate::realtime::histogram::{Distribution, SCHEMA, ZERO_THRESHOLD};
use prost::Message;

pub(super) fn write<'a>(families: impl Iterator<Item = &'a Family>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for family in families {
        MetricFamily::of(family).encode_length_delimited(&mut bytes).expect("a Vec has room for all of it");
    }
    bytes
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub(super) metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    unit: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, prost::Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Untyped = 3,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub(super) counter: Option<Number>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Number>,
    #[prost(message, optional, tag = "7")]
    pub(super) histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// `Gauge`, `Counter` and `Untyped` are alike.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Number {
    #[prost(double, optional, tag = "1")]
    pub(super) value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub(super) sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    pub(super) schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub(super) zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub(super) zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    pub(super) positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub(super) positive_delta: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub(super) cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub(super) upper_bound: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub(super) offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub(super) length: Option<u32>,
}

impl MetricFamily {
    fn of(family: &Family) -> MetricFamily {
        let (kind, suffix) = match family.kind {
            Kind::Counter => (MetricType::Counter, "_total"),
            Kind::Gauge => (MetricType::Gauge, ""),
            Kind::Unknown => (MetricType::Untyped, ""),
            Kind::Histogram { .. } => (MetricType::Histogram, ""),
        };
        MetricFamily {
            name: Some(format!("{}{suffix}", family.name)),
            help: Some(family.help.to_owned()),
            kind: Some(kind.into()),
            metric: family.samples.iter().map(|(labels, value)| Metric::of(family.kind, labels, value)).collect(),
            unit: family.unit.map(str::to_owned),
        }
    }
}

impl Metric {
    fn of(kind: Kind, labels: &Labels, value: &Value) -> Metric {
        let pair = |(name, value): &(&str, String)| LabelPair { name: Some((*name).to_owned()), value: Some(value.clone()) };
        let bare = Metric { label: labels.iter().map(pair).collect(), ..Metric::default() };
        let number = match value {
            Value::Whole(number) => *number as f64,
            Value::Real(number) => *number,
            Value::Times(times) => return Metric { histogram: Some(Histogram::of(kind, times)), ..bare },
        };
        let number = Some(Number { value: Some(number) });
        match kind {
            Kind::Counter => Metric { counter: number, ..bare },
            Kind::Gauge => Metric { gauge: number, ..bare },
            Kind::Unknown | Kind::Histogram { .. } => Metric { untyped: number, ..bare },
        }
    }
}

impl Histogram {
    fn of(kind: Kind, times: &Distribution) -> Histogram {
        let bucket = |exponent: i32| Bucket {
            cumulative_count: Some(times.within(exponent)),
            upper_bound: Some(f64::from(exponent).exp2()),
        };
        let spans = times.spans();
        let mut before = 0;
        let deltas = spans.iter().flat_map(|span| &span.counts).map(|count| {
            let count = *count as i64;
            count - std::mem::replace(&mut before, count)
        });
        Histogram {
            sample_count: Some(times.count()),
            sample_sum: Some(times.sum()),
            bucket: kind.exponents().map(bucket).collect(),
            schema: Some(SCHEMA),
            zero_threshold: Some(ZERO_THRESHOLD),
            zero_count: Some(times.zero()),
            positive_delta: deltas.collect(),
            positive_span: spans
                .iter()
                .map(|span| BucketSpan { offset: Some(span.offset), length: Some(span.counts.len() as u32) })
                .collect(),
        }
    }
}
