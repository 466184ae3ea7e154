//! A publish from the topic to the sends: batch, outbox of each listener, collect, sent. Beside it the same with the frame copied for
//! each listener.

mod brisk;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foldhash::fast::FixedState;
use homeroom::realtime::{
    Moment,
    outbox::{Outbox, Pushed, Segment},
    topics::{Share, Topics},
};
use std::{collections::VecDeque, hint::black_box};

const BOUND_BYTES: usize = 256 << 10;
const FRAME: [u8; 260] = [b'x'; 260];
const ROOM: u64 = 7;

struct Shard {
    topics: Topics<u64, FixedState>,
    outboxes: Vec<Outbox>,
    ready: Vec<u32>,
}

impl Shard {
    fn with(listeners: u32) -> Shard {
        let mut topics = Topics::new(FixedState::with_seed(1));
        for slot in 0..listeners {
            let _subscription = topics.subscribe(ROOM, slot);
        }
        Shard { topics, outboxes: (0..listeners).map(|_| Outbox::default()).collect(), ready: Vec::new() }
    }

    /// One turn in which `frames` were published; every send is done before the next.
    fn turn(&mut self, frames: u32) {
        for _ in 0..frames {
            self.topics.publish(black_box(&ROOM), black_box(&FRAME), Moment(7));
        }
        let Shard { topics, outboxes, ready } = self;
        let deliver = |slot: u32, segment, share: Share| {
            let is_ready = outboxes[slot as usize].push(segment, share.frames, BOUND_BYTES) == Pushed::Ready;
            if is_ready {
                ready.push(slot);
            }
            is_ready
        };
        topics.flush(deliver, |since, frames| {
            black_box((since, frames));
        });
        for slot in ready.drain(..) {
            let outbox = &mut outboxes[slot as usize];
            black_box(outbox.collect());
            outbox.sent();
        }
    }
}

/// What a server without topics does: a copy of the frame for each listener, in a queue of its own.
fn copied(queues: &mut [VecDeque<Vec<u8>>]) {
    for queue in queues.iter_mut() {
        queue.push_back(black_box(&FRAME).to_vec());
    }
    for queue in queues {
        black_box(queue.pop_front());
    }
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topics: publish, flush, collect");
    for listeners in [1, 100, 10_000] {
        let mut shard = Shard::with(listeners);
        for frames in [1, 16] {
            group.throughput(Throughput::Elements(u64::from(listeners * frames)));
            group.bench_function(format!("{frames} to {listeners}"), |bencher| bencher.iter(|| shard.turn(frames)));
        }
        let mut queues = vec![VecDeque::new(); listeners as usize];
        group.throughput(Throughput::Elements(listeners.into()));
        group.bench_function(format!("a copy for each, 1 to {listeners}"), |bencher| bencher.iter(|| copied(&mut queues)));
    }
    group.finish();
}

fn coming_and_going(criterion: &mut Criterion) {
    let mut shard = Shard::with(10_000);
    criterion.bench_function("topics: subscribe and unsubscribe beside 10,000", |bencher| {
        bencher.iter(|| {
            let subscription = shard.topics.subscribe(black_box(ROOM), 10_000);
            shard.topics.unsubscribe(subscription)
        });
    });
    criterion.bench_function("topics: a segment behind one in flight", |bencher| {
        let first = Segment::whole(FRAME.to_vec()).expect("not empty");
        let mut outbox = Outbox::default();
        bencher.iter(|| {
            outbox.push(first.clone(), 1, BOUND_BYTES);
            black_box(outbox.collect());
            outbox.push(first.clone(), 1, BOUND_BYTES);
            outbox.sent();
            black_box(outbox.collect());
            outbox.sent()
        });
    });
}

criterion_group! { name = benches; config = brisk::brisk(); targets = publish, coming_and_going }
criterion_main!(benches);
