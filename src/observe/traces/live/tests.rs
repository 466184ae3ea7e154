//! Spans as they happen. The process's own are on for all tests of this binary from the first of these on; ids tell whose is whose.

use super::*;
use futures_lite::future::block_on;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const QUIET: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn on() -> Arc<Traces> {
    start(Sampler::new(1.0), 77)
}

fn headers(lines: &[&str]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in lines {
        map.append(TRACEPARENT, line.parse().unwrap());
    }
    map
}

fn attribute<'a>(open: &'a Open, key: &str) -> Option<&'a Value> {
    open.span.as_ref()?.attributes.iter().find(|(own, _)| *own == key).map(|(_, value)| value)
}

#[test]
fn a_request_goes_on_in_the_trace_that_it_names() {
    on();
    let open = request(&Method::GET, Some("/api/v1/{id}"), &headers(&[PARENT]));
    let context = open.context().unwrap();
    assert_eq!((context.trace >> 96, context.is_sampled), (0x4bf9_2f35, true));
    let span = open.span.as_ref().unwrap();
    assert_eq!((&*span.name, span.kind), ("GET /api/v1/{id}", Kind::Server));
    assert_eq!(span.parent, Some(Parent { span: 0x00f0_67aa_0ba9_02b7, is_remote: true }));
    for lines in [&[][..], &["rubbish"], &[PARENT, PARENT]] {
        let open = request(&Method::GET, None, &headers(lines));
        assert_eq!(open.span.as_ref().map(|span| span.parent), Some(None), "{lines:?}");
        assert_ne!(open.context().map(|context| context.trace >> 96), Some(0x4bf9_2f35));
    }
    let quiet = request(&Method::GET, None, &headers(&[QUIET]));
    assert!(quiet.span.is_none() && quiet.header().is_some_and(|(_, value)| value.ends_with("-00")), "it is passed on");
}

#[test]
fn nothing_that_a_client_says_is_kept() {
    on();
    let odd = request(&Method::from_bytes(b"SECRET").unwrap(), None, &headers(&[]));
    assert_eq!(odd.span.as_ref().map(|span| &*span.name), Some("HTTP"));
    assert_eq!(attribute(&odd, "http.request.method"), Some(&"_OTHER".into()));
}

#[test]
fn probes_are_told_of_for_a_parents_sake_alone() {
    on();
    assert!(request(&Method::GET, Some("/metrics"), &headers(&[])).context().is_none());
    assert!(request(&Method::GET, Some("/metrics"), &headers(&[PARENT])).context().is_some());
}

#[test]
fn a_status_is_a_failure_by_who_has_to_answer_for_it() {
    on();
    for (status, by_us, by_others) in [(200, false, false), (404, false, true), (500, true, true), (503, true, true)] {
        let (mut server, mut client) = (request(&Method::GET, None, &headers(&[])), asking("ask", "model", None));
        server.status(status);
        client.status(status);
        let failed = |open: &Open| open.span.as_ref().map(|span| span.has_failed);
        assert_eq!((failed(&server), failed(&client)), (Some(by_us), Some(by_others)), "{status}");
        client.fail("later");
        assert_eq!(client.span.as_ref().unwrap().attributes.iter().filter(|(key, _)| *key == "error.type").count(), 1);
    }
}

#[test]
fn who_works_within_a_span_finds_it() {
    on();
    let (outer, inner) = (inside("outer", None), inside("inner", None));
    assert!(current().is_none());
    let id = Uuid::from_u128(0xABCD);
    block_on(within(&outer, async {
        assert_eq!(current(), outer.context());
        within(&inner, async {
            futures_lite::future::yield_now().await;
            assert_eq!(current(), inner.context());
        })
        .await;
        futures_lite::future::yield_now().await;
        assert_eq!(current(), outer.context());
        note_cause(id);
    }));
    assert!(current().is_none());
    assert_eq!(cause_of(Some(id)), outer.context());
    let other = Uuid::from_u128(0xABCD + (CAUSES as u128));
    assert_eq!((cause_of(Some(other)), cause_of(None)), (None, None), "the same place, another id");
    note_cause(id);
    assert_eq!(cause_of(Some(id)), outer.context(), "nobody's sake is no cause");
}

#[test]
fn what_finds_the_queue_full_is_counted() {
    let own = Traces::new(Sampler::new(1.0), 1, 2);
    for _ in 0..5 {
        own.put(Span::begin(own.begin(None), None, "x", Kind::Internal, UnixMicros(0)));
    }
    assert_eq!((own.waiting(), own.lost(Loss::QueueFull), own.lost(Loss::Refused)), (2, 3, 0));
    assert!(own.next().is_some() && own.next().is_some() && own.next().is_none());
}

#[test]
fn a_span_that_is_dropped_was_given_up() {
    let own = on();
    let (mut done, given_up) = (inside_since("done", Instant::now() - Duration::from_secs(1)), inside("given up", None));
    done.number("n", 3);
    let ids = [done.context().unwrap().span, given_up.context().unwrap().span];
    done.done();
    drop(given_up);
    let mut all = Vec::new();
    while let Some(span) = own.next() {
        all.push(span);
    }
    let of = |id| all.iter().find(|span| span.context.span == id).unwrap();
    assert!(!of(ids[0]).attributes.contains(&("homeroom.outcome", "given_up".into())));
    assert!(of(ids[1]).attributes.contains(&("homeroom.outcome", "given_up".into())));
    assert!((1_000_000..60_000_000).contains(&(of(ids[0]).ended.0 - of(ids[0]).began.0)));
}
