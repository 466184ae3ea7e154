//! Letters and packets between nodes: written, read back, and both.

mod brisk;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use homeroom::{
    cluster::{
        Node, Packet,
        codec::{Letters, read_letters, read_packet, write_packet},
        link::{Header, Marks},
    },
    engine::{Letter, Since, Topic},
    realtime::{ClassroomId, Frame, NodeSlot, ShardId},
};
use std::hint::black_box;

/// A frame that goes to two shards of the other node.
fn publish(letters: &mut Letters, frame: &Frame) {
    for local in 0..2 {
        let letter = Letter::Publish {
            topic: Topic::Classroom(ClassroomId::from_u128(7)),
            frame: frame.clone(),
            members: 9,
            since: Since::default(),
        };
        letters.push(ShardId::of(NodeSlot(1), 0), ShardId::of(NodeSlot(2), local), letter);
    }
}

fn letters(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cluster: a publish of 256 bytes to two shards");
    let frame = Frame::from_wire(&[b'x'; 256]);
    let mut letters = Letters::default();
    group.bench_function("written", |bencher| {
        bencher.iter(|| {
            publish(&mut letters, black_box(&frame));
            letters.write()
        });
    });
    publish(&mut letters, &frame);
    let body = letters.write().expect("it is small");
    group.bench_function("read", |bencher| bencher.iter(|| read_letters(black_box(&body))));
    group.bench_function("64 of them, written", |bencher| {
        bencher.iter(|| {
            (0..64).for_each(|_| publish(&mut letters, black_box(&frame)));
            letters.write()
        });
    });
    group.finish();
}

fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cluster: a packet of 512 bytes");
    let node = |slot| Node { slot: NodeSlot(slot), epoch: 7 };
    let header = Header {
        from: node(1),
        to: node(2),
        incarnation: 1,
        known: 1,
        sequence: 1,
        acknowledged: 0,
        following: 0,
        marks: Marks::default(),
    };
    let packet = Packet { header, body: Bytes::from(vec![b'x'; 512]) };
    group.bench_function("written", |bencher| bencher.iter(|| write_packet(black_box(&packet))));
    let message = write_packet(&packet);
    group.bench_function("read", |bencher| bencher.iter_batched(|| message.clone(), read_packet, BatchSize::SmallInput));
    group.finish();
}

criterion_group! { name = benches; config = brisk::brisk(); targets = letters, packets }
criterion_main!(benches);
