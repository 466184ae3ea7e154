//! The world of several nodes: what may happen in a run, and when all must come to rest. All of it obeys the dice.

use super::{
    bus::Bus,
    faults::Fault,
    store::{Peer, Store},
    students::Student,
};
use crate::{
    clients::{EPOCH, masked},
    dice::Dice,
    world::{house, note},
};
use homeroom::{
    engine::{Birth, Counters, Engine, Entrance, Limits, Output, Rules, SocketApi},
    realtime::{ClassroomId, ConnId, HashRing, Moment, NodeSlot, Now, ShardId, View, view::Member},
};
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Duration,
};

/// What a few hundred runs must have seen.
const MUST_HAPPEN: [&str; 13] = [
    "signed in",
    "entered",
    "left",
    "replaced",
    "rows",
    "rows taken over",
    "nodes that came",
    "nodes that died",
    "nodes that were cut off",
    "burials",
    "links that broke",
    "parted pairs",
    "views",
];
/// As many slots there are.
const SLOTS: usize = 4;
const STEPS: usize = 600;
/// More than all that is on its way can take.
const PATIENCE: usize = 200_000;

struct Node {
    engines: Vec<Engine>,
}

/// Everything.
pub(crate) struct Cluster {
    pub(crate) dice: Dice,
    /// The last events in words, when somebody wants to read them.
    pub(crate) story: Option<VecDeque<String>>,
    pub(crate) now: Now,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) students: BTreeMap<(Peer, ConnId), Student>,
    pub(crate) rooms: Vec<ClassroomId>,
    nodes: BTreeMap<Peer, Node>,
    fault: Option<Fault>,
    rules: Arc<Rules>,
    reached: BTreeMap<&'static str, u64>,
    epochs: u64,
    seed: u64,
}

impl Cluster {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Cluster {
        let mut dice = Dice::new(seed);
        let rooms = (0..dice.between(1, 4)).map(|_| ClassroomId::from_u64_pair(dice.number(), dice.number())).collect();
        let rules = house(vec![Entrance { sockets: vec![("/ws".into(), SocketApi::Presence)] }]);
        let mut cluster = Cluster {
            story: None,
            now: Now { moment: Moment(1_000_000), wall: EPOCH },
            store: Store::default(),
            bus: Bus::default(),
            students: BTreeMap::new(),
            rooms,
            nodes: BTreeMap::new(),
            fault,
            rules: Arc::new(rules),
            reached: MUST_HAPPEN.into_iter().map(|name| (name, 0)).collect(),
            epochs: 0,
            seed,
            dice,
        };
        (0..cluster.dice.between(1, 3)).for_each(|_| cluster.join());
        cluster
    }

    pub(crate) fn reached(&self) -> Vec<(String, u64)> {
        self.reached.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    pub(crate) fn strikes(&mut self, fault: Fault, percent: usize) -> bool {
        self.fault == Some(fault) && self.dice.percent(percent)
    }

    pub(crate) fn run(&mut self) {
        let halves = self.dice.between(1, 3);
        for _ in 0..halves {
            (0..STEPS).for_each(|_| self.step());
            self.rest();
            self.check();
        }
        self.there().into_iter().for_each(|key| self.go(key));
        self.rest();
        self.check_empty();
    }

    fn step(&mut self) {
        match self.dice.weighted(&[60, 300, 120, 60, 60, 30, 14, 30, 2, 2, 2, 2, 3, 3]) {
            0 => self.sign_in(),
            1 => drop(self.deliver_some()),
            2 => self.turn_some(),
            3 => drop(self.work()),
            4 => drop(self.answer()),
            5 => self.someone_goes(),
            6 => self.time_passes(),
            7 => self.a_view_comes(),
            8 => self.join(),
            9 => self.someone_dies(),
            10 => self.someone_is_cut_off(),
            11 => self.bury_some(),
            12 => self.a_link_suffers(),
            _ => self.bus.heal(),
        }
    }

    // --- engines

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

    fn turn_some(&mut self) {
        let shards = self.all_shards();
        if !shards.is_empty() {
            let (peer, shard) = *self.dice.pick(&shards);
            self.turn(peer, shard);
        }
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
            if self.hears((peer, send.conn), send.segment.bytes())
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
            if let Some(engine) = self.feed(peer, shard) {
                engine.released(conn);
            }
        }
        self.store.ask(peer, shard, questions);
        self.post(peer, shard, letters);
        moved
    }

    fn time_passes(&mut self) {
        let milliseconds = if self.dice.percent(80) { self.dice.between(1, 200) } else { self.dice.between(200, 4_000) };
        self.advance(Duration::from_millis(milliseconds as u64));
    }

    fn advance(&mut self, time: Duration) {
        self.now.moment = self.now.moment + time;
        self.now.wall.0 += time.as_micros() as i64;
        let now = self.now;
        for (peer, shard) in self.all_shards() {
            if let Some(engine) = self.feed(peer, shard)
                && engine.next_deadline().is_some_and(|due| due <= now.moment)
            {
                engine.tick(now);
            }
        }
    }

    // --- nodes

    /// A node takes a slot that is free, with one to three shards.
    fn join(&mut self) {
        let free: Vec<NodeSlot> = (0..SLOTS as u8).map(NodeSlot).filter(|slot| !self.store.members.contains_key(slot)).collect();
        if free.is_empty() {
            return;
        }
        self.epochs += 1;
        let member = Member { slot: *self.dice.pick(&free), epoch: self.epochs, shards: self.dice.between(1, 3) as u8 };
        note!(self, "{member:?} comes");
        self.count("nodes that came");
        let alone = Arc::new(HashRing::of(Arc::new(View::new(0, vec![member]))));
        let engine = |id: ShardId| {
            let birth = Birth { id, start: self.now.moment, seed: self.seed ^ self.epochs };
            Engine::new(birth, alone.clone(), Limits::default(), self.rules.clone(), Arc::new(Counters::default()))
        };
        let engines = member.shards().map(engine).collect();
        self.nodes.insert((member.slot, member.epoch), Node { engines });
        self.store.join(member);
    }

    /// A shard that the dice choose hears of the newest view.
    fn a_view_comes(&mut self) {
        let shards = self.all_shards();
        if !shards.is_empty() {
            let (peer, shard) = *self.dice.pick(&shards);
            self.tell_view(peer, shard);
        }
    }

    fn tell_view(&mut self, peer: Peer, shard: ShardId) {
        if !self.store.is_member(peer) {
            return;
        }
        // What it said before is of the view before.
        self.turn(peer, shard);
        let (ring, now) = (self.store.newest(), self.now);
        note!(self, "{shard} hears of view {}", ring.view().number());
        if let Some(engine) = self.feed(peer, shard) {
            engine.view(ring, now);
            self.count("views");
        }
    }

    fn living(&self) -> Vec<Peer> {
        self.nodes.keys().copied().filter(|peer| self.store.is_member(*peer)).collect()
    }

    fn someone_dies(&mut self) {
        let living = self.living();
        if living.len() > 1 {
            let peer = *self.dice.pick(&living);
            self.die(peer);
        }
    }

    fn die(&mut self, peer: Peer) {
        note!(self, "{peer:?} dies");
        self.count("nodes that died");
        self.blur(peer);
        self.nodes.remove(&peer);
        self.bus.forget(peer);
        self.forget_some_questions(peer);
    }

    /// Nobody on this node counts any more, and what its homes have not told everybody nobody tells.
    fn blur(&mut self, peer: Peer) {
        for shard in self.shards_of(peer) {
            let questions = self.feed(peer, shard).map(|engine| mem::take(engine.questions())).unwrap_or_default();
            self.store.ask(peer, shard, questions);
        }
        self.store.orphan_all(peer);
        let shards = self.all_shards();
        let mut views: Vec<Arc<HashRing>> = self.store.views.iter().rev().take(4).cloned().collect();
        let seen = shards.iter().filter_map(|(peer, shard)| self.seen(*peer, *shard)).map(|view| view.number()).min();
        views.extend(self.store.views.iter().skip(seen.unwrap_or(1).saturating_sub(2) as usize).cloned());
        let is_home = |room: ClassroomId| views.iter().any(|ring| ring.home(room.as_bytes()).node() == peer.0);
        for ((own, _), student) in &mut self.students {
            student.is_over |= *own == peer;
            student.is_blurred |= is_home(student.room);
        }
    }

    /// A node is cut off for so long that the others bury it, and goes on for a while without knowing.
    fn someone_is_cut_off(&mut self) {
        let living = self.living();
        if living.len() < 2 {
            return;
        }
        let peer = *self.dice.pick(&living);
        note!(self, "{peer:?} is cut off");
        self.count("nodes that were cut off");
        living.into_iter().filter(|other| *other != peer).for_each(|other| self.bus.part(peer, other));
        self.blur(peer);
        self.bury(peer);
    }

    fn bury_some(&mut self) {
        let dead: Vec<Peer> =
            self.store.members.values().map(|own| (own.slot, own.epoch)).filter(|own| !self.nodes.contains_key(own)).collect();
        if !dead.is_empty() {
            let peer = *self.dice.pick(&dead);
            self.bury(peer);
        }
    }

    fn bury(&mut self, peer: Peer) {
        let others: Vec<Peer> = self.living().into_iter().filter(|other| *other != peer).collect();
        if others.is_empty() {
            return;
        }
        self.count("burials");
        let undertaker = *self.dice.pick(&others);
        let first = ShardId::of(undertaker.0, 0);
        self.tell_view(undertaker, first);
        let buried = self.store.bury(peer);
        note!(self, "{undertaker:?} buries {peer:?}: {buried:?}");
        if let Some(engine) = self.feed(undertaker, first) {
            engine.mourn(peer.0, buried);
        }
        self.tell_view(undertaker, first);
    }

    fn a_link_suffers(&mut self) {
        let living = self.living();
        if living.len() < 2 {
            return;
        }
        let (one, other) = (*self.dice.pick(&living), *self.dice.pick(&living));
        if one == other {
            return;
        }
        if self.dice.percent(50) {
            note!(self, "{one:?} and {other:?} are parted");
            self.count("parted pairs");
            self.bus.part(one, other);
        } else {
            note!(self, "the link of {one:?} and {other:?} breaks");
            self.count("links that broke");
            self.bus.break_link(one, other);
        }
    }

    fn someone_goes(&mut self) {
        let there = self.there();
        if !there.is_empty() {
            let key = *self.dice.pick(&there);
            self.go(key);
        }
    }

    // --- rest

    /// The network heals, the dead are buried, and everything that is on its way arrives.
    fn rest(&mut self) {
        note!(self, "all comes to rest");
        self.bus.heal();
        let fenced: Vec<Peer> = self.nodes.keys().copied().filter(|peer| !self.store.is_member(*peer)).collect();
        for peer in fenced {
            self.nodes.remove(&peer);
            self.bus.forget(peer);
        }
        while self.store.members.values().any(|own| !self.nodes.contains_key(&(own.slot, own.epoch))) {
            self.bury_some();
        }
        for (peer, shard) in self.all_shards() {
            self.tell_view(peer, shard);
        }
        self.come_to_rest();
        // Longer than a row is waited for, and than a peer may take to end.
        for _ in 0..3 {
            self.advance(Duration::from_secs(11));
            self.come_to_rest();
        }
    }

    /// Until nothing moves.
    pub(crate) fn come_to_rest(&mut self) {
        for _ in 0..PATIENCE {
            let mut moved = self.deliver_some() | self.work() | self.answer();
            if !moved {
                for (peer, shard) in self.all_shards() {
                    moved |= self.turn(peer, shard);
                }
            }
            if !moved {
                return;
            }
        }
        panic!("it never comes to rest");
    }
}
