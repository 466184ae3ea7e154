//! The letters of engines on the bus.

use super::codec::{Codec, Unreadable};
use crate::{
    cluster::{Packet, codec},
    engine::Letter,
    realtime::{NodeSlot, ShardId},
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// See the file.
#[derive(Default)]
pub struct Letters {
    gathered: BTreeMap<NodeSlot, codec::Letters>,
    /// Bodies that were large before the turn was over, in order; none: one that cannot be written.
    written: Vec<(NodeSlot, Option<Bytes>)>,
}

impl Codec for Letters {
    type Letter = Letter;

    fn put(&mut self, from: ShardId, to: ShardId, letter: Letter) {
        let slot = to.node();
        let gathered = self.gathered.entry(slot).or_default();
        if gathered.is_full() {
            self.written.push((slot, gathered.write().ok()));
        }
        gathered.push(from, to, letter);
    }

    fn take(&mut self, mut each: impl FnMut(NodeSlot, Option<Bytes>)) {
        self.written.drain(..).for_each(|(slot, body)| each(slot, body));
        for (slot, gathered) in self.gathered.iter_mut().filter(|(_, gathered)| !gathered.is_empty()) {
            each(*slot, gathered.write().ok());
        }
    }

    fn read(&self, slot: NodeSlot, body: &Bytes, mut each: impl FnMut(ShardId, ShardId, Letter)) -> Result<(), Unreadable> {
        for codec::Addressed { from, to, letter } in codec::read_letters(body).map_err(|_| Unreadable)? {
            if from.node() != slot {
                return Err(Unreadable);
            }
            each(from, to, letter);
        }
        Ok(())
    }

    fn bytes(packet: &Packet) -> Bytes {
        codec::write_packet(packet)
    }

    fn packet(message: Bytes) -> Result<Packet, Unreadable> {
        codec::read_packet(message).map_err(|_| Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: ShardId = ShardId(0x0101);
    const THERE: ShardId = ShardId(0x0200);

    fn said(letters: &mut Letters) -> Vec<(NodeSlot, Bytes)> {
        let mut said = Vec::new();
        letters.take(|slot, body| said.push((slot, body.unwrap())));
        said
    }

    #[test]
    fn a_turn_is_one_body_for_each_node() {
        let mut letters = Letters::default();
        for view in 0..3 {
            letters.put(HERE, THERE, Letter::ViewReached { view });
            letters.put(HERE, ShardId(5), Letter::ViewReached { view });
        }
        let bodies = said(&mut letters);
        assert_eq!(bodies.iter().map(|(slot, _)| slot.0).collect::<Vec<_>>(), [0, 2]);
        let mut came = Vec::new();
        let read = letters.read(NodeSlot(1), &bodies[1].1, |from, to, letter| {
            assert_eq!((from, to), (HERE, THERE));
            came.push(matches!(letter, Letter::ViewReached { view } if view == came.len() as u64));
        });
        assert_eq!((read, came), (Ok(()), vec![true; 3]));
        assert_eq!(letters.read(NodeSlot(7), &bodies[1].1, |_, _, _| panic!("of another node")), Err(Unreadable));
        assert_eq!(letters.read(NodeSlot(1), &Bytes::from_static(b"rubbish"), |_, _, _| panic!("none")), Err(Unreadable));
        assert!(said(&mut letters).is_empty());
    }
}
