//! Where a key is at home: consistent hashing, the same on every node, in every release and after every restart.
//!
//! The hash is XXH3-64 without a seed: its specification is frozen, unlike that of the faster table hashes (foldhash, ahash,
//! std), which may change with a version or differ from process to process. A changed hash would move homes, so a test pins its values.

use crate::realtime::ShardId;
use xxhash_rust::xxh3::xxh3_64;

/// Points of each shard on the ring. A shard's share then differs from the mean by about 1/√512, 4 %.
const POINTS_PER_SHARD: u16 = 512;

/// Places keys on shards. When a shard is added, about one key in so many moves, and only to the new one.
#[derive(Clone, Debug)]
pub struct HashRing {
    shards: u16,
    /// Ordered. A key belongs to the first point at or after its hash, after the last to the first.
    points: Vec<(u64, ShardId)>,
    /// For each value of a hash's leading bits: the first point that is not before it. So a search begins about one point from its end.
    begins: Vec<u32>,
}

impl HashRing {
    /// A ring of `shards` (at least one).
    pub fn new(shards: u16) -> HashRing {
        let shards = shards.max(1);
        let mut points = Vec::with_capacity(usize::from(shards) * usize::from(POINTS_PER_SHARD));
        for shard in 0..shards {
            for point in 0..POINTS_PER_SHARD {
                let [shard_low, shard_high] = shard.to_le_bytes();
                let [point_low, point_high] = point.to_le_bytes();
                points.push((xxh3_64(&[shard_low, shard_high, point_low, point_high]), ShardId(shard)));
            }
        }
        points.sort_unstable();
        let buckets = points.len().next_power_of_two();
        let shift = shift(buckets);
        let begins = (0..buckets as u64).map(|lead| points.partition_point(|(point, _)| *point < lead << shift) as u32).collect();
        HashRing { shards, points, begins }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.shards
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

/// How far a hash is shifted to number one of `buckets` (a power of two, at least `POINTS_PER_SHARD`).
fn shift(buckets: usize) -> u32 {
    u64::BITS - buckets.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
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
    }
}
