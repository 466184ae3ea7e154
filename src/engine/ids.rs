//! Ids of what is made on sockets. The seed is random, so no two starts, no two shards and no two kinds make the same, and no id tells
//! another.

use super::Birth;
use crate::auth::veiled;
use uuid::Uuid;

/// For whom ids are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Messages of chat.
    Chat,
    /// Tasks, and sockets of tasks.
    Tasks,
    /// Refusals of labs at the stop.
    Refusal,
}

/// See the file.
pub(super) struct Ids {
    seed: u64,
    shard: u16,
    kind: Kind,
    last: u64,
}

impl Ids {
    pub(super) fn new(birth: Birth, kind: Kind) -> Ids {
        Ids { seed: birth.seed, shard: birth.id.0, kind, last: 0 }
    }

    pub(super) fn pair(&mut self) -> [Uuid; 2] {
        [self.one(), self.one()]
    }

    pub(super) fn one(&mut self) -> Uuid {
        self.last += 1;
        let mut name = [0; 11];
        name[0] = self.kind as u8;
        name[1..3].copy_from_slice(&self.shard.to_be_bytes());
        name[3..].copy_from_slice(&self.last.to_be_bytes());
        veiled(self.seed, &name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::{Moment, ShardId};
    use std::collections::HashSet;

    #[test]
    fn no_two_ids_are_alike() {
        let ids = |seed, shard, kind| {
            let mut ids = Ids::new(Birth { id: ShardId(shard), start: Moment(0), seed }, kind);
            (0..500).flat_map(move |_| ids.pair()).collect::<Vec<_>>()
        };
        let births = [(1, 0, Kind::Chat), (1, 1, Kind::Chat), (2, 0, Kind::Chat), (1, 0, Kind::Tasks)];
        let all: Vec<Uuid> = births.into_iter().flat_map(|(seed, shard, kind)| ids(seed, shard, kind)).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 4_000);
        assert!(all.iter().all(|id| id.get_version_num() == 4));
    }
}
