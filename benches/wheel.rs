//! The timer wheel: what setting, cancelling and firing a timer costs beside 100,000 others. Beside it the crate
//! `hierarchical_hash_wheel_timer` (its ticks are a millisecond, ours four) and std's `BTreeMap`.

mod brisk;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use hierarchical_hash_wheel_timer::{IdOnlyTimerEntry, wheels::cancellable::QuadWheelWithOverflow};
use homeroom::realtime::{ConnId, Moment, ShardId, Wheel};
use std::{collections::BTreeMap, hint::black_box, time::Duration};

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

/// The other wheel with the same timers. It names a timer by an id that the caller makes.
fn busy_quad() -> QuadWheelWithOverflow<IdOnlyTimerEntry<u64>> {
    let mut wheel = QuadWheelWithOverflow::new();
    for slot in 0..100_000 {
        let delay = Duration::from_micros(slot * 300).max(Duration::from_millis(1));
        wheel.insert(IdOnlyTimerEntry { id: slot, delay }).expect("the delay is not zero");
    }
    wheel
}

/// A map in the order of the deadlines, the serial number telling equal ones apart.
fn busy_tree() -> BTreeMap<(Moment, u64), Key> {
    (0..100_000_u32).map(|slot| ((Moment(u64::from(slot) * 300), slot.into()), key(slot))).collect()
}

fn neighbours(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel");
    let mut tree = busy_tree();
    group.bench_function("set and cancel, 10 s ahead, BTreeMap", |bencher| {
        bencher.iter(|| {
            tree.insert(black_box((Moment(10_000_000), 1 << 40)), key(7));
            tree.remove(&(Moment(10_000_000), 1 << 40))
        });
    });
    let (mut wheel, mut id) = (busy_quad(), 1 << 40);
    // What is cancelled leaves it only when its tick comes: without ticks it would grow for ever.
    group.bench_function("set and cancel, 1 s ahead, hierarchical_hash_wheel_timer with a tick each 64", |bencher| {
        bencher.iter(|| {
            id += 1;
            let _set = wheel.insert(IdOnlyTimerEntry { id, delay: black_box(Duration::from_secs(1)) });
            let _cancelled = wheel.cancel(&id);
            if id % 64 == 0 {
                black_box(wheel.tick());
            }
        });
    });
    group.throughput(Throughput::Elements(100_000)).sample_size(20);
    group.bench_function("fire 100,000 over 30 s, BTreeMap", |bencher| {
        bencher.iter_batched(
            busy_tree,
            |mut tree| {
                let mut now = Moment(0);
                while !tree.is_empty() {
                    now = now + Duration::from_millis(4);
                    while tree.first_entry().is_some_and(|first| first.key().0 <= now) {
                        black_box(tree.pop_first());
                    }
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("fire 100,000 over 30 s, hierarchical_hash_wheel_timer", |bencher| {
        bencher.iter_batched(
            busy_quad,
            |mut wheel| (0..30_001).map(|_| black_box(wheel.tick()).len()).sum::<usize>(),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group! { name = benches; config = brisk::brisk(); targets = bench, neighbours }
criterion_main!(benches);
