//! How the bus and the links are doing: written by the gateway, read by whoever shows it.

use crate::{cluster::outside::Dropped, realtime::NodeSlot};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Each is exact by itself; together they are not one moment's picture.
#[derive(Default, Debug)]
pub struct Counts {
    /// Packets put on the bus, those with nothing but acknowledgements among them.
    pub packets_out: AtomicU64,
    /// Packets that came.
    pub packets_in: AtomicU64,
    /// Letters for shards of other nodes.
    pub letters_out: AtomicU64,
    /// Letters from shards of other nodes.
    pub letters_in: AtomicU64,
    /// Letters for nodes that had left.
    pub letters_lost: AtomicU64,
    /// Packets that went out not for the first time.
    pub resent: AtomicU64,
    /// Packets that the bus could not take at once.
    pub left: AtomicU64,
    /// Messages that could not be read.
    pub unreadable: AtomicU64,
    /// How often a link broke.
    pub broken: AtomicU64,
    /// How often the connection to NATS ended.
    pub disconnects: AtomicU64,
    /// Messages that came too fast and were dropped: links ask for them again.
    pub dropped: AtomicU64,
    /// Links to other nodes now.
    pub links: AtomicU64,
    /// Bytes that wait in links now.
    pub waiting_bytes: AtomicU64,
    /// The number of the view now.
    pub view: AtomicU64,
    /// Nodes in it.
    pub nodes: AtomicU64,
    /// Messages of other services that went on to their homes.
    pub outside_taken: AtomicU64,
    /// Messages of other services that were dropped, by [`Dropped::index`].
    pub outside_dropped: [AtomicU64; Dropped::REASONS.len()],
    /// Milliseconds since the nodes were last read.
    pub read_ago_millis: AtomicU64,
    connected: AtomicBool,
    hears: AtomicBool,
    /// Whether the others are to be asked if this node was buried, and whether one said so.
    doubts: AtomicBool,
    buried: AtomicBool,
    /// Whether this node takes what other services say.
    listens: AtomicBool,
    /// A bit for each slot: a shard cannot take what comes from there.
    to_break: [AtomicU64; 4],
}

impl Counts {
    /// Whether there is a connection to NATS.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Whether what this node says to itself by NATS has come back lately.
    pub fn hears(&self) -> bool {
        self.hears.load(Relaxed)
    }

    /// By a shard that cannot take any more from this node: what is on its way from there is to be taken for lost.
    pub fn ask_to_break(&self, node: NodeSlot) {
        self.to_break[usize::from(node.0 >> 6)].fetch_or(1 << (node.0 & 63), Relaxed);
    }

    /// Those that were asked for since the last time.
    pub(super) fn take_broken(&self) -> Vec<NodeSlot> {
        let words = self.to_break.iter().map(|word| word.swap(0, Relaxed)).enumerate();
        words
            .flat_map(|(at, word)| {
                (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| NodeSlot((at << 6) as u8 | bit))
            })
            .collect()
    }

    /// From now on this node takes what other services say, or no more: others are there for it.
    pub fn set_listens(&self, listens: bool) {
        self.listens.store(listens, Relaxed);
    }

    /// Whether this node can be sure of being one of the others.
    pub fn listens(&self) -> bool {
        self.listens.load(Relaxed)
    }

    /// Whether the others are to be asked, each second, if this node is still one of them.
    pub fn set_doubts(&self, doubts: bool) {
        self.doubts.store(doubts, Relaxed);
    }

    pub(super) fn doubts(&self) -> bool {
        self.doubts.load(Relaxed)
    }

    /// Whether another has said that this node is not one of them any more.
    pub fn is_buried(&self) -> bool {
        self.buried.load(Relaxed)
    }

    pub(super) fn set_buried(&self) {
        self.buried.store(true, Relaxed);
    }

    pub(super) fn set_connected(&self, is: bool) {
        self.connected.store(is, Relaxed);
    }

    pub(super) fn set_hears(&self, hears: bool) {
        self.hears.store(hears, Relaxed);
    }
}

/// One more, or more.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}

/// As it is now.
pub(super) fn set(gauge: &AtomicU64, value: u64) {
    gauge.store(value, Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_be_broken_are_told_once() {
        let counts = Counts::default();
        [0, 63, 64, 255, 255].map(NodeSlot).iter().for_each(|node| counts.ask_to_break(*node));
        assert_eq!(counts.take_broken(), [0, 63, 64, 255].map(NodeSlot));
        assert_eq!(counts.take_broken(), []);
    }
}
