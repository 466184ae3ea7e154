//! What is written, in each form.

use super::{protobuf::MetricFamily, *};
use crate::realtime::Histogram;
use prost::Message;
use std::time::Duration;

fn times(micros: &[u64]) -> Distribution {
    let histogram = Histogram::default();
    micros.iter().for_each(|micros| histogram.record(Duration::from_micros(*micros)));
    histogram.read()
}

fn families() -> Vec<Family> {
    let label = |value: &str| vec![("of", value.to_owned())];
    let kind = Kind::Histogram { from: -2, to: 2, step: 2 };
    let samples = vec![(label("a"), times(&[0, 250_000, 1_000_001, 3_600_000_000]).into())];
    vec![
        Family { name: "a", help: "A \\ and\nmore", kind: Kind::Counter, unit: None, samples: vec![(label("\"\\\n"), 7.into())] },
        Family { name: "b_seconds", help: "B", kind: Kind::Gauge, unit: Some("seconds"), samples: vec![(vec![], 1.25.into())] },
        Family { name: "none", help: "Nothing", kind: Kind::Gauge, unit: None, samples: vec![] },
        Family { name: "c", help: "C", kind: Kind::Unknown, unit: None, samples: vec![(vec![], 9.into())] },
        Family { name: "d_seconds", help: "D", kind, unit: Some("seconds"), samples },
    ]
}

const HISTOGRAM: &str = r#"d_seconds_bucket{of="a",le="0.25"} 2
d_seconds_bucket{of="a",le="1.0"} 2
d_seconds_bucket{of="a",le="4.0"} 3
d_seconds_bucket{of="a",le="+Inf"} 4
d_seconds_sum{of="a"} 3601.250001
d_seconds_count{of="a"} 4
"#;

#[test]
fn open_metrics_names_families_without_total_and_ends() {
    let expected = r#"# HELP a A \\ and\nmore
# TYPE a counter
a_total{of="\"\\\n"} 7
# HELP b_seconds B
# TYPE b_seconds gauge
# UNIT b_seconds seconds
b_seconds 1.25
# HELP c C
# TYPE c unknown
c 9
# HELP d_seconds D
# TYPE d_seconds histogram
# UNIT d_seconds seconds
"#;
    assert_eq!(String::from_utf8(Form::OpenMetrics.write(&families())).unwrap(), format!("{expected}{HISTOGRAM}# EOF\n"));
}

#[test]
fn the_older_text_names_families_as_their_samples() {
    let expected = r#"# HELP a_total A \\ and\nmore
# TYPE a_total counter
a_total{of="\"\\\n"} 7
# HELP b_seconds B
# TYPE b_seconds gauge
b_seconds 1.25
# HELP c C
# TYPE c untyped
c 9
# HELP d_seconds D
# TYPE d_seconds histogram
"#;
    assert_eq!(String::from_utf8(Form::Text.write(&families())).unwrap(), format!("{expected}{HISTOGRAM}"));
}

fn read(mut bytes: &[u8]) -> Vec<MetricFamily> {
    std::iter::from_fn(|| (!bytes.is_empty()).then(|| MetricFamily::decode_length_delimited(&mut bytes).unwrap())).collect()
}

#[test]
fn protocol_buffers_have_native_histograms_beside_the_classic_buckets() {
    let read = read(&Form::Protobuf.write(&families()));
    assert_eq!(
        read.iter().map(|family| family.name.as_deref().unwrap()).collect::<Vec<_>>(),
        ["a_total", "b_seconds", "c", "d_seconds"]
    );
    assert_eq!(read[0].metric[0].counter.as_ref().unwrap().value, Some(7.0));
    let histogram = read[3].metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.schema, histogram.zero_count, histogram.sample_count), (Some(3), Some(1), Some(4)));
    let spans: Vec<_> = histogram.positive_span.iter().map(|span| (span.offset.unwrap(), span.length.unwrap())).collect();
    // 2^-2, just above 2^0, and 3,600 s: above 2^(94/8), not above 2^(95/8).
    assert_eq!(spans, [(-16, 1), (16, 1), (93, 1)]);
    assert_eq!(histogram.positive_delta, [1, 0, 0]);
    let classic: Vec<_> = histogram.bucket.iter().map(|one| (one.upper_bound.unwrap(), one.cumulative_count.unwrap())).collect();
    assert_eq!(classic, [(0.25, 2), (1.0, 2), (4.0, 3)]);
}

/// By hand, from the numbers of `metrics.proto`: a wrong tag would be read back as it was written.
#[test]
fn the_bytes_of_a_histogram_are_those_of_the_schema() {
    let kind = Kind::Histogram { from: 0, to: 0, step: 1 };
    let samples = vec![(vec![], times(&[1_000_000, 1_000_000]).into())];
    let family = Family { name: "h", help: "", kind, unit: None, samples };
    let double = |number: f64| number.to_le_bytes().to_vec();
    let bucket = [&[0x08, 2, 0x11][..], &double(1.0)].concat();
    let histogram = [
        &[0x08, 2, 0x11][..],
        &double(2.0),
        &[0x1a, bucket.len() as u8],
        &bucket,
        &[0x28, 6, 0x31],
        &double(ZERO),
        &[0x38, 0],
        &[0x62, 4, 0x08, 0, 0x10, 1],
        &[0x68, 4],
    ]
    .concat();
    let metric = [&[0x3a, histogram.len() as u8][..], &histogram].concat();
    let message = [&[0x0a, 1, b'h', 0x12, 0, 0x18, 4, 0x22, metric.len() as u8][..], &metric].concat();
    assert_eq!(Form::Protobuf.write(&[family]), [&[message.len() as u8][..], &message].concat());
}

const ZERO: f64 = crate::realtime::histogram::ZERO_THRESHOLD;
