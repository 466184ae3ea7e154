//! The table of connections: a slot found by key, with its generation checked. Beside it `slab`, which has no generations and moves
//! as it grows.

mod brisk;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use homeroom::realtime::table::Table;
use slab::Slab;
use std::hint::black_box;

const CONNECTIONS: usize = 10_000;
/// About what a connection is.
type Value = [u64; 16];

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("table of 10,000");
    let mut table = Table::<Value>::default();
    let keys: Vec<_> = (0..CONNECTIONS).map(|n| table.insert([n as u64; 16])).collect();
    let mut slab = Slab::<Value>::new();
    let places: Vec<_> = (0..CONNECTIONS).map(|n| slab.insert([n as u64; 16])).collect();
    // 7,919 is prime: neighbours in time are not neighbours in memory.
    let mut next = 0;
    let mut turn = move || {
        next = (next + 7_919) % CONNECTIONS;
        next
    };
    group.bench_function("find", |bencher| bencher.iter(|| table.at(black_box(keys[turn()])).map(|value| value[3])));
    let mut next = 0;
    let mut turn = move || {
        next = (next + 7_919) % CONNECTIONS;
        next
    };
    group.bench_function("find, slab", |bencher| bencher.iter(|| slab.get(black_box(places[turn()])).map(|value| value[3])));
    group.bench_function("insert and remove", |bencher| {
        bencher.iter(|| {
            let key = table.insert(black_box([1; 16]));
            table.remove(key)
        });
    });
    group.bench_function("insert and remove, slab", |bencher| {
        bencher.iter(|| {
            let place = slab.insert(black_box([1; 16]));
            slab.try_remove(place)
        });
    });
    group.throughput(Throughput::Elements(CONNECTIONS as u64)).sample_size(20);
    group.bench_function("grow to 10,000", |bencher| {
        bencher.iter_batched_ref(
            Table::<Value>::default,
            |table| (0..CONNECTIONS).for_each(|_| assert!(black_box(table.insert([1; 16])).generation == 0)),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("grow to 10,000, slab", |bencher| {
        bencher.iter_batched_ref(
            Slab::<Value>::new,
            |slab| (0..CONNECTIONS).for_each(|_| assert!(black_box(slab.insert([1; 16])) < CONNECTIONS)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group! { name = benches; config = brisk::brisk(); targets = bench }
criterion_main!(benches);
