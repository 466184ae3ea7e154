//! Looks through the rows of presence, at long intervals, that rooms' homes hold against who is there (`protocols::presence::homes`).

use super::cluster::{self, ring};
use crate::{
    bridge::Bridge,
    engine::Answer,
    protocols::presence::record::{Buried, Census},
    realtime::{HashRing, Moment, NodeSlot, ShardId},
    runtime::{Clock, Post},
    store::Store,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::sleep;

/// So many leases lie between two looks.
pub(super) const LEASES: u32 = 5;
/// A shard gets so many rows at once, and the next when it has had the time to do other things.
const PART: usize = 512;
const PAUSE: Duration = Duration::from_millis(5);

/// Who looks, and whom it tells.
pub(super) struct Watch {
    bridge: Bridge,
    store: Arc<dyn Store>,
    clock: Clock,
    post: Post<Answer>,
    node: NodeSlot,
    shards: u16,
}

/// What one look found: by which nodes, when it began, and every row.
type Look = (HashRing, Moment, Vec<Buried>);

impl Watch {
    pub(super) fn of(watch: &cluster::Watch, node: NodeSlot) -> Watch {
        let cluster::Watch { bridge, store, clock, post, shards, .. } = watch;
        Watch { bridge: bridge.clone(), store: store.clone(), clock: *clock, post: post.clone(), node, shards: *shards }
    }

    /// Looks each time that so long has passed, until the process ends.
    pub(super) async fn look_again_and_again(self, every: Duration) {
        loop {
            sleep(every).await;
            let (store, clock) = (self.store.clone(), self.clock);
            let Some(found) = self.bridge.call(move || look(&*store, clock)).await else { return };
            // Who cannot read now looks the next time.
            if let Some(found) = found {
                self.tell(found).await;
            }
        }
    }

    async fn tell(&self, (ring, read_at, rows): Look) {
        let mut shards = by_home(&ring, (self.node, self.shards), rows);
        let mut part = 0;
        while !shards.is_empty() {
            shards.retain(|shard, rows| {
                let rest = rows.split_off(rows.len().min(PART));
                let census = Census { read_at, part, is_last: rest.is_empty(), rows: std::mem::replace(rows, rest) };
                self.post.post(*shard, [Answer::Census(ring.view().number(), Box::new(census))]);
                !rows.is_empty()
            });
            part += 1;
            sleep(PAUSE).await;
        }
    }
}

/// Blocks.
fn look(store: &dyn Store, clock: Clock) -> Option<Look> {
    let lease = store.lease();
    let (roster, read_at) = (lease.roster().ok()?, clock.moment());
    Some((ring(&roster), read_at, lease.live().ok()?))
}

/// The rows whose rooms are at home on each shard of this node: of some there are none.
fn by_home(ring: &HashRing, (node, shards): (NodeSlot, u16), rows: Vec<Buried>) -> BTreeMap<ShardId, Vec<Buried>> {
    let mut own: BTreeMap<_, Vec<_>> = (0..shards).map(|local| (ShardId::of(node, local as u8), Vec::new())).collect();
    for row in rows {
        if let Some(rows) = own.get_mut(&ring.home(row.classroom.as_bytes())) {
            rows.push(row);
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::realtime::{ClassroomId, View, view::Member};

    #[test]
    fn each_shard_is_told_of_the_rooms_that_are_at_home_there_and_one_without_any_of_none() {
        let member = |slot| Member { slot: NodeSlot(slot), epoch: 1, shards: 2 };
        let ring = HashRing::of(Arc::new(View::new(3, vec![member(0), member(1)])));
        let row = |number: u128| Buried {
            classroom: ClassroomId::from_u128(number),
            agent_id: "web.a.school".into(),
            session: number as i64,
            is_over: false,
        };
        let all: Vec<_> = (0..200).map(row).collect();
        let told = by_home(&ring, (NodeSlot(1), 2), all.clone());
        assert_eq!(told.len(), 2);
        for (shard, rows) in &told {
            let at_home: Vec<_> = all.iter().filter(|row| ring.home(row.classroom.as_bytes()) == *shard).cloned().collect();
            assert!(!rows.is_empty() && *rows == at_home, "{shard}");
        }
        let told = by_home(&ring, (NodeSlot(1), 2), Vec::new());
        assert!(told.len() == 2 && told.values().all(Vec::is_empty), "that there are none is told too");
    }
}
