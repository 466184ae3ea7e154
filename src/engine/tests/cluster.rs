//! Several nodes, each with some shards: views, deaths, and links that break.

use super::world::World;
use crate::{
    engine::{Birth, Counters, Engine, Letter, Limits, Rules},
    realtime::{ClassroomId, HashRing, NodeSlot, ShardId, View, view::Member},
};
use std::sync::Arc;

/// Of a world: its nodes.
pub(super) struct Nodes {
    shards: u16,
    rules: Arc<Rules>,
    limits: Limits,
    /// Those that do nothing any more.
    dead: Vec<NodeSlot>,
    /// Pairs between which letters are lost.
    cut: Vec<(NodeSlot, NodeSlot)>,
    /// Those that were dead, and are not.
    revived: Vec<u8>,
    /// To which nodes news of tasks went from others.
    pub(super) news: Vec<NodeSlot>,
    /// What is lost though it should not be.
    pub(super) loses: fn(&Letter) -> bool,
}

impl Nodes {
    /// One, with so many shards.
    pub(super) fn new(shards: u16, rules: Arc<Rules>, limits: Limits) -> Nodes {
        Nodes {
            shards,
            rules,
            limits,
            dead: Vec::new(),
            cut: Vec::new(),
            revived: Vec::new(),
            news: Vec::new(),
            loses: |_| false,
        }
    }

    /// Where a shard is among all engines.
    pub(super) fn place(&self, shard: ShardId) -> usize {
        usize::from(shard.node().0) * usize::from(self.shards) + shard.index()
    }

    /// Which shard is at this place.
    pub(super) fn shard(&self, place: usize) -> ShardId {
        let shards = usize::from(self.shards);
        ShardId::of(NodeSlot((place / shards) as u8), (place % shards) as u8)
    }

    /// One that was dead is there again, in another epoch.
    pub(super) fn revive(&mut self, slot: u8) {
        self.dead.retain(|dead| dead.0 != slot);
        self.revived.push(slot);
    }

    fn carries(&self, from: ShardId, to: ShardId) -> bool {
        let is_cut = self
            .cut
            .iter()
            .any(|&(one, other)| (one, other) == (from.node(), to.node()) || (other, one) == (from.node(), to.node()));
        !self.dead.contains(&from.node()) && !self.dead.contains(&to.node()) && !is_cut
    }
}

impl World {
    /// So many nodes with `shards` each, that have all reached the first view.
    pub(super) fn cluster(nodes: u8, shards: u16) -> World {
        let mut world = World::new(shards);
        world.engines = (0..nodes).flat_map(|slot| world.births(slot, 0)).collect();
        world.view(1, nodes);
        assert!(world.engines.iter().all(Engine::is_whole), "everybody has reached it");
        world
    }

    /// The shards of a node as they begin, with the view that has them alone.
    fn births(&self, slot: u8, seed: u64) -> Vec<Engine> {
        let member = Member { slot: NodeSlot(slot), epoch: 0, shards: self.nodes.shards as u8 };
        let ring = Arc::new(HashRing::of(Arc::new(View::new(0, vec![member]))));
        let engine = |id: ShardId| {
            let birth = Birth { id, start: self.now.moment, seed: 7 + seed };
            let counters = Arc::new(Counters::default());
            let mut engine = Engine::new(birth, ring.clone(), self.nodes.limits.clone(), self.nodes.rules.clone(), counters);
            engine.begin_labs(&super::labs::begun(), &[], self.now);
            engine
        };
        member.shards().map(engine).collect()
    }

    /// A ring over the nodes from 0 that are not dead; the epoch of each is its slot and ten, and of one that came again a hundred more.
    pub(super) fn ring(&self, number: u64, nodes: u8) -> Arc<HashRing> {
        let shards = self.nodes.shards as u8;
        let alive = (0..nodes).map(NodeSlot).filter(|slot| !self.nodes.dead.contains(slot));
        let epoch = |slot: NodeSlot| u64::from(slot.0) + if self.nodes.revived.contains(&slot.0) { 110 } else { 10 };
        let members = alive.map(|slot| Member { slot, epoch: epoch(slot), shards }).collect();
        Arc::new(HashRing::of(Arc::new(View::new(number, members))))
    }

    /// A view comes to all of its shards.
    pub(super) fn view(&mut self, number: u64, nodes: u8) {
        let ring = self.ring(number, nodes);
        for shard in ring.shards() {
            self.view_comes(shard, &ring);
        }
        self.run();
    }

    /// A view comes to one shard.
    pub(super) fn view_comes(&mut self, shard: ShardId, ring: &Arc<HashRing>) {
        let (place, now) = (self.nodes.place(shard), self.now);
        self.engines[place].view(ring.clone(), now);
    }

    /// One more node begins, which is in no view yet.
    pub(super) fn begin_node(&mut self) {
        let slot = (self.engines.len() / usize::from(self.nodes.shards)) as u8;
        let born = self.births(slot, 1);
        self.engines.extend(born);
    }

    /// A node does nothing any more, and whoever was on its way to it is lost. Its sockets hear nothing.
    pub(super) fn kill(&mut self, slot: u8) {
        self.nodes.dead.push(NodeSlot(slot));
        let born = self.births(slot, 2);
        let first = self.nodes.place(ShardId::of(NodeSlot(slot), 0));
        for (place, engine) in born.into_iter().enumerate() {
            self.engines[first + place] = engine;
        }
        let nodes = &self.nodes;
        self.questions.retain(|(place, _)| nodes.shard(*place).node() != NodeSlot(slot));
        self.sessions.bury(|place| nodes.shard(place).node() == NodeSlot(slot));
    }

    /// A node dies and is back at once, with nothing.
    pub(super) fn reborn(&mut self, slot: u8) {
        self.kill(slot);
        self.nodes.dead.retain(|dead| *dead != NodeSlot(slot));
    }

    /// A view of the nodes from 0 with these epochs comes to all shards.
    pub(super) fn view_of(&mut self, number: u64, epochs: &[u64]) {
        let shards = self.nodes.shards as u8;
        let member = |(slot, epoch): (usize, &u64)| Member { slot: NodeSlot(slot as u8), epoch: *epoch, shards };
        let ring = Arc::new(HashRing::of(Arc::new(View::new(number, epochs.iter().enumerate().map(member).collect()))));
        ring.shards().for_each(|shard| self.view_comes(shard, &ring));
        self.run();
    }

    /// From now on letters between two nodes are lost, or no more.
    pub(super) fn cut(&mut self, one: u8, other: u8) {
        self.nodes.cut.push((NodeSlot(one), NodeSlot(other)));
    }

    /// The link of two nodes has broken, and works again.
    pub(super) fn mend(&mut self, one: u8, other: u8) {
        self.nodes.cut.clear();
        let now = self.now;
        for (place, engine) in self.engines.iter_mut().enumerate() {
            match self.nodes.shard(place).node().0 {
                node if node == one => engine.estranged(NodeSlot(other), now),
                node if node == other => engine.estranged(NodeSlot(one), now),
                _ => {}
            }
        }
        self.run();
    }

    /// Letters to this node's first shard wait from now on.
    pub(super) fn hold_letters_to(&mut self, slot: u8) {
        self.held = Some((ShardId::of(NodeSlot(slot), 0), Vec::new()));
    }

    /// Those that waited arrive, in order.
    pub(super) fn let_letters_go(&mut self) {
        let (to, letters) = self.held.take().unwrap();
        letters.into_iter().for_each(|(from, letter)| self.carry(from, to, letter));
        self.run();
    }

    /// A node hears that its link to another broke, before that one does.
    pub(super) fn hears_of_a_break(&mut self, slot: u8, other: u8) {
        let (place, now) = (self.nodes.place(ShardId::of(NodeSlot(slot), 0)), self.now);
        self.engines[place].estranged(NodeSlot(other), now);
        self.run();
    }

    /// A letter arrives, or is lost.
    pub(super) fn carry(&mut self, from: ShardId, to: ShardId, letter: Letter) {
        if matches!(letter, Letter::TasksNews { .. }) && from.node() != to.node() {
            self.nodes.news.push(to.node());
        }
        if self.nodes.carries(from, to) && !(self.nodes.loses)(&letter) {
            let (place, now) = (self.nodes.place(to), self.now);
            self.engines[place].letter(from, letter, now);
        }
    }

    /// The first classroom that is at home on this node.
    pub(super) fn classroom_at(&self, ring: &HashRing, slot: u8) -> ClassroomId {
        let is_there = |room: &ClassroomId| ring.home(room.as_bytes()).node() == NodeSlot(slot);
        (1..).map(ClassroomId::from_u128).find(is_there).unwrap()
    }

    /// The first that is at home on one node by the first ring, and on the other by the second.
    pub(super) fn classroom_that_moves(&self, (before, from): (&HashRing, u8), (after, to): (&HashRing, u8)) -> ClassroomId {
        let node = |ring: &HashRing, room: &ClassroomId| ring.home(room.as_bytes()).node();
        let moves = |room: &ClassroomId| (node(before, room), node(after, room)) == (NodeSlot(from), NodeSlot(to));
        (1..).map(ClassroomId::from_u128).find(moves).unwrap()
    }
}
