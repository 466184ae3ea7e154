//! Runs in which every shard is a node of its own: one dies now and then, another comes in its place, and each hears of that when the dice
//! let it.

use super::{
    faults::Fault,
    store::Post,
    world::{Labs, Shard},
};
use crate::world::note;
use homeroom::{
    engine::Answer,
    protocols::labs::record::{Loaded, Rights},
    realtime::{ConnId, HashRing, NodeSlot, ShardId, StoreFault, UnixMicros, View, view::Member},
    store::{LabsLibrary, Mood},
};
use std::{collections::VecDeque, sync::Arc};

/// Of a thousand steps: how many end a node.
const DEATHS: usize = 7;

/// What is known of the nodes.
#[derive(Default)]
pub(crate) struct Nodes {
    /// Who holds each slot.
    epochs: Vec<u64>,
    epoch: u64,
    view: u64,
    /// What each has still to hear of, in order.
    views: Vec<VecDeque<Arc<HashRing>>>,
    pub(crate) deaths: usize,
    /// Whether all that is read can be.
    reads_well: bool,
}

impl Nodes {
    fn ring(&mut self, without: Option<usize>) -> Arc<HashRing> {
        self.view += 1;
        let living = self.epochs.iter().enumerate().filter(|(place, _)| Some(*place) != without);
        let members = living.map(|(place, epoch)| Member { slot: NodeSlot(place as u8), epoch: *epoch, shards: 1 });
        Arc::new(HashRing::of(Arc::new(View::new(self.view, members.collect()))))
    }

    fn alone(&self, place: usize) -> Arc<HashRing> {
        let member = Member { slot: NodeSlot(place as u8), epoch: self.epochs[place], shards: 1 };
        Arc::new(HashRing::of(Arc::new(View::new(0, vec![member]))))
    }
}

/// Where a shard is among all: of one node they have numbers of their own, of several each is the only one.
pub(crate) fn place_of(shard: ShardId) -> usize {
    usize::from(shard.node().0) + shard.index()
}

impl Labs {
    pub(crate) fn shard_at(&self, place: usize) -> ShardId {
        if self.nodes.is_some() { ShardId::of(NodeSlot(place as u8), 0) } else { ShardId(place as u16) }
    }

    /// Ends the turn of a connection's shard.
    pub(crate) fn turn_of(&mut self, conn: ConnId) {
        self.turn(place_of(conn.shard));
    }

    /// Every node begins, and hears of the others.
    pub(crate) fn begin_nodes(&mut self, count: usize) {
        let nodes = self.nodes.get_or_insert_default();
        nodes.epochs = (1..=count as u64).collect();
        nodes.epoch = count as u64;
        nodes.views = (0..count).map(|_| VecDeque::new()).collect();
        let ring = nodes.ring(None);
        for place in 0..count {
            let shard = self.newborn(place);
            self.shards.push(shard);
            let now = self.now;
            self.feed(place).view(ring.clone(), now);
        }
        self.calm();
    }

    /// A node that has read what it begins with.
    fn newborn(&mut self, place: usize) -> Shard {
        let nodes = self.nodes.as_ref().expect("there are several");
        let (alone, id) = (nodes.alone(place), self.shard_at(place));
        self.seed = self.seed.wrapping_mul(31).wrapping_add(7);
        let mut shard = self.born(id, alone);
        let rights = self.rights(self.now.wall);
        let loaded = Loaded { standings: rights.standings, ..Loaded::default() };
        shard.engine.begin_labs(&loaded, &rights.revoked, self.now);
        shard
    }

    /// Whether what a shard posts to another goes to whoever is there now.
    pub(crate) fn shows(&self, from: usize, to: ShardId) -> bool {
        let Some(nodes) = &self.nodes else { return true };
        self.shards[from].engine.seen().epoch(to.node()) == Some(nodes.epochs[place_of(to)])
    }

    /// Whether a shard knows of whoever writes to it. What comes too soon waits.
    pub(crate) fn is_linked(&self, from: usize, to: usize) -> bool {
        let Some(nodes) = &self.nodes else { return true };
        let seen = self.shards[to].engine.seen();
        seen.epoch(NodeSlot(from as u8)) == Some(nodes.epochs[from])
    }

    /// A node hears of the next view that it has not heard of. Whether there is one.
    pub(crate) fn view_comes(&mut self, place: usize) -> bool {
        let next = self.nodes.as_mut().and_then(|nodes| nodes.views[place].pop_front());
        let Some(ring) = next else { return false };
        note!(self, "node {place} hears of view {}", ring.view().number());
        let now = self.now;
        self.feed(place).view(ring, now);
        true
    }

    /// Every node hears of all. Whether there was anything.
    pub(crate) fn views_come(&mut self) -> bool {
        let places = 0..self.shards.len();
        places.fold(false, |moved, place| {
            let mut came = moved;
            while self.view_comes(place) {
                came = true;
            }
            came
        })
    }

    pub(crate) fn a_node_may_die(&mut self) {
        if self.dice.below(1_000) < DEATHS {
            let place = self.dice.below(self.shards.len());
            self.node_dies(place);
        }
    }

    /// A node ends without a word, is buried, and another comes to its slot.
    fn node_dies(&mut self, place: usize) {
        note!(self, "node {place} dies");
        self.count("deaths of nodes");
        // What it was saying may have been heard. What it had the store write is written, before anybody takes it over.
        for to in 0..self.shards.len() {
            let pair = place * self.shards.len() + to;
            let heard = self.dice.below(self.mesh[pair].len() + 1);
            (0..heard).for_each(|_| _ = self.deliver(place, to));
            self.mesh[pair].clear();
            let back = to * self.shards.len() + place;
            self.mesh[back].clear();
        }
        while !self.outside.asked.is_empty() {
            self.store_works(100);
        }
        self.outside.posts[place].clear();
        self.asks.retain(|pending| pending.shard != place);
        self.answered.retain(|(shard, _)| *shard != place);
        self.crossed = None;
        let gone: Vec<_> = self.sockets.keys().filter(|conn| place_of(conn.shard) == place).copied().collect();
        for conn in gone {
            let Some(mut socket) = self.sockets.remove(&conn) else { continue };
            socket.has_ended = true;
            self.released(conn, &socket);
        }
        self.come_again(place);
    }

    fn come_again(&mut self, place: usize) {
        let nodes = self.nodes.as_mut().expect("there are several");
        nodes.deaths += 1;
        let without = nodes.ring(Some(place));
        nodes.epoch += 1;
        nodes.epochs[place] = nodes.epoch;
        let with = nodes.ring(None);
        nodes.views[place].clear();
        for (_, views) in nodes.views.iter_mut().enumerate().filter(|(other, _)| *other != place) {
            views.extend([without.clone(), with.clone()]);
        }
        let oldest = with.view().oldest().map_or(0, |oldest| usize::from(oldest.slot.0));
        let shard = self.newborn(place);
        self.shards[place] = shard;
        self.home = oldest;
        let now = self.now;
        self.feed(place).view(with, now);
    }

    /// A shard reads what the registry must know. It is as it is now, whenever that arrives.
    pub(crate) fn read_all(&mut self, place: usize) {
        self.outside.store.be(Mood::Prompt);
        let loaded = self.outside.store.labs().map(Box::new);
        self.outside.hang();
        let result = if self.fails_to_read() { Err(StoreFault::Busy) } else { loaded };
        self.outside.posts[place].push_back(Post(Answer::LabsLoaded(result)));
        self.count("registries that moved");
    }

    /// A shard reads what users may.
    pub(crate) fn read_rights(&mut self, place: usize, now: UnixMicros) {
        let rights = self.rights(now);
        let result = if self.fails_to_read() { Err(StoreFault::Busy) } else { Ok(Box::new(rights)) };
        self.outside.posts[place].push_back(Post(Answer::RightsLoaded(result)));
    }

    fn fails_to_read(&mut self) -> bool {
        self.dice.percent(self.plan.busy) && self.nodes.as_ref().is_some_and(|nodes| !nodes.reads_well)
    }

    /// Whether all that is read can be, from now on.
    pub(crate) fn read_well(&mut self, well: bool) {
        if let Some(nodes) = &mut self.nodes {
            nodes.reads_well = well;
        }
    }

    fn rights(&mut self, now: UnixMicros) -> Rights {
        self.outside.store.be(Mood::Prompt);
        let mut rights = self.outside.store.rights(now).expect("the store can be read");
        self.outside.hang();
        if self.fault == Some(Fault::BlankRights) {
            rights.revoked.clear();
        }
        rights
    }
}
