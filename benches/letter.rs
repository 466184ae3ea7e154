//! A letter between shards: through crossbeam's bounded queue as the mesh uses it, through std's channel, and read by an engine.

mod brisk;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam::queue::ArrayQueue;
use homeroom::{
    engine::{Letter, Since, Topic},
    realtime::{ClassroomId, ConnId, Frame, ShardId},
};
use std::{hint::black_box, sync::mpsc, thread};

const QUEUE: usize = 1024;

fn letter(frame: &Frame) -> Letter {
    Letter::Publish {
        topic: Topic::Classroom(ClassroomId::from_u128(7)),
        frame: frame.clone(),
        members: 1,
        since: Since::default(),
    }
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("letter: push and pop on one thread");
    let frame = Frame::from_wire(&[b'x'; 260]);
    let queue = ArrayQueue::new(QUEUE);
    group.bench_function("ArrayQueue, a publish", |bencher| {
        bencher.iter(|| {
            let _kept = queue.push(letter(black_box(&frame)));
            queue.pop()
        });
    });
    let conn = ConnId { shard: ShardId(1), generation: 0, slot: 7 };
    group.bench_function("ArrayQueue, a delivery", |bencher| {
        bencher.iter(|| {
            let _kept = queue.push(Letter::Deliver(black_box(conn), frame.clone()));
            queue.pop()
        });
    });
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    group.bench_function("std::sync::mpsc, a publish", |bencher| {
        bencher.iter(|| {
            let _sent = sender.send(letter(black_box(&frame)));
            receiver.recv()
        });
    });
    group.finish();
}

/// 64 letters there and 64 back: both threads are awake all the time, so this is what queues and cache lines cost, without the wake-up.
fn between_threads(criterion: &mut Criterion) {
    const FLIGHT: usize = 64;
    let mut group = criterion.benchmark_group("letter: to another thread and back");
    group.throughput(Throughput::Elements(FLIGHT as u64));
    let frame = Frame::from_wire(&[b'x'; 260]);
    let (there, back) = (ArrayQueue::new(QUEUE), ArrayQueue::new(QUEUE));
    let over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                match there.pop() {
                    Some(letter) => drop(back.push(letter)),
                    None => thread::yield_now(),
                }
            }
        });
        group.bench_function("ArrayQueue, 64 in flight", |bencher| {
            bencher.iter(|| {
                (0..FLIGHT).for_each(|_| drop(there.push(letter(&frame))));
                let mut came = 0;
                while came < FLIGHT {
                    match back.pop() {
                        Some(letter) => came += usize::from(matches!(black_box(letter), Letter::Publish { .. })),
                        None => thread::yield_now(),
                    }
                }
            });
        });
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    group.finish();
}

criterion_group! { name = benches; config = brisk::brisk(); targets = alone, between_threads }
criterion_main!(benches);
