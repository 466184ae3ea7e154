//! The timer wheel: what setting, cancelling and firing a timer costs beside 100,000 others.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use homeroom::realtime::{ConnId, Moment, ShardId, Wheel};
use std::{hint::black_box, time::Duration};

type Key = (ConnId, u8);

fn key(slot: u32) -> Key {
    (ConnId { shard: ShardId(0), generation: 0, slot }, 0)
}

/// 100,000 connections' next pings, spread over 30 s.
fn busy() -> Wheel<Key> {
    let mut wheel = Wheel::new(Moment(0));
    (0..100_000).for_each(|slot| {
        let _timer = wheel.set(Moment(u64::from(slot) * 300), key(slot));
    });
    wheel
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel");
    let mut wheel = busy();
    group.bench_function("set and cancel, 10 s ahead", |bencher| {
        bencher.iter(|| {
            let timer = wheel.set(black_box(Moment(10_000_000)), key(7));
            wheel.cancel(timer)
        });
    });
    let mut fired = Vec::new();
    let mut now = Moment(0);
    group.bench_function("a turn with about one timer due, which is set again", |bencher| {
        bencher.iter(|| {
            now = now + Duration::from_micros(300);
            wheel.expire(now, &mut fired);
            for (at, key) in fired.drain(..) {
                let _timer = wheel.set(at + Duration::from_secs(30), key);
            }
        });
    });
    group.bench_function("next", |bencher| bencher.iter(|| black_box(&wheel).next()));
    group.throughput(Throughput::Elements(100_000));
    group.sample_size(20).bench_function("fire 100,000 over 30 s, a turn a tick", |bencher| {
        bencher.iter_batched(
            busy,
            |mut wheel| {
                let mut now = Moment(0);
                while !wheel.is_empty() {
                    now = now + Duration::from_millis(4);
                    fired.clear();
                    wheel.expire(now, &mut fired);
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
