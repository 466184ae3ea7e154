//! What all protocols share: the wheel, topics with their outboxes, tables, the hash ring.

use super::{Line, Walk};
use foldhash::fast::FixedState;
use homeroom::realtime::{
    ClassroomId, HashRing, Moment, Wheel,
    outbox::{Outbox, Pushed},
    table::Table,
    topics::{Share, Topics},
};
use std::hint::black_box;

pub(super) const PATHS: &[Line] = &[
    ("deliver-to-1", 100, || delivering(1, 100)),
    ("deliver-to-100", 1_000, || delivering(100, 10)),
    ("deliver-to-10000", 20_000, || delivering(10_000, 2)),
    ("wheel-set-and-cancel", 1_000, setting),
    ("wheel-set-and-fire", 10_000, firing),
    ("wheel-turn-of-nothing", 1_000, turning),
    ("table-insert-and-remove", 1_000, inserting),
    ("ring-home", 1_000, homing),
];

const BOUND_BYTES: usize = 256 << 10;
const FRAME: [u8; 260] = [b'x'; 260];
const ROOM: u64 = 7;

/// Turns in each of which one frame is published; every send is done before the next.
fn delivering(listeners: u32, turns: u32) -> Walk {
    let mut topics: Topics<u64, FixedState> = Topics::new(FixedState::with_seed(1));
    for slot in 0..listeners {
        let _subscription = topics.subscribe(ROOM, slot);
    }
    let mut outboxes: Vec<Outbox> = (0..listeners).map(|_| Outbox::default()).collect();
    let mut ready = Vec::new();
    Box::new(move || {
        for _ in 0..turns {
            topics.publish(black_box(&ROOM), black_box(&FRAME), Moment(7));
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
    })
}

/// 10,000 timers over 30 s, as pings of so many connections are.
fn busy() -> Wheel<u64> {
    let mut wheel = Wheel::new(Moment(0));
    for key in 0..10_000 {
        let _timer = wheel.set(Moment(key * 3_000), key);
    }
    wheel
}

fn setting() -> Walk {
    let mut wheel = busy();
    Box::new(move || {
        for _ in 0..1_000 {
            let timer = wheel.set(black_box(Moment(10_000_000)), 7);
            black_box(wheel.cancel(timer));
        }
    })
}

/// A round of pings: each timer fires and is set again, 30 s later.
fn firing() -> Walk {
    let (mut wheel, mut fired, mut now) = (busy(), Vec::new(), 0);
    Box::new(move || {
        let mut all = 0;
        for _ in 0..3_000 {
            now += 10_000;
            wheel.expire(Moment(now), &mut fired);
            all += fired.len();
            for (at, key) in fired.drain(..) {
                let _timer = wheel.set(Moment(at.0 + 30_000_000), key);
            }
        }
        assert_eq!(all, 10_000, "all of them, once");
    })
}

fn turning() -> Walk {
    let (mut wheel, mut fired, mut now) = (Wheel::new(Moment(0)), Vec::new(), 0);
    let _timer = wheel.set(Moment(1 << 40), 7);
    Box::new(move || {
        for _ in 0..1_000 {
            now += 100;
            wheel.expire(Moment(now), &mut fired);
            black_box(wheel.next());
        }
        assert!(fired.is_empty());
    })
}

fn inserting() -> Walk {
    let mut table = Table::default();
    for _ in 0..10_000 {
        table.insert([0_u64; 8]);
    }
    Box::new(move || {
        for _ in 0..1_000 {
            let key = table.insert(black_box([1_u64; 8]));
            black_box(table.at_mut(key));
            table.remove(key);
        }
    })
}

fn homing() -> Walk {
    let ring = HashRing::new(64);
    Box::new(move || {
        for classroom in 0..1_000 {
            black_box(ring.home(ClassroomId::from_u128(classroom).as_bytes()));
        }
    })
}
