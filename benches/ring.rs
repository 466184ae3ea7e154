//! The hash ring: finding the home of a classroom; beside it the crate `hashring` with as many points for each shard as it needs to
//! be as even.

mod brisk;

use criterion::{Criterion, criterion_group, criterion_main};
use homeroom::realtime::HashRing;
use std::hint::black_box;
use uuid::Uuid;

/// Points of `hashring` for each shard.
const POINTS: u16 = 128;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    let keys: Vec<_> =
        (0..4_096_u128).map(|n| Uuid::from_u128(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))).collect();
    for shards in [2, 64] {
        let ring = HashRing::new(shards);
        let mut next = 0;
        group.bench_function(format!("home of a classroom, {shards} shards"), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % keys.len();
                ring.home(black_box(keys[next].as_bytes()))
            });
        });
        let mut other = hashring::HashRing::new();
        other.batch_add((0..shards).flat_map(|shard| (0..POINTS).map(move |point| (shard, point))).collect());
        group.bench_function(format!("hashring, {shards} shards"), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % keys.len();
                other.get(black_box(keys[next].as_bytes())).map(|&(shard, _)| shard)
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = brisk::brisk(); targets = bench }
criterion_main!(benches);
