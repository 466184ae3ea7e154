//! What carries packets between nodes, and letters between the shards of one: the first may lose, double and mix up, the second may not.

use super::{store::Peer, world::Cluster};
use crate::{dice::Dice, world::note};
use homeroom::{
    cluster::{Node, Packet},
    engine::Letter,
    realtime::ShardId,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// See the file.
pub(crate) struct Bus {
    mesh: BTreeMap<(Peer, ShardId, ShardId), VecDeque<Letter>>,
    packets: Vec<Packet>,
    /// Nothing comes through from one to the other, and back.
    parted: BTreeSet<(Peer, Peer)>,
    /// Of a hundred packets: how many are lost, how many come twice, how many overtake others.
    lost: usize,
    doubled: usize,
    mixed: usize,
}

pub(crate) fn peer_of(node: Node) -> Peer {
    (node.slot, node.epoch)
}

impl Bus {
    pub(crate) fn new(dice: &mut Dice) -> Bus {
        let mut rate = |rates: &[usize]| *dice.pick(rates);
        let (lost, doubled, mixed) = (rate(&[0, 3, 20]), rate(&[0, 5]), rate(&[0, 10, 60]));
        Bus { mesh: BTreeMap::new(), packets: Vec::new(), parted: BTreeSet::new(), lost, doubled, mixed }
    }

    pub(crate) fn heal(&mut self) {
        self.parted.clear();
    }

    pub(crate) fn part(&mut self, one: Peer, other: Peer) {
        self.parted.extend([(one, other), (other, one)]);
    }

    /// A process is no more.
    pub(crate) fn forget(&mut self, peer: Peer) {
        self.mesh.retain(|(own, _, _), _| *own != peer);
        self.packets.retain(|packet| peer_of(packet.header.from) != peer && peer_of(packet.header.to) != peer);
        self.parted.retain(|(from, to)| *from != peer && *to != peer);
    }

    pub(crate) fn within(&mut self, peer: Peer, from: ShardId, to: ShardId) -> &mut VecDeque<Letter> {
        self.mesh.entry((peer, from, to)).or_default()
    }

    /// Takes a packet, which may be lost at once, or come twice.
    pub(crate) fn put(&mut self, packet: Packet, dice: &mut Dice, calm: bool) -> bool {
        let pair = (peer_of(packet.header.from), peer_of(packet.header.to));
        if self.parted.contains(&pair) || (!calm && dice.percent(self.lost)) {
            return false;
        }
        if !calm && dice.percent(self.doubled) {
            self.packets.push(packet.clone());
        }
        self.packets.push(packet);
        true
    }
}

impl Cluster {
    /// A packet comes, or a letter within a node. Whether there was one.
    pub(crate) fn deliver_some(&mut self) -> bool {
        let waiting: Vec<_> = self.bus.mesh.iter().filter(|(_, letters)| !letters.is_empty()).map(|(key, _)| *key).collect();
        if !waiting.is_empty() && self.dice.percent(60) {
            let key = *self.dice.pick(&waiting);
            return self.deliver_within(key);
        }
        if self.bus.packets.is_empty() {
            return false;
        }
        let overtakes = self.dice.percent(self.bus.mixed);
        let at = if overtakes { self.dice.below(self.bus.packets.len()) } else { 0 };
        self.deliver_packet(at);
        true
    }

    /// All that is on its way now arrives. Whether there was anything.
    pub(crate) fn deliver_all(&mut self) -> bool {
        let packets = self.bus.packets.len();
        (0..packets).for_each(|_| self.deliver_packet(0));
        let waiting: Vec<_> = self.bus.mesh.keys().copied().collect();
        let mut moved = packets > 0;
        for key in waiting {
            while self.deliver_within(key) {
                moved = true;
            }
        }
        moved
    }

    fn deliver_within(&mut self, key: (Peer, ShardId, ShardId)) -> bool {
        let Some(letter) = self.bus.mesh.get_mut(&key).and_then(VecDeque::pop_front) else { return false };
        let (peer, from, to) = key;
        note!(self, "{from} -> {to}: {letter:?}");
        let now = self.now;
        if let Some(engine) = self.feed(peer, to) {
            engine.letter(from, letter, now);
        }
        true
    }

    fn deliver_packet(&mut self, at: usize) {
        if at >= self.bus.packets.len() {
            return;
        }
        let packet = self.bus.packets.remove(at);
        let (from, to) = (peer_of(packet.header.from), peer_of(packet.header.to));
        if !self.bus.parted.contains(&(from, to)) {
            self.packet_comes(to, packet);
        }
    }
}
