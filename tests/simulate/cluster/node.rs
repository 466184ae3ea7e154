//! One node: its shards, what comes to each of them from outside, and what each has for others.

use super::{store::Peer, world::Cluster};
use crate::{clients::masked, world::note};
use homeroom::{
    cluster::{Limits as LinkLimits, Links, Node as Name},
    engine::{Engine, Letter, Output},
    protocols::presence::record::Buried,
    realtime::{HashRing, NodeSlot, ShardId, View},
};
use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

/// What comes to a shard by its node's gateway, in order.
#[derive(Debug)]
pub(crate) enum Arrival {
    Letter(ShardId, Letter),
    View(Arc<HashRing>),
    Mourn(Peer, Vec<Buried>),
    Estranged(NodeSlot),
}

/// See the file.
pub(crate) struct Node {
    pub(crate) engines: Vec<Engine>,
    /// For each shard.
    pub(crate) inboxes: Vec<VecDeque<Arrival>>,
    /// Of each shard: to whom, and what.
    pub(crate) outboxes: Vec<VecDeque<(ShardId, Letter)>>,
    pub(crate) links: Links,
    /// The slots of the others, as the gateway knows them.
    pub(crate) others: BTreeSet<NodeSlot>,
    /// The view that the node came with.
    pub(crate) first: Arc<HashRing>,
    /// The last view that the gateway was told; 0: none.
    pub(crate) known: u64,
}

/// Small, so that one that is cut off soon has more than may wait.
const LINKS: LinkLimits =
    LinkLimits { held_bytes: 24 << 10, letter_bytes: 16 << 10, piece_bytes: 2 << 10, ..LinkLimits::DEFAULT };

impl Node {
    pub(crate) fn new(peer: Peer, engines: Vec<Engine>, first: Arc<HashRing>) -> Node {
        let shards = engines.len();
        Node {
            engines,
            inboxes: (0..shards).map(|_| VecDeque::new()).collect(),
            outboxes: (0..shards).map(|_| VecDeque::new()).collect(),
            links: Links::new(Name { slot: peer.0, epoch: peer.1 }, LINKS),
            others: BTreeSet::new(),
            first,
            known: 0,
        }
    }
}

impl Cluster {
    pub(crate) fn engine(&self, peer: Peer, shard: ShardId) -> Option<&Engine> {
        self.nodes.get(&peer)?.engines.get(shard.index())
    }

    pub(crate) fn feed(&mut self, peer: Peer, shard: ShardId) -> Option<&mut Engine> {
        self.nodes.get_mut(&peer)?.engines.get_mut(shard.index())
    }

    pub(crate) fn seen(&self, peer: Peer, shard: ShardId) -> Option<Arc<View>> {
        self.engine(peer, shard).map(|engine| engine.seen().clone())
    }

    pub(crate) fn shards_of(&self, peer: Peer) -> Vec<ShardId> {
        let count = self.nodes.get(&peer).map_or(0, |node| node.engines.len());
        (0..count).map(|local| ShardId::of(peer.0, local as u8)).collect()
    }

    pub(crate) fn all_shards(&self) -> Vec<(Peer, ShardId)> {
        self.nodes.keys().flat_map(|peer| self.shards_of(*peer).into_iter().map(|shard| (*peer, shard))).collect()
    }

    /// Whether a shard takes sockets: it has a view, and its node is one.
    pub(crate) fn serves(&self, peer: Peer, shard: ShardId) -> bool {
        self.store.is_member(peer) && self.seen(peer, shard).is_some_and(|view| view.number() > 0)
    }

    pub(crate) fn turn_some(&mut self) {
        let shards = self.all_shards();
        if !shards.is_empty() {
            let (peer, shard) = *self.dice.pick(&shards);
            for _ in 0..self.dice.between(0, 3) {
                self.arrive(peer, shard);
            }
            self.turn(peer, shard);
        }
    }

    /// The next of what the gateway has for a shard. Whether there was something.
    pub(crate) fn arrive(&mut self, peer: Peer, shard: ShardId) -> bool {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&peer) else { return false };
        let Some(arrival) = node.inboxes[shard.index()].pop_front() else { return false };
        note!(self, "to {peer:?} {shard}: {arrival:?}");
        if matches!(arrival, Arrival::View(_)) {
            self.count("views");
        }
        let Some(engine) = self.feed(peer, shard) else { return true };
        match arrival {
            Arrival::Letter(from, letter) => engine.letter(from, letter, now),
            Arrival::View(ring) => engine.view(ring, now),
            Arrival::Mourn(node, buried) => engine.mourn(node, buried),
            Arrival::Estranged(node) => engine.estranged(node, now),
        }
        true
    }

    /// Ends a turn of a shard: what it wants done is done, and what it said goes on its way. Whether there was anything.
    pub(crate) fn turn(&mut self, peer: Peer, shard: ShardId) -> bool {
        let (now, mut output) = (self.now, Output::default());
        let Some(engine) = self.feed(peer, shard) else { return false };
        engine.finish(now, &mut output);
        let letters = mem::take(engine.letters());
        let questions = mem::take(engine.questions());
        let mut moved = !(output.sends.is_empty() && letters.is_empty() && questions.is_empty() && output.closes.is_empty());
        for send in output.sends {
            let bytes: Vec<u8> =
                [&send.segment].into_iter().chain(&send.more).flat_map(|own| own.bytes().iter().copied()).collect();
            if self.hears((peer, send.conn), &bytes)
                && let pong = masked(&mut self.dice, 0x8A, b"")
                && let Some(engine) = self.feed(peer, shard)
            {
                engine.received(send.conn, &pong, now);
            }
            if let Some(engine) = self.feed(peer, shard) {
                engine.sent(send.conn, true, now);
            }
        }
        for conn in output.half_closes {
            moved = true;
            if let Some(engine) = self.feed(peer, shard) {
                engine.ended(conn, now);
            }
        }
        for conn in output.closes {
            self.is_cut((peer, conn));
            if let Some(engine) = self.feed(peer, shard) {
                engine.released(conn);
            }
        }
        self.store.ask(peer, shard, questions);
        self.post(peer, shard, letters);
        moved
    }

    pub(crate) fn time_passes(&mut self) {
        let milliseconds = if self.dice.percent(80) { self.dice.between(1, 200) } else { self.dice.between(200, 4_000) };
        self.advance(Duration::from_millis(milliseconds as u64));
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
        let now = self.now;
        for node in self.nodes.values_mut() {
            for engine in &mut node.engines {
                if engine.next_deadline().is_some_and(|due| due <= now.moment) {
                    engine.tick(now);
                }
            }
        }
    }
}
