//! Letters between shards, and answers from other threads to a shard.
//!
//! Each ordered pair of shards has a bounded queue of its own, so the letters of a pair keep their order and nobody waits for a
//! lock. A sender that finds the queue full keeps the letter in its spill and goes on. A shard that sleeps is woken once for all
//! that a turn brought it.

use super::{
    counts::ShardCounts,
    gate::{Arrival, GateEnd},
    wake::{Bed, Bell, Door},
};
use crate::realtime::{NodeSlot, ShardId};
use crossbeam::queue::{ArrayQueue, SegQueue};
use rustix::event::{EventfdFlags, eventfd};
use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

/// Two eventfds: one that the shard's ring watches, and one that its reactor reads and its ring writes too. One would not do for both:
/// while it is written, the kernel writes no other for a ring that watches it.
#[derive(Debug)]
pub(super) struct EventBell {
    ring: OwnedFd,
    reactor: OwnedFd,
}

impl EventBell {
    fn new() -> io::Result<EventBell> {
        // Blocking on purpose: io_uring answers a read of a non-blocking descriptor at once. A write could only block at 2^64 - 2
        // unread wakes.
        let make = || eventfd(0, EventfdFlags::CLOEXEC);
        Ok(EventBell { ring: make()?, reactor: make()? })
    }

    pub(super) fn descriptor(&self, bed: Bed) -> BorrowedFd<'_> {
        match bed {
            Bed::Ring => self.ring.as_fd(),
            Bed::Reactor => self.reactor.as_fd(),
        }
    }
}

impl Bell for EventBell {
    fn ring(&self, bed: Bed) {
        // The only possible errors are a full counter, which is a wake that is due anyway, and an interrupted call, which did not block.
        while rustix::io::write(self.descriptor(bed), &1u64.to_ne_bytes()) == Err(rustix::io::Errno::INTR) {}
    }
}

/// The doors of all shards, in their order.
pub(super) type Doors = Arc<[Door<EventBell>]>;

/// One door for each shard.
pub(super) fn doors(shards: usize) -> io::Result<Doors> {
    (0..shards).map(|_| EventBell::new().map(Door::new)).collect()
}

/// Makes the ends of the mesh of a node, one for each shard, with `capacity` letters in each queue.
pub(super) fn mesh<L, M>(node: NodeSlot, doors: &Doors, capacity: usize) -> Vec<MeshEnd<L, M>> {
    let shards = doors.len();
    let queues: Arc<[ArrayQueue<L>]> = (0..shards * shards).map(|_| ArrayQueue::new(capacity)).collect();
    let end = |id| MeshEnd {
        id,
        node,
        queues: queues.clone(),
        doors: doors.clone(),
        spill: (0..shards).map(|_| VecDeque::new()).collect(),
        brought: vec![false; shards],
        first: 0,
        gate: None,
    };
    (0..shards).map(end).collect()
}

/// One shard's end of the mesh.
pub(super) struct MeshEnd<L, M> {
    id: usize,
    node: NodeSlot,
    /// The queue of the pair `from`, `to` is at `to * shards + from`: what one shard receives lies together.
    queues: Arc<[ArrayQueue<L>]>,
    doors: Doors,
    spill: Vec<VecDeque<L>>,
    brought: Vec<bool>,
    first: usize,
    /// The way to other nodes.
    gate: Option<GateEnd<L, M>>,
}

impl<L, M> MeshEnd<L, M> {
    /// The same with a way to other nodes.
    pub(super) fn with_gate(self, gate: GateEnd<L, M>) -> MeshEnd<L, M> {
        MeshEnd { gate: Some(gate), ..self }
    }

    fn shards(&self) -> usize {
        self.doors.len()
    }

    fn queue(&self, from: usize, to: usize) -> &ArrayQueue<L> {
        &self.queues[to * self.shards() + from]
    }

    /// Puts a letter on its way. The receiver is woken by [`MeshEnd::flush`].
    pub(super) fn send(&mut self, to: ShardId, letter: L, counts: &ShardCounts) {
        if to.node() != self.node {
            // A node that stands alone has nobody to write to.
            let Some(gate) = &mut self.gate else { return };
            return gate.send(to, letter, counts);
        }
        let to = to.index();
        let kept = if self.spill[to].is_empty() { self.queue(self.id, to).push(letter) } else { Err(letter) };
        match kept {
            Ok(()) => self.brought[to] = true,
            Err(letter) => {
                counts.spilled.add(1);
                self.spill[to].push_back(letter);
            }
        }
    }

    /// Moves what was spilled as far as there is room, and wakes those that sleep and were brought something.
    pub(super) fn flush(&mut self, counts: &ShardCounts) {
        for to in 0..self.shards() {
            self.unspill(to);
            if std::mem::take(&mut self.brought[to]) {
                self.doors[to].knock();
            }
        }
        self.gate.iter_mut().for_each(GateEnd::flush);
        counts.spilled_now.set((self.spill.iter().map(VecDeque::len).sum::<usize>() + self.spilled_outward()) as u64);
    }

    fn spilled_outward(&self) -> usize {
        self.gate.as_ref().map_or(0, GateEnd::spilled)
    }

    fn unspill(&mut self, to: usize) {
        while let Some(letter) = self.spill[to].pop_front() {
            match self.queue(self.id, to).push(letter) {
                Ok(()) => self.brought[to] = true,
                Err(letter) => return self.spill[to].push_front(letter),
            }
        }
    }

    /// Whether letters wait in the spill, so that this shard must look again soon.
    pub(super) fn spilling(&self) -> bool {
        self.spilled_outward() > 0 || self.spill.iter().any(|letters| !letters.is_empty())
    }

    /// Whether letters for this shard wait.
    pub(super) fn has_letters(&self) -> bool {
        let from_outside = self.gate.as_ref().is_some_and(GateEnd::has_arrivals);
        from_outside || (0..self.shards()).any(|from| !self.queue(from, self.id).is_empty())
    }

    /// Takes at most `limit` letters, no more than a fair part of them from one sender while others have some, and as much from other
    /// nodes. Returns how many it took.
    pub(super) fn take(&mut self, limit: usize, mut each: impl FnMut(Arrival<L, M>)) -> usize {
        let shards = self.shards();
        let share = limit.div_ceil(shards);
        let mut taken = 0;
        for turn in 0..shards {
            let from = (self.first + turn) % shards;
            for _ in 0..share.min(limit - taken) {
                let Some(letter) = self.queue(from, self.id).pop() else { break };
                each(Arrival::Letter(ShardId::of(self.node, from as u8), letter));
                taken += 1;
            }
        }
        self.first = (self.first + 1) % shards;
        taken + self.gate.as_mut().map_or(0, |gate| gate.take(limit, each))
    }

    /// This shard's own door.
    pub(super) fn door(&self) -> &Door<EventBell> {
        &self.doors[self.id]
    }
}

/// The way in for other threads: posts answers to a shard. Cheap to clone.
pub struct Post<A> {
    boxes: Arc<[SegQueue<A>]>,
    doors: Doors,
}

impl<A> Clone for Post<A> {
    fn clone(&self) -> Post<A> {
        Post { boxes: self.boxes.clone(), doors: self.doors.clone() }
    }
}

impl<A> Post<A> {
    pub(super) fn new(doors: &Doors) -> Post<A> {
        Post { boxes: doors.iter().map(|_| SegQueue::new()).collect(), doors: doors.clone() }
    }

    /// Hands the answers to the shard, in order, and wakes it once. Never blocks and never refuses: who asks bounds what can be answered.
    pub fn post(&self, shard: ShardId, answers: impl IntoIterator<Item = A>) {
        for answer in answers {
            self.put(shard, answer);
        }
        self.knock(shard);
    }

    /// Hands an answer to the shard, as [`Post::post`] does, but lets it sleep: whoever does this owes it a [`Post::knock`] soon.
    pub fn put(&self, shard: ShardId, answer: A) {
        self.boxes[shard.index()].push(answer);
    }

    /// Wakes the shard, if it sleeps, for all that was put before.
    pub fn knock(&self, shard: ShardId) {
        self.doors[shard.index()].knock();
    }

    pub(super) fn has_answers(&self, shard: ShardId) -> bool {
        !self.boxes[shard.index()].is_empty()
    }

    pub(super) fn take(&self, shard: ShardId, limit: usize, mut each: impl FnMut(A)) -> usize {
        for taken in 0..limit {
            match self.boxes[shard.index()].pop() {
                Some(answer) => each(answer),
                None => return taken,
            }
        }
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::{super::gate, *};
    use rustix::{
        event::{PollFd, PollFlags},
        time::Timespec,
    };
    use std::{cell::RefCell, thread};

    impl AsFd for EventBell {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.descriptor(Bed::Ring)
        }
    }

    #[derive(Default)]
    struct Rings(RefCell<Vec<Bed>>);

    impl Bell for Rings {
        fn ring(&self, bed: Bed) {
            self.0.borrow_mut().push(bed);
        }
    }

    fn told<L>(arrival: Arrival<L, ()>) -> (ShardId, L) {
        match arrival {
            Arrival::Letter(from, letter) => (from, letter),
            Arrival::View(_) | Arrival::Mourn(..) | Arrival::Estranged(_) => panic!("a letter"),
        }
    }

    #[test]
    fn letters_for_other_nodes_go_by_the_gate() {
        let doors = doors(1).unwrap();
        let (mut gate, ends) = gate::gate::<u32, ()>(NodeSlot(2), &doors);
        let mut end = mesh::<u32, ()>(NodeSlot(2), &doors, 4).remove(0).with_gate(ends.into_iter().next().unwrap());
        let counts = ShardCounts::default();
        let (own, other) = (ShardId::of(NodeSlot(2), 0), ShardId(1));
        end.send(own, 1, &counts);
        end.send(other, 2, &counts);
        end.flush(&counts);
        assert_eq!(gate.take(9, |from, to, letter| assert_eq!((from, to, letter), (own, other, 2))), 1);
        gate.put(own, Arrival::Letter(other, 3));
        gate.flush();
        let mut came = Vec::new();
        assert!(end.has_letters());
        assert_eq!(end.take(9, |arrival| came.push(told(arrival))), 2);
        assert_eq!(came, [(own, 1), (other, 3)]);
    }

    #[test]
    fn the_bell_rings_once_for_each_sleep() {
        let door = Door::new(Rings::default());
        assert!(!door.knock(), "awake");
        door.lie_down(Bed::Ring);
        assert!(door.knock());
        assert!(!door.knock(), "already woken");
        door.rise();
        door.lie_down(Bed::Reactor);
        door.rise();
        assert!(!door.knock(), "rose by itself");
        door.lie_down(Bed::Reactor);
        assert!(door.knock());
        assert_eq!(*door.bell().0.borrow(), [Bed::Ring, Bed::Reactor], "where he slept");
    }

    #[test]
    fn a_full_queue_spills_counts_and_keeps_the_order() {
        let doors = doors(2).unwrap();
        let mut ends = mesh::<u32, ()>(NodeSlot(0), &doors, 4);
        let counts = ShardCounts::default();
        for letter in 0..10 {
            ends[0].send(ShardId(1), letter, &counts);
        }
        ends[0].flush(&counts);
        assert_eq!((counts.spilled.value(), counts.spilled_now.value(), ends[0].spilling()), (6, 6, true));
        let mut came = Vec::new();
        while came.len() < 10 {
            ends[1].take(3, |arrival| {
                let (from, letter) = told(arrival);
                assert_eq!(from, ShardId(0));
                came.push(letter);
            });
            ends[0].flush(&counts);
        }
        assert_eq!(came, (0..10).collect::<Vec<_>>());
        assert!(!ends[0].spilling());
    }

    #[test]
    fn one_sender_does_not_starve_another() {
        let doors = doors(3).unwrap();
        let mut ends = mesh::<u32, ()>(NodeSlot(0), &doors, 64);
        let counts = ShardCounts::default();
        for letter in 0..30 {
            ends[0].send(ShardId(2), letter, &counts);
        }
        ends[1].send(ShardId(2), 99, &counts);
        let mut from_second = 0;
        assert_eq!(ends[2].take(6, |arrival| from_second += usize::from(told(arrival).0 == ShardId(1))), 3);
        assert_eq!(from_second, 1);
    }

    /// Sleeps on the bell like a shard, without a reactor.
    fn sleep(door: &Door<EventBell>, work: impl Fn() -> bool) {
        door.lie_down(Bed::Ring);
        if !work() {
            let mut count = [0; 8];
            rustix::io::read(door.bell().descriptor(Bed::Ring), &mut count).unwrap();
        }
        door.rise();
    }

    #[test]
    fn every_letter_comes_once_and_in_order_between_parked_and_busy_shards() {
        const SHARDS: usize = 4;
        const LETTERS: u64 = 20_000;
        let doors = doors(SHARDS).unwrap();
        let shard = |mut end: MeshEnd<u64, ()>| {
            move || {
                let counts = ShardCounts::default();
                let (mut sent, mut next) = (0, [0; SHARDS]);
                while sent < LETTERS || end.spilling() || next != [LETTERS; SHARDS] {
                    // Odd shards send in bursts and are mostly asleep in between; even ones are busy with small turns.
                    let burst = if end.id % 2 == 1 { 512 } else { 3 };
                    for _ in 0..burst.min(LETTERS - sent) {
                        (0..SHARDS).for_each(|to| end.send(ShardId(to as u16), sent, &counts));
                        sent += 1;
                    }
                    end.flush(&counts);
                    let taken = end.take(64, |arrival| {
                        let (from, letter) = told(arrival);
                        assert_eq!(letter, next[from.index()]);
                        next[from.index()] += 1;
                    });
                    if taken == 0 && sent == LETTERS && !end.spilling() && next != [LETTERS; SHARDS] {
                        sleep(&end.doors[end.id], || end.has_letters());
                    }
                }
            }
        };
        let threads: Vec<_> =
            mesh::<u64, ()>(NodeSlot(0), &doors, 128).into_iter().map(|end| thread::spawn(shard(end))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn what_is_put_wakes_nobody_until_the_knock() {
        let doors = doors(1).unwrap();
        let post = Post::new(&doors);
        doors[0].lie_down(Bed::Ring);
        (0..3).for_each(|number| post.put(ShardId(0), number));
        assert!(post.has_answers(ShardId(0)));
        let rings =
            || rustix::event::poll(&mut [PollFd::new(doors[0].bell(), PollFlags::IN)], Some(&Timespec::default())).unwrap();
        assert_eq!(rings(), 0);
        post.knock(ShardId(0));
        assert_eq!(rings(), 1);
        let mut came = Vec::new();
        assert_eq!(post.take(ShardId(0), 9, |answer| came.push(answer)), 3);
        assert_eq!(came, [0, 1, 2]);
    }

    #[test]
    fn answers_of_several_threads_come_whole_and_in_order_of_each() {
        let doors = doors(1).unwrap();
        let post = Post::new(&doors);
        let threads: Vec<_> = (0..3u64)
            .map(|who| {
                let post = post.clone();
                thread::spawn(move || (0..1000u64).for_each(|number| post.post(ShardId(0), [(who, number)])))
            })
            .collect();
        let mut next = [0u64; 3];
        while next != [1000; 3] {
            let taken = post.take(ShardId(0), 50, |(who, number)| {
                assert_eq!(number, next[who as usize]);
                next[who as usize] += 1;
            });
            if taken == 0 {
                sleep(&doors[0], || post.has_answers(ShardId(0)));
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
