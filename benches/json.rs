//! A `connect_request` read in place by simd-json, as each sign-in pays for it; beside it serde_json on the same text and shape.

mod brisk;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use homeroom::protocols::presence::messages::{Parser, change};
use serde::Deserialize;
use std::hint::black_box;
use uuid::Uuid;

const LABEL_BYTES: usize = 256;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    agent_label: &'a str,
    classroom_id: Uuid,
    token: &'a str,
}

/// `token_bytes` of 190 is an HS256 token, of 500 one by RS256.
fn request(token_bytes: usize) -> String {
    let (classroom, token) = (Uuid::from_u128(0x1234_5678), "x".repeat(token_bytes));
    format!(r#"{{"type":"connect_request","payload":{{"agent_label":"web","classroom_id":"{classroom}","token":"{token}"}}}}"#)
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json: connect_request");
    for token_bytes in [190, 500] {
        let text = request(token_bytes);
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut parser = Parser::default();
        group.bench_function(format!("simd-json in place, {} bytes", text.len()), |bencher| {
            bencher.iter(|| parser.connect_request(black_box(&text), LABEL_BYTES).is_some());
        });
        group.bench_function(format!("serde_json, {} bytes", text.len()), |bencher| {
            bencher.iter(|| {
                let request: Request<'_> = serde_json::from_str(black_box(&text)).expect("well-formed");
                black_box((request.kind, request.payload.agent_label, request.payload.classroom_id, request.payload.token));
            });
        });
    }
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    criterion.bench_function("json: an \"entered\" frame", |bencher| {
        bencher.iter(|| change("entered", black_box("web.student-12345.school.local"), 42));
    });
}

criterion_group! { name = benches; config = brisk::brisk(); targets = reading, writing }
criterion_main!(benches);
