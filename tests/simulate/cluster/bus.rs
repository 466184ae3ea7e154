//! Letters on their way: within a node, and between nodes, where they are late, wait while the network is parted, and are lost with a
//! link that breaks.

use super::{faults::Fault, store::Peer, world::Cluster};
use crate::{faults::double, world::note};
use homeroom::{
    engine::{Letter, Topic},
    protocols::presence::ToHome,
    realtime::{NodeSlot, ShardId},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

enum Packet {
    Letter(ShardId, ShardId, Letter),
    /// What was on its way between the two is lost.
    Broke,
}

/// See the file.
#[derive(Default)]
pub(crate) struct Bus {
    mesh: BTreeMap<(Peer, ShardId, ShardId), VecDeque<Letter>>,
    links: BTreeMap<(Peer, Peer), VecDeque<Packet>>,
    /// Nothing comes through from one to the other, and back.
    parted: BTreeSet<(Peer, Peer)>,
    /// The link broke, and the first does not know: what it says is lost.
    deaf: BTreeSet<(Peer, Peer)>,
}

impl Bus {
    pub(crate) fn heal(&mut self) {
        self.parted.clear();
    }

    pub(crate) fn part(&mut self, one: Peer, other: Peer) {
        self.parted.extend([(one, other), (other, one)]);
    }

    /// A process is no more.
    pub(crate) fn forget(&mut self, peer: Peer) {
        self.mesh.retain(|(own, _, _), _| *own != peer);
        self.links.retain(|(from, to), _| *from != peer && *to != peer);
        self.deaf.retain(|(from, to)| *from != peer && *to != peer);
    }

    pub(crate) fn break_link(&mut self, one: Peer, other: Peer) {
        for pair in [(one, other), (other, one)] {
            self.links.insert(pair, VecDeque::from([Packet::Broke]));
            self.deaf.insert(pair);
        }
    }
}

impl Cluster {
    /// Puts what a shard has to say on its way.
    pub(crate) fn post(&mut self, peer: Peer, from: ShardId, letters: Vec<(ShardId, Letter)>) {
        for (to, letter) in letters {
            if self.is_lost(&letter) {
                note!(self, "lost: {from} -> {to}: {letter:?}");
                continue;
            }
            if to.node() == from.node() {
                self.bus.mesh.entry((peer, from, to)).or_default().push_back(letter);
                continue;
            }
            let Some(epoch) = self.seen(peer, from).and_then(|view| view.epoch(to.node())) else { continue };
            let pair = (peer, (to.node(), epoch));
            if self.bus.deaf.contains(&pair) {
                continue;
            }
            let doubles = matches!(letter, Letter::Publish { .. }) && self.strikes(Fault::DoubledFrame, 20);
            let hastens = matches!(letter, Letter::ViewReached { .. }) && self.strikes(Fault::HastyReached, 70);
            let again = doubles.then(|| double(&letter));
            let link = self.bus.links.entry(pair).or_default();
            let begins = |packet: &Packet| matches!(packet, Packet::Letter(own, _, Letter::ViewBegins { .. }) if *own == from);
            let place = if hastens { link.iter().rposition(begins).map_or(0, |at| at + 1) } else { link.len() };
            link.insert(place, Packet::Letter(from, to, letter));
            link.extend(again.map(|letter| Packet::Letter(from, to, letter)));
        }
    }

    fn is_lost(&mut self, letter: &Letter) -> bool {
        match letter {
            Letter::Home(ToHome::Resume { .. }) => self.strikes(Fault::LostResume, 20),
            Letter::Home(ToHome::Bequest(_)) => self.strikes(Fault::LostBequest, 60),
            Letter::Home(ToHome::Leave { .. }) => self.strikes(Fault::LostLeave, 5),
            Letter::Home(ToHome::Told { .. }) => self.strikes(Fault::LostTold, 20),
            Letter::ViewReached { .. } => self.strikes(Fault::LostReached, 2),
            Letter::Publish { topic: Topic::Classroom(_), .. } => self.strikes(Fault::LostFrame, 5),
            _ => false,
        }
    }

    /// A letter comes, within a node or between two. Whether there was one.
    pub(crate) fn deliver_some(&mut self) -> bool {
        let local: Vec<_> = self.bus.mesh.iter().filter(|(_, letters)| !letters.is_empty()).map(|(key, _)| *key).collect();
        let is_open = |pair: &(Peer, Peer)| !self.bus.parted.contains(pair);
        let waiting = self.bus.links.iter().filter(|(pair, packets)| !packets.is_empty() && is_open(pair));
        let far: Vec<_> = waiting.map(|(pair, _)| *pair).collect();
        let choice = self.dice.below(local.len() + far.len());
        if let Some(key) = local.get(choice) {
            self.deliver_within(*key);
        } else if let Some(pair) = far.get(choice - local.len()) {
            self.deliver_between(*pair);
        } else {
            return false;
        }
        true
    }

    fn deliver_within(&mut self, key: (Peer, ShardId, ShardId)) {
        let Some(letter) = self.bus.mesh.get_mut(&key).and_then(VecDeque::pop_front) else { return };
        let (peer, from, to) = key;
        note!(self, "{from} -> {to}: {letter:?}");
        let now = self.now;
        if let Some(engine) = self.feed(peer, to) {
            engine.letter(from, letter, now);
        }
    }

    fn deliver_between(&mut self, (from, to): (Peer, Peer)) {
        let Some(packet) = self.bus.links.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return };
        let now = self.now;
        match packet {
            Packet::Letter(own, shard, letter) => {
                note!(self, "{from:?} {own} -> {shard}: {letter:?}");
                if let Some(engine) = self.feed(to, shard) {
                    engine.letter(own, letter, now);
                }
            }
            Packet::Broke => {
                note!(self, "{to:?} hears that its link to {from:?} broke");
                // What they said before they hear of it goes by the link that broke.
                for shard in self.shards_of(to) {
                    self.turn(to, shard);
                }
                self.bus.deaf.remove(&(to, from));
                if !self.strikes(Fault::UntoldBreak, 50) {
                    self.estrange(to, from);
                }
            }
        }
    }

    fn estrange(&mut self, peer: Peer, other: (NodeSlot, u64)) {
        let now = self.now;
        for shard in self.shards_of(peer) {
            if self.seen(peer, shard).is_some_and(|view| view.epoch(other.0) == Some(other.1))
                && let Some(engine) = self.feed(peer, shard)
            {
                engine.estranged(other.0, now);
            }
        }
    }
}
