//! Letters that leave the node, and what comes for its shards from other nodes.
//!
//! Each shard has a bounded queue out and one in. On the other side of all of them is one that carries them, on any thread: the [`Gate`].
//! As in the mesh a sender that finds its queue full keeps the letter in its spill and goes on; whoever sleeps is woken once for all that
//! was brought.

use super::{
    counts::ShardCounts,
    mesh::Doors,
    wake::{Bed, Bell, Door},
};
use crate::realtime::{HashRing, NodeSlot, ShardId};
use crossbeam::queue::ArrayQueue;
use futures_util::task::AtomicWaker;
use std::{collections::VecDeque, future::poll_fn, sync::Arc, task::Poll};

/// What comes to a shard from outside itself, in order.
#[derive(Debug)]
pub enum Arrival<L, M> {
    /// From another shard, or from this one.
    Letter(ShardId, L),
    /// Who is in the cluster from now on.
    View(Arc<HashRing>),
    /// This node has buried the one of that slot and epoch, and with it this. Told to one shard, before the view without that node.
    Mourn((NodeSlot, u64), M),
    /// What was on its way to or from this node is lost, and nothing behind it will be.
    Estranged(NodeSlot),
}

/// Letters in each queue.
const CAPACITY: usize = 4_096;

impl Bell for AtomicWaker {
    fn ring(&self, _: Bed) {
        self.wake();
    }
}

struct Queues<L, M> {
    /// What each shard sends, and to whom.
    out: Box<[ArrayQueue<(ShardId, L)>]>,
    /// What comes to each.
    inward: Box<[ArrayQueue<Arrival<L, M>>]>,
    doors: Doors,
    door: Door<AtomicWaker>,
}

/// The side of whoever carries letters to other nodes.
pub struct Gate<L, M> {
    node: NodeSlot,
    queues: Arc<Queues<L, M>>,
    /// What found its queue full, for each shard.
    spill: Vec<VecDeque<Arrival<L, M>>>,
    brought: Vec<bool>,
}

/// Makes the gate of a node, and its end for each shard.
pub(super) fn gate<L, M>(node: NodeSlot, doors: &Doors) -> (Gate<L, M>, Vec<GateEnd<L, M>>) {
    let shards = doors.len();
    let queues = Arc::new(Queues {
        out: (0..shards).map(|_| ArrayQueue::new(CAPACITY)).collect(),
        inward: (0..shards).map(|_| ArrayQueue::new(CAPACITY)).collect(),
        doors: doors.clone(),
        door: Door::new(AtomicWaker::new()),
    });
    let end = |shard| GateEnd { shard, queues: queues.clone(), spill: VecDeque::new(), brought: false };
    let ends = (0..shards).map(end).collect();
    (Gate { node, queues, spill: (0..shards).map(|_| VecDeque::new()).collect(), brought: vec![false; shards] }, ends)
}

/// The gate of a node with one shard and without a mesh, and that shard's end: for tests of those who carry letters.
#[cfg(test)]
pub(crate) fn gate_of<L, M>(node: NodeSlot) -> (Gate<L, M>, GateEnd<L, M>) {
    let doors = super::mesh::doors(1).expect("an eventfd");
    let (gate, ends) = gate(node, &doors);
    (gate, ends.into_iter().next().expect("one shard"))
}

impl<L, M> Gate<L, M> {
    /// How many shards the node has.
    pub fn shards(&self) -> usize {
        self.spill.len()
    }

    /// Waits until a shard has letters for another node.
    pub async fn letters(&self) {
        poll_fn(|context| {
            let door = &self.queues.door;
            door.bell().register(context.waker());
            door.lie_down(Bed::Reactor);
            if self.queues.out.iter().all(ArrayQueue::is_empty) {
                return Poll::Pending;
            }
            door.rise();
            Poll::Ready(())
        })
        .await;
    }

    /// Takes at most `limit` letters of each shard, in the order of each: from whom, to whom, what. Returns how many.
    pub fn take(&self, limit: usize, mut each: impl FnMut(ShardId, ShardId, L)) -> usize {
        let mut taken = 0;
        for (local, queue) in self.queues.out.iter().enumerate() {
            let from = ShardId::of(self.node, local as u8);
            for _ in 0..limit {
                let Some((to, letter)) = queue.pop() else { break };
                each(from, to, letter);
                taken += 1;
            }
        }
        taken
    }

    /// Hands this to a shard of the node, behind what it was handed before. It is woken by [`Gate::flush`].
    pub fn put(&mut self, shard: ShardId, arrival: Arrival<L, M>) {
        let local = shard.index();
        // A shard that is not there was named by another node.
        let Some(spill) = self.spill.get_mut(local) else { return };
        let kept = if spill.is_empty() { self.queues.inward[local].push(arrival) } else { Err(arrival) };
        match kept {
            Ok(()) => self.brought[local] = true,
            Err(arrival) => spill.push_back(arrival),
        }
    }

    /// Hands this to the first shard of the node.
    pub fn put_to_first(&mut self, arrival: Arrival<L, M>) {
        self.put(ShardId::of(self.node, 0), arrival);
    }

    /// Hands this to every shard of the node.
    pub fn put_to_all(&mut self, arrival: impl Fn() -> Arrival<L, M>) {
        (0..self.shards()).for_each(|local| self.put(ShardId::of(self.node, local as u8), arrival()));
    }

    /// Moves what was spilled as far as there is room, and wakes the shards that were brought something.
    pub fn flush(&mut self) {
        for local in 0..self.shards() {
            while let Some(arrival) = self.spill[local].pop_front() {
                if let Err(arrival) = self.queues.inward[local].push(arrival) {
                    self.spill[local].push_front(arrival);
                    break;
                }
                self.brought[local] = true;
            }
            if std::mem::take(&mut self.brought[local]) {
                self.queues.doors[local].knock();
            }
        }
    }

    /// How much waits because a shard's queue is full. Whoever brings more must wait until it is none.
    pub fn spilled(&self) -> usize {
        self.spill.iter().map(VecDeque::len).sum()
    }
}

/// One shard's side.
pub(crate) struct GateEnd<L, M> {
    shard: usize,
    queues: Arc<Queues<L, M>>,
    spill: VecDeque<(ShardId, L)>,
    brought: bool,
}

impl<L, M> GateEnd<L, M> {
    /// Puts a letter on its way to another node. The gate is woken by [`GateEnd::flush`].
    pub(crate) fn send(&mut self, to: ShardId, letter: L, counts: &ShardCounts) {
        let own = &self.queues.out[self.shard];
        let kept = if self.spill.is_empty() { own.push((to, letter)) } else { Err((to, letter)) };
        match kept {
            Ok(()) => self.brought = true,
            Err(kept) => {
                counts.spilled.add(1);
                self.spill.push_back(kept);
            }
        }
    }

    pub(crate) fn flush(&mut self) {
        while let Some(kept) = self.spill.pop_front() {
            if let Err(kept) = self.queues.out[self.shard].push(kept) {
                self.spill.push_front(kept);
                break;
            }
            self.brought = true;
        }
        if std::mem::take(&mut self.brought) {
            self.queues.door.knock();
        }
    }

    pub(super) fn spilled(&self) -> usize {
        self.spill.len()
    }

    pub(super) fn has_arrivals(&self) -> bool {
        !self.queues.inward[self.shard].is_empty()
    }

    pub(crate) fn take(&mut self, limit: usize, mut each: impl FnMut(Arrival<L, M>)) -> usize {
        for taken in 0..limit {
            match self.queues.inward[self.shard].pop() {
                Some(arrival) => each(arrival),
                None => return taken,
            }
        }
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::{super::mesh::doors, *};
    use futures_lite::future::{block_on, poll_once};
    use std::thread;

    const NODE: NodeSlot = NodeSlot(3);

    fn told(arrival: Arrival<u64, ()>) -> (ShardId, u64) {
        match arrival {
            Arrival::Letter(from, letter) => (from, letter),
            Arrival::View(_) | Arrival::Mourn(..) | Arrival::Estranged(_) => panic!("a letter"),
        }
    }

    #[test]
    fn what_finds_no_place_waits_in_order_on_both_ways() {
        let (mut gate, mut ends) = gate::<u64, ()>(NODE, &doors(2).unwrap());
        let counts = ShardCounts::default();
        let (there, here) = (ShardId(0x100), ShardId::of(NODE, 1));
        const MANY: u64 = CAPACITY as u64 + 10;
        for letter in 0..MANY {
            ends[1].send(there, letter, &counts);
            gate.put(here, Arrival::Letter(there, letter));
        }
        ends[1].flush();
        gate.flush();
        assert_eq!((ends[1].spilled(), gate.spilled(), counts.spilled.value()), (10, 10, 10));
        let (mut left, mut came) = (Vec::new(), Vec::new());
        while left.len() < MANY as usize {
            gate.take(7, |from, to, letter| {
                assert_eq!((from, to), (here, there));
                left.push(letter);
            });
            ends[1].flush();
        }
        while came.len() < MANY as usize {
            ends[1].take(7, |arrival| came.push(told(arrival)));
            gate.flush();
        }
        assert!(left.into_iter().eq(0..MANY) && came.into_iter().eq((0..MANY).map(|letter| (there, letter))));
        assert!(gate.spilled() == 0 && !ends[1].has_arrivals());
        gate.put(ShardId::of(NODE, 9), Arrival::Estranged(NodeSlot(1)));
        assert_eq!(gate.spilled(), 0, "there is no such shard");
    }

    #[test]
    fn the_gate_sleeps_until_a_shard_flushes() {
        let (gate, mut ends) = gate::<u64, ()>(NODE, &doors(1).unwrap());
        block_on(async {
            assert!(poll_once(gate.letters()).await.is_none());
            ends[0].send(ShardId(0), 1, &ShardCounts::default());
            assert!(poll_once(gate.letters()).await.is_some(), "it is there, and the gate was awake");
        });
        assert_eq!(gate.take(9, |_, _, letter| assert_eq!(letter, 1)), 1);
    }

    #[test]
    fn every_letter_reaches_a_gate_that_sleeps() {
        const LETTERS: u64 = 20_000;
        let (gate, ends) = gate::<u64, ()>(NODE, &doors(2).unwrap());
        let shard = |mut end: GateEnd<u64, ()>| {
            thread::spawn(move || {
                let counts = ShardCounts::default();
                for letter in 0..LETTERS {
                    end.send(ShardId(0), letter, &counts);
                    if letter % 5 == 0 {
                        end.flush();
                    }
                }
                while end.spilled() > 0 || end.brought {
                    end.flush();
                    thread::yield_now();
                }
            })
        };
        let threads: Vec<_> = ends.into_iter().map(shard).collect();
        let mut next = [0; 2];
        block_on(async {
            while next != [LETTERS; 2] {
                gate.letters().await;
                gate.take(64, |from, _, letter| {
                    assert_eq!(letter, next[from.index()]);
                    next[from.index()] += 1;
                });
            }
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
