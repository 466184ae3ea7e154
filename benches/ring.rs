//! The hash ring: finding the home of a classroom.

use criterion::{Criterion, criterion_group, criterion_main};
use homeroom::realtime::HashRing;
use std::hint::black_box;
use uuid::Uuid;

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
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
