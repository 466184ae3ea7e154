//! What quizzes write and read most: one `attempt_update`, one subscribe. Beside each serde_json doing the same job.

mod brisk;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use homeroom::{
    protocols::quiz::{
        Channel, Parser, QuizId,
        messages::{Row, Update, Who, snapshot, update},
        model::iso,
    },
    realtime::{Frame, UnixMicros},
    websocket::frame,
};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::hint::black_box;
use uuid::Uuid;

/// 2026-06-11T14:31:05+00:00.
const ANSWERED_AT: UnixMicros = UnixMicros(1_781_188_265_000_000);

#[derive(Serialize)]
struct Envelope<'a> {
    event: &'a str,
    t: &'a str,
    channel: &'a str,
    data: Answered<'a>,
}

#[derive(Serialize)]
struct Answered<'a> {
    attempt_id: Uuid,
    participant_id: Uuid,
    alias: &'a str,
    quiz_id: i64,
    event_id: Option<Uuid>,
    question_id: Uuid,
    answer_id: Uuid,
    is_correct: Option<bool>,
    score: f64,
    answered_at: &'a str,
    answered_count: u32,
    question_order: u32,
}

fn who(alias: &str) -> Who {
    let (attempt, participant) = (Uuid::from_u128(1 << 100), Uuid::from_u128(2 << 100));
    Who { attempt, participant, alias: alias.into(), quiz: QuizId(42), event: None }
}

fn answered(who: &Who) -> Update<'_> {
    Update::Answered {
        who,
        question: Uuid::from_u128(3 << 100),
        answer: Uuid::from_u128(4 << 100),
        is_correct: Some(true),
        score: 10.0,
        answered_at: ANSWERED_AT,
        answered_count: 3,
        question_order: 2,
    }
}

/// The same frame by serde_json, in as few steps as that takes; the time is a text already.
fn by_serde(who: &Who, answered_at: &str) -> Frame {
    let data = Answered {
        attempt_id: who.attempt,
        participant_id: who.participant,
        alias: &who.alias,
        quiz_id: who.quiz.0,
        event_id: who.event,
        question_id: Uuid::from_u128(3 << 100),
        answer_id: Uuid::from_u128(4 << 100),
        is_correct: Some(true),
        score: 10.0,
        answered_at,
        answered_count: 3,
        question_order: 2,
    };
    let mut out = Vec::with_capacity(768);
    let mark = frame::begin_text(&mut out);
    serde_json::to_writer(&mut out, &Envelope { event: "update", t: "attempt_update", channel: "quiz", data }).expect("plain");
    frame::end_text(&mut out, mark);
    Frame::from_wire(&out)
}

fn writing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("quiz: write an attempt_update");
    for (name, alias) in [("plain alias", "Alice"), ("alias with escapes", "Alice \"Al\" O\\Hara\n")] {
        let (who, answered_at) = (who(alias), iso(ANSWERED_AT));
        assert_eq!(update(&answered(&who))[..], by_serde(&who, &answered_at)[..]);
        group.throughput(Throughput::Bytes(update(&answered(&who)).len() as u64));
        group.bench_function(format!("by hand, {name}"), |bencher| bencher.iter(|| update(black_box(&answered(&who)))));
        group.bench_function(format!("serde_json, {name}"), |bencher| bencher.iter(|| by_serde(black_box(&who), &answered_at)));
    }
    group.finish();
    let who = who("Alice");
    let row =
        |rank| Row { who: &who, rank: Some(rank), started_at: None, ended: false, answered_count: 3, score: 10.0, flags: None };
    criterion.bench_function("quiz: write a leaderboard of 200", |bencher| {
        bencher.iter(|| snapshot(Channel::Leaderboard, (1..=200).map(row)));
    });
}

#[derive(Deserialize)]
struct Request<'a> {
    action: Action,
    #[serde(borrow)]
    subscriptions: Vec<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Subscribe,
    Unsubscribe,
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("quiz: read a subscribe");
    for items in [1, 2, 20, 200] {
        let keys: SmallVec<[String; 8]> = (0..items).map(|number| format!("quiz:{}", 42 + number)).collect();
        let text = serde_json::json!({"action": "subscribe", "subscriptions": keys.as_slice()}).to_string();
        group.throughput(Throughput::Bytes(text.len() as u64));
        let mut parser = Parser::default();
        group.bench_function(format!("where it lies, {items} items"), |bencher| {
            bencher.iter(|| black_box(parser.request(black_box(&text)).expect("well-formed")).subscriptions.len());
        });
        // One escape more, and it is no usual message.
        let escaped = text.replacen("quiz", "\\u0071uiz", 1);
        group.bench_function(format!("simd-json's tape, {items} items"), |bencher| {
            bencher.iter(|| black_box(parser.request(black_box(&escaped)).expect("well-formed")).subscriptions.len());
        });
        group.bench_function(format!("serde_json, {items} items"), |bencher| {
            bencher.iter(|| {
                let request: Request<'_> = black_box(serde_json::from_str(black_box(&text)).expect("well-formed"));
                (matches!(request.action, Action::Unsubscribe), request.subscriptions.len())
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = brisk::brisk(); targets = writing, reading }
criterion_main!(benches);
