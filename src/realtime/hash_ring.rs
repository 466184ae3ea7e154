//! Where a key is at home: consistent hashing, the same on every node, in every release and after every restart.
//!
//! The hash is XXH3-64 without a seed: its specification is frozen, unlike that of the faster table hashes (foldhash, ahash,
//! std), which may change with a version or differ from process to process. A changed hash would move homes, so a test pins its values.

use crate::realtime::{ShardId, View};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Points of each shard on the ring. A shard's share then differs from the mean by about 1/√512, 4 %.
const POINTS_PER_SHARD: u16 = 512;

/// Places keys on the shards of a view. When a shard is added, about one key in so many moves, and only to the new one.
#[derive(Clone, Debug)]
pub struct HashRing {
    view: Arc<View>,
    /// Ordered. A key belongs to the first point at or after its hash, after the last to the first.
    points: Vec<(u64, ShardId)>,
    /// For each value of a hash's leading bits: the first point that is not before it. So a search begins about one point from its end.
    begins: Vec<u32>,
}

impl HashRing {
    /// The ring of a node that stands alone with `shards` (at least one).
    pub fn new(shards: u16) -> HashRing {
        HashRing::of(Arc::new(View::alone(shards)))
    }

    /// The ring over all shards of a view, equal wherever the view is. Takes about 100 microseconds for each shard: one for a whole node is
    /// made, and not on a shard.
    pub fn of(view: Arc<View>) -> HashRing {
        let mut points = Vec::with_capacity(view.shard_count() * usize::from(POINTS_PER_SHARD));
        for shard in view.shards() {
            for point in 0..POINTS_PER_SHARD {
                let [shard_low, shard_high] = shard.0.to_le_bytes();
                let [point_low, point_high] = point.to_le_bytes();
                points.push((xxh3_64(&[shard_low, shard_high, point_low, point_high]), shard));
            }
        }
        if points.is_empty() {
            points.push((0, ShardId(0)));
        }
        points.sort_unstable();
        let buckets = points.len().next_power_of_two().max(2);
        let shift = shift(buckets);
        let begins = (0..buckets as u64).map(|lead| points.partition_point(|(point, _)| *point < lead << shift) as u32).collect();
        HashRing { view, points, begins }
    }

    /// Whose shards it places keys on.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Every shard of every node, in order.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        let view = self.view.clone();
        (0..view.members().len()).flat_map(move |at| view.members()[at].shards())
    }

    /// The home of a key.
    pub fn home(&self, key: &[u8]) -> ShardId {
        self.home_of_hash(xxh3_64(key))
    }

    /// The home of a key of which the XXH3-64 is known.
    pub fn home_of_hash(&self, hash: u64) -> ShardId {
        let begin = self.begins[(hash >> shift(self.begins.len())) as usize] as usize;
        let after = self.points[begin..].iter().find(|(point, _)| *point >= hash);
        after.unwrap_or(&self.points[0]).1
    }
}

/// How far a hash is shifted to number one of `buckets` (a power of two, at least 2).
fn shift(buckets: usize) -> u32 {
    u64::BITS - buckets.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::{NodeSlot, view::Member};
    use uuid::Uuid;

    fn keys(count: u128) -> impl Iterator<Item = Uuid> {
        (0..count).map(|n| Uuid::from_u128(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)))
    }

    /// XXH3-64 of nothing as the reference implementation gives it, and placements that must not change.
    #[test]
    fn the_hash_is_pinned() {
        assert_eq!(xxh3_64(b""), 0x2D06_8005_38D3_94C2);
        let ring = HashRing::new(8);
        let homes: Vec<_> = keys(12).map(|key| ring.home(key.as_bytes()).0).collect();
        assert_eq!(homes, [2, 7, 1, 1, 0, 1, 2, 3, 1, 4, 0, 7]);
    }

    #[test]
    fn searches_as_a_plain_ring() {
        let ring = HashRing::new(5);
        let hashes = keys(10_000).map(|key| xxh3_64(key.as_bytes()));
        let edges = ring.points.iter().flat_map(|(point, _)| [point.wrapping_sub(1), *point, point.wrapping_add(1)]);
        for hash in hashes.chain(edges).chain([0, u64::MAX]) {
            let index = ring.points.partition_point(|(point, _)| *point < hash);
            assert_eq!(ring.home_of_hash(hash), ring.points[index % ring.points.len()].1);
        }
    }

    #[test]
    fn shares_are_even() {
        const KEYS: u128 = 50_000;
        for shards in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64] {
            let ring = HashRing::new(shards);
            let mut counts = vec![0_u32; usize::from(shards)];
            keys(KEYS).for_each(|key| counts[ring.home(key.as_bytes()).index()] += 1);
            let mean = KEYS as f64 / f64::from(shards);
            let most = f64::from(*counts.iter().max().unwrap()) / mean;
            let least = f64::from(*counts.iter().min().unwrap()) / mean;
            assert!(most <= 1.25 && least >= 0.75, "{shards} shards: {least:.3} to {most:.3} of the mean");
        }
    }

    #[test]
    fn growth_moves_few_and_only_to_the_new_shard() {
        const KEYS: u128 = 20_000;
        let mut before = HashRing::new(1);
        for shards in 2..=64 {
            let after = HashRing::new(shards);
            let mut moved = 0;
            for key in keys(KEYS) {
                let (from, to) = (before.home(key.as_bytes()), after.home(key.as_bytes()));
                if from != to {
                    assert_eq!(to, ShardId(shards - 1));
                    moved += 1;
                }
            }
            let share = f64::from(moved) / KEYS as f64;
            assert!(share <= 1.5 / f64::from(shards) && share > 0.5 / f64::from(shards), "{shards}: {share}");
            before = after;
        }
    }

    #[test]
    fn no_shard_is_one_shard() {
        assert_eq!(HashRing::new(0).home(b"x"), ShardId(0));
        assert_eq!(HashRing::of(Arc::new(View::new(3, Vec::new()))).home(b"x"), ShardId(0));
    }

    fn member(slot: u8, shards: u8) -> Member {
        Member { slot: NodeSlot(slot), epoch: u64::from(slot), shards }
    }

    #[test]
    fn a_node_that_dies_moves_its_own_keys_alone() {
        let before = HashRing::of(Arc::new(View::new(1, vec![member(0, 2), member(1, 2), member(4, 2)])));
        let after = HashRing::of(Arc::new(View::new(2, vec![member(0, 2), member(4, 2)])));
        let mut moved = 0;
        for key in keys(9_000) {
            let (from, to) = (before.home(key.as_bytes()), after.home(key.as_bytes()));
            assert_eq!(from != to, from.node() == NodeSlot(1));
            moved += u32::from(from != to);
        }
        assert!((2_000..4_000).contains(&moved), "{moved}");
    }

    #[test]
    fn the_first_node_places_as_one_that_stands_alone() {
        let alone = HashRing::new(4);
        let first = HashRing::of(Arc::new(View::new(7, vec![Member { slot: NodeSlot(0), epoch: 31, shards: 4 }])));
        assert!(keys(2_000).all(|key| alone.home(key.as_bytes()) == first.home(key.as_bytes())));
        assert_eq!(first.shards().collect::<Vec<_>>(), [ShardId(0), ShardId(1), ShardId(2), ShardId(3)]);
    }
}
