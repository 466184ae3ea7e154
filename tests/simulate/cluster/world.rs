//! The world of several nodes: what may happen in a run, and when all must come to rest. All of it obeys the dice.

use super::{
    bus::Bus,
    census::{Censuses, Looks},
    faults::Fault,
    node::{Arrival, Node},
    school::School,
    store::{Peer, Store},
    students::Student,
};
use crate::{
    clients::EPOCH,
    dice::Dice,
    quiz::store::Outside,
    world::{house, note},
};
use homeroom::{
    engine::{Birth, Counters, Engine, Entrance, Limits, Rules, SocketApi},
    protocols::{presence::record::Buried, quiz::QuizId},
    realtime::{ClassroomId, ConnId, HashRing, Moment, NodeSlot, Now, ShardId, View, view::Member},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// What a few hundred runs must have seen.
const MUST_HAPPEN: [&str; 23] = [
    "signed in",
    "entered",
    "left",
    "replaced",
    "rows",
    "rows taken over",
    "nodes that came",
    "nodes that died",
    "nodes that were cut off",
    "nodes that were back at once",
    "burials",
    "links that broke",
    "parted pairs",
    "views",
    "records",
    "asks answered",
    "asks refused",
    "events heard",
    "lost packets",
    "outages of the store",
    "censuses",
    "rows of nobody",
    "members without a row",
];
/// As many slots there are.
const SLOTS: usize = 4;
const STEPS: usize = 600;
/// More than all that is on its way can take.
const PATIENCE: usize = 2_000;

/// Everything.
pub(crate) struct Cluster {
    pub(crate) dice: Dice,
    /// The last events in words, when somebody wants to read them.
    pub(crate) story: Option<VecDeque<String>>,
    pub(crate) now: Now,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) censuses: Censuses,
    pub(crate) looks: Looks,
    pub(crate) students: BTreeMap<(Peer, ConnId), Student>,
    pub(crate) school: School,
    pub(crate) rooms: Vec<ClassroomId>,
    pub(crate) nodes: BTreeMap<Peer, Node>,
    /// Nothing is lost any more, and nobody is away.
    pub(crate) calm: bool,
    fault: Option<Fault>,
    rules: Arc<Rules>,
    reached: BTreeMap<&'static str, u64>,
    epochs: u64,
    /// Of each that died: the last epoch that there was then.
    deaths: BTreeMap<Peer, u64>,
    seed: u64,
}

impl Cluster {
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Cluster {
        let mut dice = Dice::new(seed);
        let rooms = (0..dice.between(1, 4)).map(|_| ClassroomId::from_u64_pair(dice.number(), dice.number())).collect();
        let quizzes = if dice.percent(60) { dice.between(1, 3) } else { 0 };
        let rules =
            house([SocketApi::Presence, SocketApi::Quiz].map(|api| Entrance { sockets: vec![("/ws".into(), api)] }).into());
        let mut cluster = Cluster {
            story: None,
            now: Now { moment: Moment(1_000_000), wall: EPOCH },
            store: Store::default(),
            bus: Bus::new(&mut dice),
            censuses: Censuses::of(seed, fault),
            looks: Looks::default(),
            calm: false,
            students: BTreeMap::new(),
            school: School::new(Outside::new(&mut dice, quizzes, 1)),
            rooms,
            nodes: BTreeMap::new(),
            fault,
            rules: Arc::new(rules),
            reached: MUST_HAPPEN.into_iter().map(|name| (name, 0)).collect(),
            epochs: 0,
            deaths: BTreeMap::new(),
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
            self.all_count();
            self.check();
        }
        self.there().into_iter().for_each(|key| self.go(key));
        let listening: Vec<_> = self.school.listening.iter().filter(|(_, own)| !own.is_over).map(|(key, _)| *key).collect();
        listening.into_iter().for_each(|key| self.listener_goes(key));
        self.rest();
        for quiz in self.school.all.iter().map(|quiz| quiz.id).collect::<Vec<_>>() {
            let ask = self.force(quiz);
            self.ask_somewhere(ask);
        }
        self.rest();
        // Longer than a quiz that nobody needs stays in memory.
        self.advance(Duration::from_secs(70));
        self.rest();
        self.all_count();
        self.check_school();
        self.check_empty();
        self.check_censuses();
    }

    fn step(&mut self) {
        let listeners = if self.school.all.is_empty() { 0 } else { 15 };
        let censuses = if self.censuses == Censuses::None { 0 } else { 20 };
        let deaths = if self.censuses == Censuses::AmongTheLiving { 0 } else { 1 };
        match self.dice.weighted(&[
            60,
            300,
            120,
            60,
            60,
            30,
            14,
            30,
            2,
            12 * deaths,
            12 * deaths,
            4,
            10,
            4,
            100,
            2,
            2,
            listeners,
            listeners / 3,
            4 * listeners,
            3 * deaths,
            censuses,
            2 * censuses,
            if self.censuses == Censuses::AmongTheDying { 1 } else { 0 },
        ]) {
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
            13 => self.bus.heal(),
            14 => self.some_gateway(),
            15 => self.store_comes_or_goes(),
            16 => self.someone_sees_that_he_was_buried(),
            17 => self.listener_comes(),
            18 => self.a_listener_goes(),
            19 => self.ask_of_quiz(),
            20 => self.someone_is_back_at_once(),
            21 => self.someone_counts(),
            22 => drop(self.a_part_comes()),
            _ => self.a_row_is_lost(),
        }
    }

    // --- nodes

    /// A node takes a slot that is free, with one to three shards.
    fn join(&mut self) {
        let free: Vec<NodeSlot> = (0..SLOTS as u8).map(NodeSlot).filter(|slot| !self.store.members.contains_key(slot)).collect();
        if free.is_empty() {
            return;
        }
        let slot = *self.dice.pick(&free);
        let member = self.next_life(slot);
        self.store.join(member);
        self.begin_node(member, None);
    }

    fn next_life(&mut self, slot: NodeSlot) -> Member {
        self.epochs += 1;
        Member { slot, epoch: self.epochs, shards: self.dice.between(1, 3) as u8 }
    }

    /// A node dies and is back before anybody has noticed.
    fn someone_is_back_at_once(&mut self) {
        let living = self.living();
        if living.is_empty() || !self.is_settled() {
            return;
        }
        let peer = *self.dice.pick(&living);
        self.die(peer);
        let member = self.next_life(peer.0);
        let bereaved = self.store.take_over(peer, member);
        self.count("nodes that were back at once");
        self.begin_node(member, Some((peer, bereaved)));
    }

    /// A process begins, which knows who was there in its last life.
    fn begin_node(&mut self, member: Member, bereaved: Option<(Peer, Vec<Buried>)>) {
        note!(self, "{member:?} comes: {bereaved:?}");
        self.count("nodes that came");
        let alone = Arc::new(HashRing::of(Arc::new(View::new(0, vec![member]))));
        // As far apart as random ones are: what is said to a node's last life must not look as if it were for this one.
        let seed = (self.seed ^ self.epochs).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let engine = |id: ShardId| {
            let birth = Birth { id, start: self.now.moment, seed };
            Engine::new(birth, alone.clone(), Limits::default(), self.rules.clone(), Arc::new(Counters::default()))
        };
        let mut engines: Vec<Engine> = member.shards().map(engine).collect();
        if let (Some((dead, bereaved)), Some(first)) = (bereaved, engines.first_mut()) {
            first.mourn(dead, bereaved);
        }
        let peer = (member.slot, member.epoch);
        self.nodes.insert(peer, Node::new(peer, engines, self.store.newest()));
    }

    /// A node that the dice choose hears of the next view.
    fn a_view_comes(&mut self) {
        let living = self.living();
        if !living.is_empty() {
            let peer = *self.dice.pick(&living);
            self.tell_view(peer);
        }
    }

    fn store_comes_or_goes(&mut self) {
        self.store.is_away = !self.store.is_away;
        note!(self, "the store is {}", if self.store.is_away { "away" } else { "back" });
        self.count("outages of the store");
    }

    fn someone_sees_that_he_was_buried(&mut self) {
        let fenced: Vec<Peer> = self.nodes.keys().copied().filter(|peer| !self.store.is_member(*peer)).collect();
        if !fenced.is_empty() {
            let peer = *self.dice.pick(&fenced);
            self.end_node(peer);
        }
    }

    fn end_node(&mut self, peer: Peer) {
        note!(self, "{peer:?} is no more");
        self.nodes.remove(&peer);
        self.bus.forget(peer);
        self.looks.forget(peer);
        self.forget_some_questions(peer);
        self.school.forget(peer);
    }

    pub(crate) fn living(&self) -> Vec<Peer> {
        self.nodes.keys().copied().filter(|peer| self.store.is_member(*peer)).collect()
    }

    /// Whether everybody has reached the newest view, so that the next misfortune may come. Of two at once the second may take with it
    /// what was known of the first.
    fn is_settled(&self) -> bool {
        self.censuses == Censuses::AmongTheDying || self.all_know()
    }

    /// Whether everybody has reached the newest view.
    pub(crate) fn all_know(&self) -> bool {
        let newest = self.store.newest().view().number();
        let is_there = |engine: &Engine| engine.seen().number() == newest && engine.is_whole();
        self.living().len() == self.store.members.len()
            && self.all_shards().into_iter().all(|(peer, shard)| self.engine(peer, shard).is_some_and(is_there))
    }

    fn someone_dies(&mut self) {
        let living = self.living();
        if living.len() > 1 && self.is_settled() {
            let peer = *self.dice.pick(&living);
            self.die(peer);
        }
    }

    fn die(&mut self, peer: Peer) {
        note!(self, "{peer:?} dies");
        self.count("nodes that died");
        self.deaths.insert(peer, self.epochs);
        self.blur(peer);
        self.end_node(peer);
    }

    /// Nobody on this node counts any more, and what its homes have not told everybody nobody tells.
    fn blur(&mut self, peer: Peer) {
        for shard in self.shards_of(peer) {
            let questions = self.feed(peer, shard).map(|engine| std::mem::take(engine.questions())).unwrap_or_default();
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
        let is_home = |quiz: QuizId| views.iter().any(|ring| ring.home(&quiz.place()).node() == peer.0);
        for ((own, _), listening) in &mut self.school.listening {
            listening.is_over |= *own == peer;
            listening.is_blurred |= listening.may_hear_of(is_home);
        }
    }

    /// A node is cut off for so long that the others bury it, and goes on for a while without knowing.
    fn someone_is_cut_off(&mut self) {
        let living = self.living();
        if living.len() < 2 || !self.is_settled() {
            return;
        }
        let peer = *self.dice.pick(&living);
        if self.undertakers(peer).is_empty() {
            return;
        }
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

    /// Who may take a node for dead. Nobody does before he has held his own place as long as a lease runs: those who were there at the
    /// death can do so before any who has come since, and have long heard of their first view. Where none of them lives another does.
    fn undertakers(&self, peer: Peer) -> Vec<Peer> {
        let last = self.deaths.get(&peer).copied().unwrap_or(self.epochs);
        let mut others = self.living();
        others.retain(|other| *other != peer && self.nodes[other].known > 0);
        if others.iter().any(|other| other.1 <= last) {
            others.retain(|other| other.1 <= last);
        }
        others
    }

    fn bury(&mut self, peer: Peer) {
        let others = self.undertakers(peer);
        if others.is_empty() {
            return;
        }
        self.count("burials");
        let undertaker = *self.dice.pick(&others);
        let buried = self.store.bury(peer);
        note!(self, "{undertaker:?} buries {peer:?}: {buried:?}");
        if let Some(node) = self.nodes.get_mut(&undertaker) {
            node.inboxes[0].push_back(Arrival::Mourn(peer, buried));
        }
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
        if self.dice.percent(50) || !self.is_settled() {
            note!(self, "{one:?} and {other:?} are parted");
            self.count("parted pairs");
            self.bus.part(one, other);
        } else {
            note!(self, "the link of {one:?} and {other:?} breaks");
            self.break_link(one, other.0);
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
        (self.calm, self.store.is_away) = (true, false);
        let fenced: Vec<Peer> = self.nodes.keys().copied().filter(|peer| !self.store.is_member(*peer)).collect();
        fenced.into_iter().for_each(|peer| self.end_node(peer));
        for peer in self.living() {
            self.tell_view(peer);
        }
        while self.store.members.values().any(|own| !self.nodes.contains_key(&(own.slot, own.epoch))) {
            self.bury_some();
        }
        for peer in self.living() {
            while self.tell_view(peer) {}
        }
        self.come_to_rest();
        // Longer than a row is waited for, and than a peer may take to end.
        for _ in 0..3 {
            self.advance(Duration::from_secs(11));
            self.come_to_rest();
        }
        // Lists are told a little later than what has changed, and that may be that somebody's time was up.
        for _ in 0..PATIENCE {
            let written = self.reached["records"];
            self.advance(Duration::from_secs(1));
            self.come_to_rest();
            if self.reached["records"] == written {
                break;
            }
        }
        self.calm = false;
    }

    /// Until nothing moves, and no link waits for anything.
    pub(crate) fn come_to_rest(&mut self) {
        for _ in 0..PATIENCE {
            if self.all_moves() {
                continue;
            }
            let due = self.nodes.values().filter_map(|node| node.links.deadline()).min();
            let Some(due) = due else { return };
            self.advance(due.since(self.now.moment).max(Duration::from_millis(1)));
        }
        panic!("it never comes to rest");
    }

    fn all_moves(&mut self) -> bool {
        let mut moved = self.deliver_all();
        while self.work() | self.answer() | self.a_part_comes() {
            moved = true;
        }
        self.poll_asks();
        for (peer, shard) in self.all_shards() {
            while self.arrive(peer, shard) {
                moved = true;
            }
            moved |= self.turn(peer, shard);
        }
        for peer in self.living() {
            moved |= self.gateway(peer);
        }
        moved
    }
}
