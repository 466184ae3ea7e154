//! Scripts: what is said on the bus, packet by packet. The dice are in `random`.

#![allow(clippy::unwrap_used)]

mod bounds;
mod pair;
mod random;
mod world;

use super::*;
use crate::realtime::NodeSlot;

const A: Node = Node { slot: NodeSlot(1), epoch: 11 };
const B: Node = Node { slot: NodeSlot(2), epoch: 22 };
const MILLI: Duration = Duration::from_millis(1);

/// Small bounds, so that a test reaches them.
const SMALL: Limits =
    Limits { held_bytes: 4000, letter_bytes: 1000, piece_bytes: 100, flight_bytes: 800, flight_packets: 8, ..Limits::DEFAULT };

fn body(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Both ends and a bus between them that a test plays by hand.
struct Pair {
    a: Link,
    b: Link,
    now: Moment,
    /// To a, to b.
    on_bus: [Vec<Packet>; 2],
    /// What a and b were handed.
    heard: [Vec<String>; 2],
    /// How often a and b were told that the link broke, and why at last.
    broke: [Vec<Why>; 2],
}

impl Pair {
    /// Two ends that know each other, and nothing on the bus.
    fn met(limits: Limits) -> Pair {
        let mut pair = Pair::new(limits);
        pair.tick();
        pair.run();
        assert!(pair.a.agreed && pair.b.agreed);
        pair
    }

    fn new(limits: Limits) -> Pair {
        let now = Moment(1_000_000);
        let (a, b) = (Link::new(A, B, 1, limits, now), Link::new(B, A, 1, limits, now));
        Pair { a, b, now, on_bus: Default::default(), heard: Default::default(), broke: Default::default() }
    }

    fn effects(&mut self, of: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(packet) => self.on_bus[1 - of].push(packet),
                Effect::Deliver { body, .. } => self.heard[of].push(String::from_utf8(body.to_vec()).unwrap()),
                Effect::Broke { why, .. } => self.broke[of].push(why),
            }
        }
    }

    /// What an end is told to do, and what comes of it.
    fn at(&mut self, end: usize, act: impl FnOnce(&mut Link, Moment, &mut Vec<Effect>)) {
        let mut out = Vec::new();
        act(if end == 0 { &mut self.a } else { &mut self.b }, self.now, &mut out);
        self.effects(end, out);
    }

    fn send(&mut self, from: usize, text: &str) {
        self.at(from, |link, now, out| link.send(body(text), now, out));
    }

    fn tick(&mut self) {
        self.at(0, |link, now, out| link.tick(now, out));
        self.at(1, |link, now, out| link.tick(now, out));
    }

    /// Delivers what is on the bus to that end, and returns how many packets that were.
    fn arrive(&mut self, to: usize) -> usize {
        let packets = std::mem::take(&mut self.on_bus[to]);
        let count = packets.len();
        for packet in packets {
            self.at(to, |link, now, out| link.receive(packet, now, out));
        }
        count
    }

    /// Until nothing is on the bus.
    fn run(&mut self) {
        while self.arrive(0) + self.arrive(1) > 0 {}
    }

    /// Time passes, from one deadline to the next.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.tick();
            self.run();
        }
        self.now = end;
    }

    fn deadline(&self) -> Option<Moment> {
        [self.a.deadline(), self.b.deadline()].into_iter().flatten().min()
    }

    /// Nothing is held or awaited any more.
    fn assert_rest(&self) {
        assert_eq!((self.deadline(), self.a.held_bytes(), self.b.held_bytes()), (None, 0, 0));
    }
}
