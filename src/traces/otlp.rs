//! Spans as OTLP has them: `ExportTraceServiceRequest` of opentelemetry-proto 1, of its fields those that are used here. The numbers of
//! fields are fixed for good; what other programs read of it, `tests/conformance/test_traces.py` holds by the published package.

use super::{Span, Value};
use crate::realtime::UnixMicros;
use prost::{Message, Oneof};

/// Who tells, the same for all spans of a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// `service.name`.
    pub service: String,
    /// `service.instance.id`: another with every start.
    pub instance: String,
}

/// The body of a request with these spans.
pub fn request(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let texts = [
        ("service.name", resource.service.as_str()),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", &resource.instance),
    ];
    let attributes = texts.into_iter().map(|(key, text)| KeyValue::of(key, &Value::configured(text))).collect();
    let scope = Scope { name: "homeroom".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let spans = ScopeSpans { scope: Some(scope), spans: spans.iter().map(WireSpan::of).collect() };
    let all = ResourceSpans { resource: Some(WireResource { attributes }), scope_spans: vec![spans] };
    Request { resource_spans: vec![all] }.encode_to_vec()
}

/// How many of the spans the collector did not take, by the body of its answer.
pub fn rejected(answer: &[u8]) -> u64 {
    let read = Answer::decode(answer).ok().and_then(|answer| answer.partial_success);
    read.map_or(0, |partial| u64::try_from(partial.rejected_spans).unwrap_or(0))
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<WireResource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct WireResource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<WireSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct WireSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    events: Vec<WireEvent>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct WireEvent {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "AnyOf", tags = "1, 3, 4")]
    value: Option<AnyOf>,
}

#[derive(Clone, PartialEq, Oneof)]
enum AnyOf {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Real(f64),
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_spans: i64,
}

/// `STATUS_CODE_ERROR`. What has not failed has no status.
const FAILED: i32 = 2;
/// Of `SpanFlags`: whether the parent is remote is known, and whether it is.
const REMOTE_IS_KNOWN: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

impl WireSpan {
    fn of(span: &Span) -> WireSpan {
        let is_remote = span.parent.is_some_and(|parent| parent.is_remote);
        WireSpan {
            trace_id: span.context.trace.to_be_bytes().into(),
            span_id: span.context.span.to_be_bytes().into(),
            parent_span_id: span.parent.map(|parent| parent.span.to_be_bytes().into()).unwrap_or_default(),
            name: span.name.clone().into_owned(),
            kind: span.kind as i32,
            start_time_unix_nano: nanos(span.began),
            end_time_unix_nano: nanos(span.ended),
            attributes: span.attributes.iter().map(|(key, value)| KeyValue::of(key, value)).collect(),
            events: span
                .events
                .iter()
                .map(|event| WireEvent { time_unix_nano: nanos(event.at), name: event.name.to_owned() })
                .collect(),
            status: span.has_failed.then_some(Status { code: FAILED }),
            flags: u32::from(span.context.is_sampled) | REMOTE_IS_KNOWN | if is_remote { IS_REMOTE } else { 0 },
        }
    }
}

impl KeyValue {
    fn of(key: &str, value: &Value) -> KeyValue {
        let value = match value {
            Value::Text(text) => AnyOf::Text(text.clone().into_owned()),
            Value::Whole(number) => AnyOf::Whole(*number),
            Value::Real(number) => AnyOf::Real(*number),
        };
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
    }
}

fn nanos(at: UnixMicros) -> u64 {
    u64::try_from(at.0).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Context, Kind, span::Parent},
        *,
    };

    #[test]
    fn a_span_lies_there_as_it_should() {
        let context = Context { trace: 0x0102, span: 0x0304, is_sampled: true };
        let parent = Some(Parent { span: 5, is_remote: true });
        let mut span = Span::begin(context, parent, "GET /x", Kind::Server, UnixMicros(10));
        span.set("n", 7_u64);
        span.event("e", UnixMicros(11));
        span.fail("500");
        span.end(UnixMicros(9));
        let resource = Resource { service: "s".to_owned(), instance: "i".to_owned() };
        let bytes = request(&resource, &[span]);
        let read = Request::decode(&*bytes).unwrap();
        let wire = &read.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!((wire.trace_id.len(), &wire.trace_id[14..]), (16, &[1, 2][..]));
        assert_eq!((wire.span_id.len(), &wire.span_id[6..]), (8, &[3, 4][..]));
        assert_eq!((wire.parent_span_id.last(), wire.flags), (Some(&5), 0x301));
        assert_eq!((wire.start_time_unix_nano, wire.end_time_unix_nano), (10_000, 10_000), "no time backwards");
        assert_eq!((wire.kind, wire.status.as_ref().map(|status| status.code)), (2, Some(2)));
        assert_eq!(wire.attributes.len(), 2);
        assert_eq!(read.resource_spans[0].resource.as_ref().map(|resource| resource.attributes.len()), Some(3));
        // The first bytes by hand: field 1, length-delimited, holding field 1 of the resource spans.
        assert_eq!((bytes[0], usize::from(bytes[1] & 0x7f) | usize::from(bytes[2]) << 7), (0x0a, bytes.len() - 3));
    }

    #[test]
    fn what_a_collector_did_not_take_is_read() {
        for (answer, expected) in [(&b""[..], 0), (b"\x0a\x02\x08\x07", 7), (b"\x0a\x00", 0), (b"<html>", 0)] {
            assert_eq!(rejected(answer), expected, "{answer:?}");
        }
    }
}
